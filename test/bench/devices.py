"""weir beside testpmd on the same virtual devices with the same captures, on one processor. A mix-in
of bench.py's Bench."""
import math
import statistics
import tempfile

import captures
from forwarders import Testpmd, Weir
from tables import available_bytes, last_cpu

FRAMES = 1024  # of a capture: as many as weir's packet buffers leave room for
FLOW_BYTES = 300  # of memory a flow may take, with a fourth of the table free
NAMES = {1000: "1 k", 100000: "100 k", 1000000: "1 M", 10000000: "10 M"}
FREE = ["limits.prefix4=8", "limits.per_prefix_flows=100000000", "limits.bad_ack_per_s=1000000000",
        "limits.bad_ack_prefix_per_s=1000000000"]


def device(folder, kind, number=0):
    return f"net_pcap{number},rx_pcap={folder}/{kind}.pcap,infinite_rx=1"


class DevicePhases:
    def devices(self):
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            for kind in captures.KINDS:
                captures.write(f"{folder}/{kind}.pcap", kind, FRAMES)
            self._syns(folder)
            self._bad_acks(folder)
            rates = {flows: self._established(folder, flows, limit)
                     for flows, limit in zip(self.sizes.device_flows, (0.85, 0.75, 0.70))}
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
        if flows * FLOW_BYTES > available_bytes():
            raise RuntimeError(f"{available_bytes() >> 20} MiB of memory are not enough for {flows} flows")
        inner = f"pcap:{folder}/{inside}.pcap,loop" if inside else "null"
        sets = FREE + [f"flows.capacity={flows + flows // 4 + 1024}"]
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
        flows = self.sizes.device_held
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
            self._compare(f"ACK with a bad cookie, {name}, {NAMES[flows]} flows, weir / testpmd rxonly",
                          rates, "full", "testpmd", ">=", limit, spent)
            self._compare(f"the same, {NAMES[flows]} flows / none", rates, "full", "empty", ">=", 0.85,
                          "; the goal is for 100 M flows")

    def _established(self, folder, flows, limit):
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
        self._compare(f"established, translated both ways, {NAMES[flows]} flows, weir / testpmd 5tswap",
                      rates, "weir", "testpmd", ">=", limit, f"{spent}; testpmd's are of one flow" +
                      ("; the goal is for 100 M" if flows > 1000000 else ""))
        return rates

    def _growth(self, rates):
        """Exponent of what a packet costs above testpmd's, by the flows, from the last size but one."""
        few, many = sorted(rates)[-2:]
        above = {flows: [1 / a - 1 / b for a, b in zip(rates[flows]["weir"], rates[flows]["testpmd"])]
                 for flows in (few, many)}
        exponents = [math.log(b / a) / math.log(many / few) for a, b in zip(above[few], above[many])]
        judged = few >= 1000000
        self.report.goal(f"growth of cost per packet, {NAMES[few]} to {NAMES[many]} flows, exponent",
                         statistics.median(exponents), "", "<=" if judged else None, 0.05,
                         f"{min(exponents):.3f} to {max(exponents):.3f} of {len(exponents)}; the goal is for "
                         "1 M to 100 M")
