#!/usr/bin/python3
"""The measurements behind scripts/bench. The machine is shared and noisy, so only ratios of what
took turns within one run count: every figure is a median over rounds, in each of which each side had
its turn, the order reversed from round to round."""
import argparse
import json
import os
import shlex
import signal
import statistics
import subprocess
import sys
import time

from added import AddedPhases
from besides import BesidesPhases
from boxes import BUILD, Box
from cluster import ClusterPhases
from devices import DevicePhases
from kernel import KernelPhases
from native import NativePhases, options
from report import Report
from tables import TablePhases

FLOODS = ("syn", "ack", "rst", "synack", "mixed")
MIB_KIB = 1024
SPACED_PER_S = 25  # connects so far apart that the worker naps at its longest between them
COUNT_SPACED = 12
FLOOD_SETTLES_S = 0.3
SOURCE_CYCLES = 65


class Sizes:
    def __init__(self, quick):
        self.legitimate = 200 if quick else 1000
        self.flood_s = 3 if quick else 12
        self.rounds = 5 if quick else 11
        self.iperf_s = 1 if quick else 3
        self.lossy_rounds = 5 if quick else 11
        self.lossy_s = 1 if quick else 5
        self.connects = 100 if quick else 500
        self.latency_rounds = 5 if quick else 21
        self.load_s = 2 if quick else 4
        self.loaded = 200 if quick else 1500
        self.path_rounds = 40 if quick else 200
        self.pops_rounds = 5 if quick else 15
        self.pops_connects = 30 if quick else 60
        self.table_rounds = 5 if quick else 11
        self.device_rounds = 5 if quick else 11
        self.device_windows = 2 if quick else 6
        self.device_s = 0.06 if quick else 1
        self.device_flows = [1000, 1000000] if quick else [1000, 1000000, 10000000, 100000000]
        self.device_held = [100000] if quick else [10000000, 100000000]
        self.start_rounds = 5 if quick else 11
        self.start_capacities = [65536, 2000000] if quick else [65536, 2000000, 10000000]
        self.aged_rounds = 25 if quick else 100
        self.aged = 2000000 if quick else 10000000
        self.grown = [4000000] if quick else [4000000, 16000000, 64000000]  # the largest that fits
        self.added_s = 0.15 if quick else 0.4  # more, and the kernel takes turns again
        self.kernel_rounds = 3 if quick else 11
        self.kernel_s = 0.16 if quick else 1
        self.native_rounds = 3 if quick else 11
        self.native_path_rounds = 20 if quick else 100
        self.quick = quick


def in_turn(rounds, sides):
    """(round, side) with the order reversed in every other round."""
    for turn in range(rounds):
        for side in sides if turn % 2 == 0 else reversed(sides):
            yield turn, side


def median(values):
    return statistics.median(values)


def ratios(above, below):
    return [a / b for a, b in zip(above, below)]


def spread(quotients):
    return f"ratios {min(quotients):.2f} to {max(quotients):.2f}"


def per_packet(before, after, path):
    packets = after[path][0] - before[path][0]
    cycles = after[path][1] - before[path][1]
    return packets, cycles / packets if packets else 0.0


class Bench(AddedPhases, BesidesPhases, ClusterPhases, DevicePhases, KernelPhases, NativePhases,
            TablePhases):
    def __init__(self, sizes, prefix, only):
        self.only = only  # names of phases that were asked for
        self.sizes = sizes
        self.prefix = prefix
        self.boxes = {kind: Box(prefix, kind) for kind in ("proxy", "bypass", "direct", "synproxy")}
        self.report = Report()

    def close(self):
        for box in self.boxes.values():
            box.close()

    def bring_up(self):
        for box in self.boxes.values():
            box.bring_up()

    # Each of what follows measures one thing and is a section of the report.

    # --- 1: legitimate connects under floods ---

    def floods(self):
        proxy, size = self.boxes["proxy"], self.sizes
        rows = []
        for kind in FLOODS:
            before = proxy.counters()
            generator = proxy.flood(kind, size.flood_s)
            clients = proxy.connects(size.legitimate, parallel=10,
                                     rate=int(size.legitimate / size.flood_s * 1.2))
            flood = proxy.flood_report(generator, size.flood_s)
            after = proxy.counters()
            rows.append({
                "flood": kind, "ok": clients["ok"], "failed": clients["failed"],
                "reasons": clients["reasons"], "p50_us": clients["p50_us"],
                "p99_us": clients["p99_us"], "max_us": clients["max_us"],
                "flood_pps": flood["rate"],
                "taken_pps": (after["received"] - before["received"]) / flood["seconds"],
                "missed": after["missed"] - before["missed"],
                "flows_by_flood": after["created"] - before["created"] -
                clients["ok"] - clients["failed"],
                "resident_kib": after["resident_kib"] - before["resident_kib"]})
            self._flood_goals(rows[-1])
        self.report.add("floods", rows)

    def _flood_goals(self, row):
        lost = 100 * (1 - row["taken_pps"] / row["flood_pps"])  # in front of weir
        note = (f"{row['flood_pps'] / 1000:.0f} k/s made, {max(0, lost):.1f} % lost on the way; body"
                f" after {row['p50_us'] / 1000:.1f} ms median, {row['p99_us'] / 1000:.1f} p99")
        count = row["ok"] + row["failed"]
        self.report.goal(f"legitimate under {row['flood']} flood", row["ok"] / count * 100, "%",
                         ">=", 100, note)
        self.report.goal(f"flows created by {row['flood']} flood", row["flows_by_flood"], "", "<=", 0)
        self.report.goal(f"memory growth, {row['flood']} flood", row["resident_kib"], "KiB", "<=",
                         MIB_KIB)

    # --- 2: throughput, proxy beside bypass ---

    def throughput(self):
        self._throughput("clean", self.sizes.rounds, self.sizes.iperf_s)
        for kind in ("proxy", "bypass"):
            self.boxes[kind].impair("client", "loss=1%")
        try:
            self._throughput("1 % loss", self.sizes.lossy_rounds, self.sizes.lossy_s)
        finally:
            for kind in ("proxy", "bypass"):
                self.boxes[kind].impair("client", "off")

    def _throughput(self, path, rounds, seconds):
        for way, reverse in (("upload", False), ("download", True)):
            rates = {"proxy": [], "bypass": []}
            for _, kind in in_turn(rounds, ["proxy", "bypass"]):
                rates[kind].append(self.boxes[kind].iperf(seconds, reverse))
            quotients = ratios(rates["proxy"], rates["bypass"])
            ratio = median(quotients)
            self.report.add(f"throughput {path} {way}", {
                "proxy_bps": rates["proxy"], "bypass_bps": rates["bypass"], "ratio": ratio})
            self.report.goal(f"throughput proxied/bypass, {path}, {way}", ratio, "x", ">=", 0.9,
                             f"{median(rates['proxy']) / 1e9:.2f} and "
                             f"{median(rates['bypass']) / 1e9:.2f} Gbit/s; "
                             f"{spread(quotients)}")

    # --- 3: latency ---

    def latency(self):
        sides = ["direct", "bypass", "proxy", "synproxy"]
        for regime, keys, count in (
                ("back to back", {}, self.sizes.connects),
                ("idle", {"rate": SPACED_PER_S}, COUNT_SPACED)):
            runs = {kind: [] for kind in sides}
            for _, kind in in_turn(self.sizes.latency_rounds, sides):
                runs[kind].append(self.boxes[kind].connects(count, parallel=1, **keys))
            self._latency_goals(regime, runs)

    def _latency_goals(self, regime, runs):
        of = {kind: {key: [run[key] for run in them] for key in
                     ("connect_p50_us", "first_p50_us", "p50_us", "first_p99_us", "stalls", "ok")}
              for kind, them in runs.items()}
        self.report.add(f"latency {regime}", of)
        base = of["direct"]
        for kind in ("proxy", "bypass", "synproxy"):
            added = median([a - b for a, b in zip(of[kind]["connect_p50_us"],
                                                  base["connect_p50_us"])])
            quotients = ratios(of[kind]["first_p50_us"], base["first_p50_us"])
            note = (f"connect {median(of[kind]['connect_p50_us']):.0f} us, direct "
                    f"{median(base['connect_p50_us']):.0f} us")
            first_note = (f"first byte {median(of[kind]['first_p50_us']):.0f} us, direct "
                          f"{median(base['first_p50_us']):.0f} us; p99 "
                          f"{median(of[kind]['first_p99_us']):.0f} us; {spread(quotients)}")
            goal = kind == "proxy"
            self.report.goal(f"connect added, {regime}, {kind}", added, "us",
                             "<=" if goal else None, 200, note)
            self.report.goal(f"first byte / direct, {regime}, {kind}", median(quotients),
                             "x", "<=" if goal else None, 1.2, first_note)
            self.report.goal(f"stalls > 1 s, {regime}, {kind}", sum(of[kind]["stalls"]), "",
                             "<=" if goal else None, 0, f"of {sum(of[kind]['ok'])} connects")

    # --- 3b and 4a: the highest rates, then latency at half of weir's ---

    def capacity(self):
        """SYN/ACKs per second that reach the client at the generator's highest rate."""
        sides, rates, made = ["proxy", "synproxy"], {"proxy": [], "synproxy": []}, []
        live = []
        for _, kind in in_turn(max(3, self.sizes.rounds // 2), sides):
            box = self.boxes[kind]
            before, begin = box.answers(), time.monotonic()
            paths = box.paths() if box.is_weir else None
            flood = box.flood_report(box.flood("syn", self.sizes.load_s), self.sizes.load_s)
            rates[kind].append((box.answers() - before) / (time.monotonic() - begin))
            made.append(flood["rate"])
            if paths:
                live.append(per_packet(paths, box.paths(), "syn")[1])
        self.capacity_pps = median(rates["proxy"])
        self.report.add("capacity", {"synack_per_s": rates, "offered_per_s": made,
                                     "proxy_tsc_cycles_per_syn": live})
        self.report.goal("SYN/ACKs per second, weir / nft SYNPROXY",
                         median(ratios(rates["proxy"], rates["synproxy"])), "x", None, 1.0,
                         f"{median(rates['proxy']) / 1000:.0f} and "
                         f"{median(rates['synproxy']) / 1000:.0f} k/s, offered "
                         f"{median(made) / 1000:.0f} k/s; generator and box share 2 CPUs")

    def latency_under_flood(self):
        rate = int(self.capacity_pps / 2)
        sides = ["direct", "proxy", "synproxy"]
        runs = {kind: [] for kind in sides}
        for _, kind in in_turn(self.sizes.rounds, sides):
            box = self.boxes[kind]
            if kind != "direct":  # behind a plain router the flood would reach the server
                generator = box.flood("syn", self.sizes.load_s, rate)
                time.sleep(FLOOD_SETTLES_S)
            runs[kind].append(box.connects(self.sizes.loaded, parallel=1, deadline_ms=10000))
            if kind != "direct":
                box.flood_report(generator, self.sizes.load_s)
        self.report.add("latency under flood", {"rate": rate, "runs": runs})
        for kind in ("proxy", "synproxy"):
            quotients = ratios([run["first_p50_us"] for run in runs[kind]],
                               [run["first_p50_us"] for run in runs["direct"]])
            goal = "<=" if kind == "proxy" else None
            self.report.goal(f"first byte / direct, half-capacity flood, {kind}",
                             median(quotients), "x", goal, 1.5, f"flood {rate / 1000:.0f} k SYN/s; "
                             f"{median([run['first_p50_us'] for run in runs[kind]]):.0f} us, p99 "
                             f"{median([run['first_p99_us'] for run in runs[kind]]):.0f} us; "
                             f"direct without flood; {spread(quotients)}")
            self.report.goal(f"stalls > 1 s, half-capacity flood, {kind}",
                             sum(run["stalls"] + run["failed"] for run in runs[kind]), "", goal, 0,
                             f"of {sum(run['ok'] + run['failed'] for run in runs[kind])} connects")

    # --- 4a: cycles as the worker counts them ---

    def worker_cycles(self):
        box, rows = self.boxes["proxy"], {}
        for kind, path in (("syn", "syn"), ("ack", "ack_bad")):
            before, begin = box.paths(), time.monotonic()
            box.flood_report(box.flood(kind, self.sizes.load_s), self.sizes.load_s)
            packets, cycles = per_packet(before, box.paths(), path)
            rows[path] = {"pps": packets / (time.monotonic() - begin), "tsc_cycles": cycles,
                          "ns": cycles * 1e9 / self.report.results["engine"]["tsc_hz"]}
            self.report.goal(f"own cost per packet under {kind} flood, live", rows[path]["ns"], "ns",
                             "<=" if kind == "syn" else None, 70,
                             f"{rows[path]['pps'] / 1000:.0f} k packets/s, {cycles:.0f} TSC cycles "
                             f"each, as the worker counts them")
        self.report.add("worker", rows)

    def rules(self):
        box, cycles = self.boxes["proxy"], {10: [], 10000: []}
        for _, count in in_turn(self.sizes.rounds, [10, 10000]):
            box.set_rules(count)
            before = box.paths()
            box.flood_report(box.flood("syn", 1), 1)
            cycles[count].append(per_packet(before, box.paths(), "syn")[1])
        self.report.add("rules", {str(count): them for count, them in cycles.items()})
        self.report.goal("SYN path with 10,000 rules / with 10, live",
                         median(ratios(cycles[10000], cycles[10])), "x", "<=", 2,
                         f"{median(cycles[10000]):.0f} and {median(cycles[10]):.0f} TSC cycles")

    # --- 4b: cycles in process ---

    def engine(self):
        result = subprocess.run([f"{BUILD}/test/bench/syn_path", "--rounds",
                                 str(self.sizes.path_rounds)],
                                text=True, capture_output=True, timeout=600, check=True)
        data = json.loads(result.stdout)
        self.report.add("engine", data)
        of = {path["name"]: path["core_cycles"] for path in data["paths"]}
        # Goals of the cycle budget in core cycles; par is what good scalar code takes.
        goals = {"syn": (60, 110), "ack_bad_ts": (33, 60), "ack_bad": (68, 110),
                 "to_server_1k": (40, 60), "to_server_1m": (65, 110), "to_client_1k": (40, 60),
                 "to_client_1m": (65, 110)}
        for path in data["paths"]:
            goal, par = goals.get(path["name"], (None, None))
            note = f"{path['tsc_cycles']:.0f} TSC, {path['ns']:.0f} ns, {path['mpps']:.2f} M/s"
            self.report.goal(f"engine cycles, {path['name']}", path["core_cycles"], "cycles",
                             "<=" if goal else None, goal, note + (f"; par {par}" if par else ""))
        hz = data["tsc_hz"] * data["core_per_tsc"]
        for name, frame, limit in (("syn", 74, 12.76), ("syn_plain", 54, None)):
            self.report.goal(f"SYNs answered per second and core, {frame} bytes",
                             hz / (of[name] + SOURCE_CYCLES) / 1e6, "M/s", ">=" if limit else None, limit,
                             f"the engine and {SOURCE_CYCLES} core cycles for a source in memory, at "
                             f"{hz / 1e9:.2f} GHz; 10 GbE brings 12.76 M/s of 74 bytes, 14.88 of up to 60")
        for stage in data["stages"]:
            self.report.goal(f"step of syn: {stage['name']}", stage["core_cycles"], "cycles", None, 0)
        self.report.goal("engine cycles, 10,000 rules / 10, linear",
                         of["rules_10000"] / of["rules_10"], "x", None, 2,
                         "the reference classifier")


def machine():
    def first(path, key):
        with open(path) as file:
            return next((line.split(":", 1)[1].strip() for line in file
                         if line.startswith(key)), "")

    chosen = {"buildtype", "optimization", "debug", "b_lto", "b_sanitize", "c_args"}
    return {"cpu": first("/proc/cpuinfo", "model name"), "cpus": os.cpu_count(),
            "kernel": os.uname().release, "memory": first("/proc/meminfo", "MemTotal"),
            "load": os.getloadavg()[0],
            "build": {name: value for name, value in options(BUILD).items() if name in chosen},
            "version": subprocess.run([f"{BUILD}/weir", "--version"], text=True,
                                      capture_output=True).stdout.strip()}


def cpu_times():
    with open("/proc/stat") as file:
        return [int(one) for one in file.readline().split()[1:]]


IN_MEMORY = (Bench.engine, Bench.native, Bench.tables, Bench.ageing, Bench.growth, Bench.devices,
             Bench.start, Bench.replaying, Bench.added, Bench.updates, Bench.conntrackd,
             Bench.kernel)
PHASES = IN_MEMORY + (Bench.floods, Bench.throughput, Bench.latency, Bench.capacity,
                      Bench.latency_under_flood, Bench.worker_cycles, Bench.rules, Bench.pops)


def phases_of(text):
    """The names of --only, checked before anything is built or measured."""
    names = text.split(",")
    known = [one.__name__ for one in PHASES]
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"no phase {name}: {', '.join(known)}")
    return names


class Interrupted(BaseException):
    """By ^C or SIGTERM: what was measured so far is reported, a second one ends it at once."""


def interrupt(number, _frame):
    signal.signal(number, signal.SIG_DFL)
    raise Interrupted


def measure(bench, report):
    chosen = [one for one in PHASES if not bench.only or one.__name__ in bench.only]
    phases = [one for one in chosen if one in IN_MEMORY]
    if len(phases) < len(chosen):
        phases += [Bench.bring_up] + [one for one in chosen if one not in IN_MEMORY]
    for phase in (getattr(bench, one.__name__) for one in phases):
        begin = time.monotonic()
        report.begin(phase.__name__.replace("_", " "))
        try:
            phase()
        except Interrupted:
            report.fail(phase.__name__, "interrupted: what follows was not measured")
            return
        except Exception as error:
            report.fail(phase.__name__, f"{type(error).__name__}: {error}")
            if phase == bench.bring_up:  # figures of a lab that does not work mean nothing
                return
        print(f"bench: {phase.__name__} took {time.monotonic() - begin:.0f} s", file=sys.stderr)


def run(args):
    bench = Bench(Sizes(args.quick), os.environ.get("WEIR_LAB", "weirbench"), args.only or [])
    report, begin, times = bench.report, time.monotonic(), cpu_times()
    report.facts = {"schema": 1, "command": shlex.join(["scripts/bench"] + sys.argv[1:]),
                    "quick": args.quick, "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                    "machine": machine()}
    try:
        measure(bench, report)
    finally:
        bench.close()
    spent = [b - a for a, b in zip(times, cpu_times())]
    report.facts["steal_percent"] = 100 * spent[7] / max(1, sum(spent))
    report.facts["seconds"] = time.monotonic() - begin
    return report


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench")
    parser.add_argument("--quick", action="store_true", help="smaller sizes: about 4 minutes")
    parser.add_argument("--only", metavar="PHASE,...", type=phases_of,
                        help=", ".join(one.__name__ for one in PHASES) + " alone")
    parser.add_argument("--json", metavar="F", help="everything measured, as JSON")
    parser.add_argument("--html", metavar="F", help="one file to look at")
    parser.add_argument("--check", action="store_true", help="looks at the arguments alone")
    args = parser.parse_args()
    for path in filter(None, (args.json, args.html)):
        if not os.access(os.path.dirname(os.path.abspath(path)), os.W_OK):
            parser.error(f"{path} cannot be written")
    if args.check:
        return 0
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupt)
    report = run(args)
    print(report.table())
    if args.json:
        with open(args.json, "w") as file:
            json.dump(report.document(), file, indent=1)
    if args.html:
        with open(args.html, "w") as file:
            file.write(report.html())
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
