"""The engine built for this very processor beside the build that is measured everywhere else, which
has the flags Debian builds testpmd with. A mix-in of bench.py's Bench."""
import json
import os
import statistics
import subprocess

from boxes import BUILD
from forwarders import ROOT
from tables import last_cpu

NATIVE = BUILD.rstrip("/") + "-native"
PROGRAM = "test/bench/syn_path"
PATHS = ("syn", "ack_bad", "to_server_1k", "to_server_1m")


def options(build):
    text = subprocess.run(["meson", "introspect", "--buildoptions", build], text=True, capture_output=True,
                          check=True).stdout
    return {one["name"]: one["value"] for one in json.loads(text)}


def native_is_built():
    """Whether it is there, of the tree as it is now."""
    if not os.path.exists(f"{NATIVE}/{PROGRAM}"):
        return False
    missing = subprocess.run(["ninja", "-C", NATIVE, "-n", PROGRAM], text=True, capture_output=True)
    return missing.returncode == 0 and "no work to do" in missing.stdout


def build_native():
    if not os.path.exists(f"{NATIVE}/build.ninja"):
        same = options(BUILD)["buildtype"]
        subprocess.run(["meson", "setup", NATIVE, ROOT, f"-Dbuildtype={same}", "-Dc_args=-march=native",
                        "-Dwerror=false", "-Ddpdk=false"], capture_output=True, check=True)
    built = subprocess.run(["ninja", "-C", NATIVE, PROGRAM], text=True, capture_output=True)
    if built.returncode:
        raise RuntimeError(f"{NATIVE} cannot be built: {built.stdout[-1000:]}")


def paths_of(build, rounds):
    result = subprocess.run(["taskset", "-c", str(last_cpu()), f"{build}/{PROGRAM}", "--rounds", str(rounds),
                             "--only", ",".join(PATHS)],
                            text=True, capture_output=True, timeout=600, check=True)
    return {path["name"]: path for path in json.loads(result.stdout)["paths"]}


class NativePhases:
    def native(self):
        if self.sizes.quick and "native" not in self.only and not native_is_built():
            self.report.leave_out("native", "building it takes minutes: scripts/bench --quick --only native")
            return
        build_native()
        runs = {BUILD: [], NATIVE: []}
        for turn in range(self.sizes.native_rounds):
            for build in runs if turn % 2 == 0 else reversed(list(runs)):
                runs[build].append(paths_of(build, self.sizes.native_path_rounds))
        self.report.add("native", {"generic": runs[BUILD], "native": runs[NATIVE]})
        for name in PATHS:
            cycles = {build: [run[name]["core_cycles"] for run in them] for build, them in runs.items()}
            quotients = [a / b for a, b in zip(cycles[NATIVE], cycles[BUILD])]
            self.report.goal(f"engine cycles, {name}, -march=native / generic",
                             statistics.median(quotients), "x", None, 0,
                             f"{statistics.median(cycles[NATIVE]):.0f} and "
                             f"{statistics.median(cycles[BUILD]):.0f} core cycles; ratios "
                             f"{min(quotients):.2f} to {max(quotients):.2f} of {len(quotients)}")
