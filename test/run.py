#!/usr/bin/python3
"""Runs the tests and counts them; scripts/test is its front.

Layers: lint (the house rules), unit, vectors, fuzz (corpora replayed) and sim (seeds of the
simulation) from meson, in a gcc build of everything and in a clang build of lib/ under ASan and
UBSan (there sim only with --full: it is slow); lab (namespaces, needs root).
One line per program or check as it ends, then the slowest, then `N passed, N failed, N skipped`.
"""
import argparse
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), ".."))
LAYERS = ("lint", "unit", "vectors", "fuzz", "sim", "lab")
MESON_LAYERS = ("unit", "vectors", "fuzz", "sim")
BUILDS = {
    "build": {"compiler": "gcc", "options": []},
    "build-asan": {"compiler": "clang",
                   "options": ["-Ddpdk=false", "-Db_sanitize=address,undefined",
                               "-Db_lundef=false"]},
}
MESON_TIMEOUT_S = {"quick": 600, "full": 3600, "soak": 3600}
SOAK_S = int(os.environ.get("WEIR_SOAK_S", "3600"))
SLOWEST = 10


class Results:
    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.times = []
        self.failures = []

    def add(self, outcome, name, seconds, count=1):
        setattr(self, outcome, getattr(self, outcome) + count)
        self.times.append((seconds, name))
        if outcome == "failed":
            self.failures.append(name)

    def report(self):
        if self.times:
            print("\nslowest:")
        for seconds, name in sorted(self.times, reverse=True)[:SLOWEST]:
            print(f"  {seconds:7.1f} s  {name}")
        for name in self.failures:
            print(f"failed: {name}")
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)


def run(words, **keys):
    return subprocess.run(words, cwd=ROOT, text=True, stdin=subprocess.DEVNULL, **keys)


# --- builds ---

def setup_steps(name):
    """The command that configures a build, where it is not yet."""
    folder = os.path.join(ROOT, name)
    if os.path.exists(os.path.join(folder, "build.ninja")):
        return []
    return [["meson", "setup", folder, ROOT, *BUILDS[name]["options"]]]


def run_step(name, step):
    return run(step, env=dict(os.environ, CC=BUILDS[name]["compiler"]), stdout=subprocess.PIPE,
               stderr=subprocess.STDOUT)


def build(name, results):
    """Configures and builds; a failure is a failed test, because nothing else can tell it."""
    start = time.monotonic()
    for step in [*setup_steps(name), ["ninja", "-C", os.path.join(ROOT, name)]]:
        done = run_step(name, step)
        if done.returncode != 0:
            print("\n".join(done.stdout.splitlines()[-40:]))
            results.add("failed", f"{name}: {step[0]}", time.monotonic() - start)
            return False
    print(f"built {name} ({time.monotonic() - start:.0f} s)", flush=True)
    return True


# --- meson's layers ---

def meson_tests(name):
    """[(layer, test)] of a build."""
    text = run(["meson", "introspect", "--tests", os.path.join(ROOT, name)],
               stdout=subprocess.PIPE, check=True).stdout
    found = []
    for test in json.loads(text):
        for suite in test["suite"]:
            found.append((suite.split(":")[-1], test["name"]))
    return found


def meson_results(name, layer, log, results):
    if not os.path.exists(log):
        results.add("failed", f"{layer}: meson wrote no log ({name})", 0)
        return
    with open(log) as file:
        for line in file:
            test = json.loads(line)
            label = f"{layer} {test['name'].split('/')[-1].split(':')[-1].strip()} ({name})"
            text = test.get("stdout", "") + test.get("stderr", "")
            cases = sum(map(int, re.findall(r"\[  PASSED  \] (\d+) test", text))) or 1
            if test["result"] in ("OK", "EXPECTEDFAIL"):
                results.add("passed", label, test["duration"], cases)
            elif test["result"] == "SKIP":
                results.add("skipped", label, test["duration"])
            else:
                broken = sum(map(int, re.findall(r"\[  FAILED  \] (\d+) test", text))) or 1
                results.add("failed", label, test["duration"], broken)
                print(f"not ok {label}: {test['result']}\n{text[-4000:]}")


def layers_of(name, layers, size):
    return [layer for layer in layers
            if layer != "sim" or name == "build" or size != "quick"]


def run_meson(name, layers, size, results):
    present = meson_tests(name)
    for layer in layers:
        count = sum(suite == layer for suite, _ in present)
        if count == 0:
            print(f"{layer}: no tests in {name}")
            continue
        environment = dict(os.environ, WEIR_TEST_SIZE=size,
                           UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1")
        scale = "1" if size == "quick" else "20"
        log = os.path.join(ROOT, name, "meson-logs", "testlog.json")
        if os.path.exists(log):
            os.unlink(log)
        with contextlib.suppress(subprocess.TimeoutExpired):
            run(["meson", "test", "-C", name, "--no-rebuild", "--suite", layer,
                 "--timeout-multiplier", scale], env=environment, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL, timeout=MESON_TIMEOUT_S[size])
        meson_results(name, layer, log, results)
        print(f"{layer}: {count} programs ran in {name}", flush=True)


# --- lint, lab ---

def take_lines(lines, prefix, results):
    """Counts `ok NAME`, `not ok NAME: why`, `skip NAME: why` lines; returns how many there were."""
    seen = 0
    for line in lines:
        match = re.match(r"(ok|not ok|skip) ([^ :]+).*?(?:\(([\d.]+) s\))?$", line)
        if not match:
            continue
        seen += 1
        outcome = {"ok": "passed", "not ok": "failed", "skip": "skipped"}[match.group(1)]
        results.add(outcome, f"{prefix} {match.group(2)}", float(match.group(3) or 0))
    return seen


def run_lint(results):
    done = run([os.path.join(ROOT, "test", "lint.py")], stdout=subprocess.PIPE)
    print(done.stdout, end="", flush=True)
    if take_lines(done.stdout.splitlines(), "lint", results) == 0:
        results.add("failed", "lint did not run", 0)


def lab_files():
    folder = os.path.join(ROOT, "test", "lab")
    return sorted(os.path.join(folder, name) for name in os.listdir(folder)
                  if re.search(r"\.(py|sh)$", name) and
                  os.access(os.path.join(folder, name), os.X_OK))


def lab_checks(path):
    done = run([path, "--list"], stdout=subprocess.PIPE)
    return done.stdout.split()


def stem_of(path):
    return os.path.splitext(os.path.basename(path))[0]


def wanted_checks(path, only):
    """The checks of a file that `only` means: the file's name, a check's, or that of both families."""
    if only in (None, stem_of(path)):
        return lab_checks(path)
    return [name for name in lab_checks(path) if only in (name, re.sub("_v[46]$", "", name))]


def lab_limit_s(path, size):
    with open(path) as file:
        match = re.search(r"^# limit: quick (\d+) full (\d+)$", file.read(), re.M)
    quick, full = (int(match.group(1)), int(match.group(2))) if match else (60, 600)
    return quick if size == "quick" else full


def run_lab_file(path, checks, size, results):
    """One file in its own session: at its limit it is asked to end, so that its lab goes too."""
    stem = stem_of(path)
    limit_s = lab_limit_s(path, size)
    start = time.monotonic()
    environment = dict(os.environ, WEIR_LAB="weirtest",
                       WEIR_TEST_SIZE="full" if size == "soak" else size)
    process = subprocess.Popen([path, *checks], env=environment, text=True, cwd=ROOT,
                               stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    def over(*_):
        process.terminate()
        signal.signal(signal.SIGALRM, lambda *_: process.kill())
        signal.alarm(30)
    signal.signal(signal.SIGALRM, over)
    signal.alarm(limit_s)
    lines = []
    for line in process.stdout:
        print(f"  {line}", end="", flush=True)
        lines.append(line.rstrip("\n"))
    status = process.wait()
    signal.alarm(0)
    if status < 0:  # it could not clean up itself
        run([os.path.join(ROOT, "scripts", "lab"), "down"], env=environment)
    seconds = time.monotonic() - start
    before = results.failed
    seen = take_lines(lines, f"lab {stem}", results)
    if status == 77:
        results.add("skipped", f"lab {stem}", seconds)
    elif seconds >= limit_s:
        results.add("failed", f"lab {stem}: over its limit of {limit_s} s", seconds)
    elif status != 0 and results.failed == before or seen == 0:
        results.add("failed", f"lab {stem}: exit status {status}", seconds)
    print(f"lab {stem}: {seconds:.1f} s", flush=True)


def run_lab(only, size, results):
    if os.geteuid() != 0:
        count = len(lab_files())
        print(f"lab: {count} tests skipped: network namespaces need root (sudo scripts/test)")
        results.skipped += count
        return
    for path in lab_files():
        checks = []
        if only and only != stem_of(path):
            checks = wanted_checks(path, only)
            if not checks:
                continue
        run_lab_file(path, checks, size, results)


# --- the whole ---

def list_tests(layers, only):
    if "lint" in layers:
        print("\n".join(f"lint {name}" for name in
                        run([os.path.join(ROOT, "test", "lint.py"), "--list"],
                            stdout=subprocess.PIPE).stdout.split()))
    for name in BUILDS if set(layers) & set(MESON_LAYERS) else ():
        for step in setup_steps(name):
            run_step(name, step)
        for layer, test in meson_tests(name):
            if layer in layers:
                print(f"{layer} {test} ({name})")
    if "lab" in layers:
        for path in lab_files():
            for check in wanted_checks(path, only):
                print(f"lab {stem_of(path)} {check}")


def parse():
    parser = argparse.ArgumentParser(prog="scripts/test", allow_abbrev=False)
    sizes = parser.add_mutually_exclusive_group()
    for size in ("quick", "full", "soak"):
        sizes.add_argument(f"--{size}", dest="size", action="store_const", const=size)
    parser.add_argument("--only", metavar="lint|unit|vectors|fuzz|sim|lab[:NAME]")
    parser.add_argument("--list", action="store_true", help="names only, runs nothing")
    parser.set_defaults(size="quick")
    options = parser.parse_args()
    layer, _, options.name = (options.only or "").partition(":")
    if options.only and (layer not in LAYERS or (options.name and layer != "lab")):
        parser.error(f"--only {options.only}: unknown; one of {', '.join(LAYERS)}, lab:NAME")
    options.layers = (layer,) if layer else LAYERS
    options.name = options.name or None
    if options.name and not any(wanted_checks(path, options.name) for path in lab_files()):
        parser.error(f"--only lab:{options.name}: there is no such test; one of "
                     f"{', '.join(map(stem_of, lab_files()))}, or one of their checks "
                     f"(--only lab --list)")
    return options


def main():
    options = parse()
    if options.list:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader may have read enough
        list_tests(options.layers, options.name)
        return 0
    results = Results()
    if "lint" in options.layers:
        run_lint(results)
    wanted = [layer for layer in MESON_LAYERS if layer in options.layers]
    built = {}
    if wanted or ("lab" in options.layers and os.geteuid() == 0):
        built["build"] = build("build", results)
    if wanted:
        built["build-asan"] = build("build-asan", results)
        for name in BUILDS:
            if built[name]:
                run_meson(name, layers_of(name, wanted, options.size), options.size, results)
    if "lab" in options.layers and built.get("build", True):
        run_lab(options.name, options.size, results)
        end = time.monotonic() + SOAK_S
        while options.size == "soak" and time.monotonic() < end and not results.failed:
            run_lab(options.name, options.size, results)
    results.report()
    return 1 if results.failed else 0


if __name__ == "__main__":
    sys.exit(main())
