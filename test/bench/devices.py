"""weir beside testpmd on the same virtual devices with the same captures, on one processor. A mix-in
of bench.py's Bench."""
import math
import random
import statistics
import tempfile

import captures
from forwarders import Testpmd, Weir
from tables import available_bytes, last_cpu

FRAMES = 1024  # of a capture: as many as weir's packet buffers leave room for
UNIT_BYTES = 178  # of memory for each unit of flows.capacity, at most
BESIDES_BYTES = 1 << 30  # for packet buffers, testpmd, and the system
MILLION = 1000000
LIMITS = {1000: 0.85, MILLION: 0.75, 10 * MILLION: 0.70, 100 * MILLION: 0.70}
DRAWS = 2000
FREE = ["limits.prefix4=8", "limits.per_prefix_flows=268435456", "limits.bad_ack_per_s=1000000000",
        "limits.bad_ack_prefix_per_s=1000000000"]


def device(folder, kind, number=0):
    return f"net_pcap{number},rx_pcap={folder}/{kind}.pcap,infinite_rx=1"


def named(flows):
    return f"{flows // MILLION} M" if flows >= MILLION else f"{flows // 1000} k"


def capacity_for(flows):
    """With a fourth of the table free; of the largest less, or they would not fit this machine."""
    return flows + flows // (4 if flows <= 10 * MILLION else 50) + 1024


def fits(flows):
    return capacity_for(flows) * UNIT_BYTES + BESIDES_BYTES <= available_bytes()


def between(values):
    """Where 95 of 100 medians are of as many values drawn from these."""
    draw = random.Random(1)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(DRAWS))
    return medians[DRAWS // 40], medians[-DRAWS // 40]


def slope(points):
    """Of the straight line through (x, y)."""
    x0, y0 = (statistics.mean(axis) for axis in zip(*points))
    return sum((x - x0) * (y - y0) for x, y in points) / sum((x - x0) ** 2 for x, _ in points)


class DevicePhases:
    def _fitting(self, what, sizes):
        """Those the memory is enough for; of the others the report says so."""
        fitting = [flows for flows in sizes if fits(flows)]
        for flows in sizes:
            if flows not in fitting:
                self.report.leave_out(f"{what} {named(flows)} flows",
                                      f"{available_bytes() >> 20} MiB of memory are not enough")
        if not fitting:
            raise RuntimeError(f"{what} flows: {available_bytes() >> 20} MiB of memory are not enough")
        return fitting

    def devices(self):
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            for kind in captures.KINDS:
                captures.write(f"{folder}/{kind}.pcap", kind, FRAMES)
            self._syns(folder)
            self._bad_acks(folder)
            rates = {flows: self._established(folder, flows)
                     for flows in self._fitting("established,", self.sizes.device_flows)}
            self._growth(rates)

    def _in_turn(self, sides):
        """Rates by side, one of each turn: packets per second of processor time."""
        rates = {name: [] for name in sides}
        for side in sides.values():
            side.hold()
        for turn in range(self.sizes.device_rounds):
            for name in sides if turn % 2 == 0 else reversed(list(sides)):
                rates[name].append(sides[name].best_rate(self.sizes.device_windows,
                                                         self.sizes.device_s))
        return rates

    def _compare(self, name, rates, side, base, sense, limit, note=""):
        quotients = [a / b for a, b in zip(rates[side], rates[base])]
        self.report.goal(name, statistics.median(quotients), "x", sense, limit,
                         f"{statistics.median(rates[side]) / 1e6:.2f} and "
                         f"{statistics.median(rates[base]) / 1e6:.2f} M/s; ratios {min(quotients):.2f}"
                         f" to {max(quotients):.2f} of {len(quotients)}{note}")

    def _weir(self, folder, outside, inside, done, flows=0):
        inner = f"pcap:{folder}/{inside}.pcap,loop" if inside else "null"
        sets = FREE + [f"flows.capacity={capacity_for(flows)}"]
        return Weir(f"{folder}", last_cpu(), f"pcap:{folder}/{outside}.pcap,loop", inner, done, sets)

    def _spent(self, weir):
        """Where its cycles go, of a last window."""
        cycles = weir.cycles(self.sizes.device_s)
        return (f"; per packet {cycles['all']:.0f} TSC cycles, the engine {cycles['engine']:.0f}, "
                "the rest devices and worker")

    def _syns(self, folder):
        for kind, options in (("syn", "MSS, SACK, timestamps, window scale"), ("syn_mss", "MSS alone")):
            sides = {"testpmd": Testpmd(folder, last_cpu(), [device(folder, kind)], "5tswap")}
            try:
                sides["weir"] = self._weir(folder, kind, None, "transmitted")
                rates = self._in_turn(sides)
                spent = self._spent(sides["weir"])
            finally:
                for side in sides.values():
                    side.close()
            self.report.add(f"devices {kind}", rates)
            self._compare(f"SYN answered, {options}, weir / testpmd 5tswap", rates, "weir", "testpmd",
                          ">=" if kind == "syn" else None, 0.85, f"{spent}; stretch 1.0")

    def _bad_acks(self, folder):
        flows = max(self._fitting("ACK with a bad cookie,", self.sizes.device_held))
        for kind, limit, name in (("ack_ts", 0.80, "timestamps"), ("ack", 0.68, "no timestamps")):
            sides = {"testpmd": Testpmd(folder, last_cpu(), [device(folder, kind)], "rxonly")}
            try:
                sides["empty"] = self._weir(folder, kind, None, "dropped")
                sides["empty"].hold()
                sides["full"] = self._weir(folder, kind, None, "dropped", flows)
                sides["full"].install(flows, rewrite=False)
                rates = self._in_turn(sides)
                spent = self._spent(sides["full"])
                reasons = sides["full"].reasons()
            finally:
                for side in sides.values():
                    side.close()
            self.report.add(f"devices {kind}", {"rates": rates, "reasons": reasons})
            self._compare(f"ACK with a bad cookie, {name}, {named(flows)} flows, weir / testpmd rxonly",
                          rates, "full", "testpmd", ">=", limit, spent)
            self._compare(f"the same, {named(flows)} flows / none", rates, "full", "empty", ">=", 0.85,
                          "" if flows == 100 * MILLION else "; the goal is for 100 M flows")

    def _established(self, folder, flows):
        kinds = ("to_server", "to_client")
        sides = {"testpmd": Testpmd(folder, last_cpu(), [device(folder, kind, number) for
                                                         number, kind in enumerate(kinds)], "5tswap")}
        try:
            sides["weir"] = self._weir(folder, *kinds, "transmitted", flows)
            sides["weir"].install(flows, rewrite=True)
            sides["weir"].show_all(flows)
            rates = self._in_turn(sides)
            spent = self._spent(sides["weir"])
        finally:
            for side in sides.values():
                side.close()
        self.report.add(f"devices established {flows}", rates)
        self._compare(f"established, translated both ways, {named(flows)} flows, weir / testpmd 5tswap",
                      rates, "weir", "testpmd", ">=", LIMITS[flows], f"{spent}; testpmd's are of one flow" +
                      ("; the goal is for 100 M" if flows == 10 * MILLION else ""))
        return rates

    def _growth(self, rates):
        """Exponent of what a packet costs above testpmd's, by the flows: each round's own fit."""
        sizes = [flows for flows in sorted(rates) if flows >= MILLION]
        if len(sizes) < 2:
            sizes = sorted(rates)[-2:]
        above = [[1 / a - 1 / b for a, b in zip(rates[flows]["weir"], rates[flows]["testpmd"])]
                 for flows in sizes]
        exponents = [slope([(math.log(flows), math.log(cost)) for flows, cost in zip(sizes, costs)])
                     for costs in zip(*above) if min(costs) > 0]
        low, high = between(exponents)
        judged = sizes[0] >= MILLION
        self.report.add("devices growth", {"flows": sizes, "exponents": exponents, "between": [low, high]})
        self.report.goal(f"growth of cost per packet, {named(sizes[0])} to {named(sizes[-1])} flows, exponent",
                         statistics.median(exponents), "", "<=" if judged else None, 0.05,
                         f"95 % confidence {low:.3f} to {high:.3f}, from {len(exponents)} rounds of "
                         f"{len(sizes)} sizes" + ("" if sizes[-1] == 100 * MILLION else
                                                  "; the goal is for 1 M to 100 M"))
