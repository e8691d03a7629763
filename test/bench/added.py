"""Latency through weir beside testpmd's on the same kind of ports: memif, to a program that measures.
A mix-in of bench.py's Bench."""
import json
import os
import statistics
import tempfile
import time

import captures
from boxes import BUILD
from devices import FREE
from forwarders import Forwarder, Testpmd, Weir, hold_all
from tables import last_cpu

LOAD = 0.5


class Probe(Forwarder):
    def __init__(self, folder):
        cpu = min(os.sched_getaffinity(0))
        super().__init__([f"{BUILD}/test/bench/probe", folder, str(cpu), captures.stamped().hex()],
                         f"{folder}/probe.log")
        self.hear(rb"ready\n", 30)

    def run(self, rate, seconds):
        self.say(f"run {rate} {1000 * seconds}")
        return json.loads(self.hear(rb"\{.*\}\n").group(0))


class Side:
    """A forwarder with the probe at both its ends."""

    def __init__(self, folder, make):
        self.probe = Probe(folder)
        self.forwarder = make(folder)

    def wait(self):
        """Until packets come through."""
        while self.probe.run(10000, 0.1)["received"] == 0:
            time.sleep(0.1)
        for one in self.both():
            one.go_first()

    def both(self):
        return [self.forwarder, self.probe]


def weir(folder):
    one = Weir(folder, last_cpu(), f"memif:{folder}/a.sock", f"memif:{folder}/b.sock", None, FREE)
    one.install(1, rewrite=False)
    return one


def testpmd(folder):
    vdevs = [f"net_memif{number},role=client,socket={folder}/{end}.sock,socket-abstract=no,rsize=10"
             for number, end in enumerate("ab")]
    return Testpmd(folder, last_cpu(), vdevs, "io")


class AddedPhases:
    def added(self):
        seconds, runs, sides = self.sizes.added_s, {"weir": [], "testpmd": []}, {}
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            try:
                for name, make in (("testpmd", testpmd), ("weir", weir)):
                    os.mkdir(f"{folder}/{name}")
                    sides[name] = Side(f"{folder}/{name}", make)
                    sides[name].wait()
                    hold_all(sides[name].both())
                for turn in range(self.sizes.device_rounds):
                    for name in sides if turn % 2 == 0 else reversed(list(sides)):
                        runs[name].append(self._half_load(sides[name], seconds))
            finally:
                for side in sides.values():
                    for one in side.both():
                        one.close()
        self.report.add("added", runs)
        for key, limit in (("p50_us", 1.3), ("p99_us", 1.5), ("p999_us", 2)):
            quotients = [a[key] / b[key] for a, b in zip(runs["weir"], runs["testpmd"])]
            ours, theirs = (statistics.median(run[key] for run in runs[name])
                            for name in ("weir", "testpmd"))
            rates = [statistics.median(run["rate"] for run in runs[name]) / 1e6 for name in runs]
            self.report.goal(f"latency at half load, {key[:-3]}, weir / testpmd io on memif",
                             statistics.median(quotients), "x", "<=", limit,
                             f"{ours:.1f} and {theirs:.1f} us at {rates[0]:.2f} and {rates[1]:.2f} M/s; "
                             f"ratios {min(quotients):.2f} to {max(quotients):.2f} of {len(quotients)}; "
                             "weir translates an established flow")

    def _half_load(self, side, seconds):
        """Latencies at half of the side's own highest rate of this turn."""
        for one in side.both():
            one.go_on()
        most = side.probe.run(0, seconds)["rate"]
        result = side.probe.run(int(most * LOAD), seconds)
        hold_all(side.both())
        return {**result, "most": most}
