"""The flow table beside rte_hash. A mix-in of bench.py's Bench."""
import json
import os
import statistics
import subprocess

from boxes import BUILD

MILLION = 1 << 20
LONG = 3  # of gap_us: over 10 us
PER_FLOW_BYTES = 400  # of both sides together, and room to spare
PAGES = {"huge": "2 MiB pages", "small": "4 KiB pages"}


def available_bytes():
    with open("/proc/meminfo") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("MemAvailable"))


def last_cpu():
    return max(os.sched_getaffinity(0))


class TablePhases:
    def tables(self):
        flows = [MILLION] if self.sizes.quick else [MILLION, 16 * MILLION]
        for count in flows:
            if count * PER_FLOW_BYTES > available_bytes():
                self.report.fail(f"tables of {count >> 20} M",
                                 f"{available_bytes() >> 20} MiB of memory are not enough")
                continue
            for pages in PAGES:
                self._tables(count, pages)

    def _tables(self, flows, pages):
        result = subprocess.run(
            [f"{BUILD}/test/bench/tables", "--flows", str(flows), "--rounds",
             str(self.sizes.table_rounds), "--pages", pages, "--cpu", str(last_cpu())],
            text=True, capture_output=True, timeout=900)
        if result.returncode != 0:
            raise RuntimeError(f"tables: {result.stderr[-500:]}")
        data = json.loads(result.stdout)
        self.report.add(f"tables {flows >> 20} M {pages}", data)
        where = f"{flows >> 20} M, {PAGES[pages]}"
        judged = pages == "huge"
        big = flows > MILLION
        self._rate(data, "hit", f"lookup in bursts of 32, {where}", judged, 2 if big else 1.5,
                   f"; stretch {3 if big else 2}")
        self._rate(data, "miss", f"lookup of what is not there, {where}", judged,
                   1.5 if big else 1.3)
        self._rate(data, "insert", f"insert, 0 to 90 %, {where}", judged, 5 if big else 4)
        self._gaps(data, f"inserts > 10 us per second, {where}", judged)
        if judged and not big:
            self._memory(data["memory"], where)

    def _rate(self, data, what, name, judged, limit, more=""):
        """How many times as fast as rte_hash."""
        ours, theirs = ([one[side][what] for one in data["rounds"]] for side in ("weir", "rte_hash"))
        quotients = [b / a for a, b in zip(ours, theirs)]
        mops = [data["tsc_hz"] / statistics.median(one) / 1e6 for one in (ours, theirs)]
        self.report.goal(f"{name}, weir / rte_hash", statistics.median(quotients), "x",
                         ">=" if judged else None, limit,
                         f"{mops[0]:.1f} and {mops[1]:.1f} M/s; ratios {min(quotients):.2f} to "
                         f"{max(quotients):.2f} of {len(quotients)}{more}")

    def _gaps(self, data, name, judged):
        per_s = {}
        for side in ("weir", "rte_hash", "nothing"):
            seconds = sum(one[side]["insert_cycles"] for one in data["rounds"]) / data["tsc_hz"]
            per_s[side] = sum(one[side]["gaps"][LONG] for one in data["rounds"]) / seconds
        worst = max(one["weir"]["worst"] for one in data["rounds"]) / data["tsc_hz"] * 1e6
        self.report.goal(f"{name}, weir / empty loop", per_s["weir"] / max(1, per_s["nothing"]), "x",
                         "<=" if judged else None, 1.1,
                         f"{per_s['weir']:.0f}, a loop that reads the TSC {per_s['nothing']:.0f}, "
                         f"rte_hash {per_s['rte_hash']:.0f}; the longest {worst:.0f} us")

    def _memory(self, memory, where):
        whole, table, theirs = (memory["engine_bytes_per_flow"], memory["weir"], memory["rte_hash"])
        for family, limit in (("IPv4", 72), ("IPv6", 144)):
            self.report.goal(f"memory per {family} flow, everything counted, {where}", whole, "B", "<=",
                             limit, "the engine's memory by its capacity, which is there from the "
                             "start; both families take the same")
        self.report.goal(f"of that, the table when it takes no more, {where}",
                         table["bytes_per_flow"], "B", None, 0,
                         f"{table['flows']} flows; rte_hash with keys of IPv4 and states of 64 B "
                         f"{theirs['bytes_per_flow']:.0f} B, {theirs['flows']} flows")
