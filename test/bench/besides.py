"""What weir does besides forwarding: starting, ageing, growing, reading captures. A mix-in of bench.py's
Bench."""
import json
import statistics
import subprocess
import tempfile
import time

import captures
from boxes import BUILD
from devices import FRAMES, FREE, MILLION, capacity_for, device, named
from forwarders import ROOT, Testpmd, Weir
from tables import available_bytes, last_cpu

EAL = ["--no-huge", "--no-shconf", "-m", "128", "--no-pci", "--iova-mode=va", "--no-telemetry",
       "--log-level=warning"]
AGED_PERCENT = 2
AGED_BYTES = 300  # of memory each takes, with a fourth of the table free
GROWN_STEP = 16  # flows in a turn: more than a million connections per second
REPLAYED = 2000  # times the capture


def spread(values):
    return f"ratios {min(values):.2f} to {max(values):.2f} of {len(values)}"


class BesidesPhases:
    # --- from exec to the first packet ---

    def start(self):
        capacities = self.sizes.start_capacities
        took = {name: [] for name in ["eal"] + capacities}
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            captures.write(f"{folder}/ack.pcap", "ack", FRAMES)
            for turn in range(self.sizes.start_rounds):
                for name in took if turn % 2 == 0 else reversed(list(took)):
                    took[name].append(self._eal_s() if name == "eal" else self._first_packet_s(folder, name))
        self.report.add("start", {str(name): them for name, them in took.items()})
        for capacity in capacities:
            quotients = [a / b for a, b in zip(took[capacity], took["eal"])]
            self.report.goal(f"exec to first packet, capacity {capacity}, weir / rte_eal_init alone",
                             statistics.median(quotients), "x", "<=", 1.3,
                             f"{statistics.median(took[capacity]) * 1000:.0f} and "
                             f"{statistics.median(took['eal']) * 1000:.0f} ms; {spread(quotients)}")

    def _eal_s(self):
        begin = time.monotonic_ns()
        result = subprocess.run([f"{BUILD}/test/bench/eal_start", f"--lcores=0@0,1@{last_cpu()}"] + EAL,
                                capture_output=True, text=True, check=True, timeout=60)
        return (int(result.stdout.split()[-1]) - begin) / 1e9

    def _first_packet_s(self, folder, capacity):
        begin = time.monotonic_ns()
        weir = Weir(folder, last_cpu(), f"pcap:{folder}/ack.pcap,loop", "null", "transmitted",
                    ["services.lab.mode=bypass", f"flows.capacity={capacity}"])
        try:
            while not (first := weir.count()["first_ns"]):
                time.sleep(0.01)
        finally:
            weir.close()
        return (first - begin) / 1e9

    # --- ageing ---

    def ageing(self):
        flows = self.sizes.aged
        if flows * AGED_BYTES > available_bytes():
            raise RuntimeError(f"{available_bytes() >> 20} MiB of memory are not enough for {flows} flows")
        result = subprocess.run(["taskset", "-c", str(last_cpu()), f"{BUILD}/test/bench/ageing", "--flows",
                                 str(flows), "--rounds", str(self.sizes.aged_rounds)],
                                text=True, capture_output=True, timeout=300, check=True)
        data = json.loads(result.stdout)
        self.report.add("ageing", data)
        shares = [100 * (one["with"]["share"] - one["without"]["share"]) for one in data["rounds"]]
        self.report.goal(f"ageing of {flows / 1e6:.0f} M flows, share of a core", statistics.median(shares),
                         "%", "<=", AGED_PERCENT,
                         f"{min(shares):.2f} to {max(shares):.2f} of {len(shares)}; a slice a millisecond, "
                         "of so many flows at most that with more of them a round takes longer than a "
                         "second; the goal is for 10 M")
        longs = {name: sum(one[name]["longs"] for one in data["rounds"]) /
                 sum(one[name]["seconds"] for one in data["rounds"]) for name in ("with", "nothing")}
        worst = max(one["with"]["worst_us"] for one in data["rounds"])
        self.report.goal("turns > 20 us per second while ageing, weir / empty loop",
                         longs["with"] / max(1, longs["nothing"]), "x", "<=", 1.1,
                         f"{longs['with']:.0f} and {longs['nothing']:.0f}; the longest {worst:.0f} us; "
                         "one turn each 50 us")

    # --- growing ---

    def growth(self):
        """Turns of the worker while its table fills from a million flows on, of which it forwards."""
        flows = max(self._fitting("growth to", self.sizes.grown))
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            for kind in ("to_server", "to_client"):
                captures.write(f"{folder}/{kind}.pcap", kind, FRAMES)
            weir = Weir(folder, last_cpu(), f"pcap:{folder}/to_server.pcap,loop",
                        f"pcap:{folder}/to_client.pcap,loop", "transmitted",
                        FREE + [f"flows.capacity={capacity_for(flows)}"])
            try:
                weir.install(MILLION, rewrite=True)
                weir.show_all(MILLION)
                weir.forwarding_first()
                data = weir.grow(flows, GROWN_STEP)
            finally:
                weir.close()
        self.report.add("growth", data)
        per_s = {name: data[name]["longs"] / data[name]["seconds"] for name in ("growing", "steady", "nothing")}
        pages = [100 * done / data["memory_bytes"] for done in data["populated_bytes"]]
        turn_us = {name: data[name]["seconds"] * 1e6 / data[name]["count"] for name in ("growing", "steady")}
        grown_per_s = (flows - MILLION) / data["growing"]["seconds"]
        self.report.goal(f"turns > 20 us per second while the table grows, 1 M to {named(flows)} flows, "
                         "weir / empty loop", per_s["growing"] / max(1, per_s["nothing"]), "x", "<=", 1.1,
                         f"{per_s['growing']:.0f} and {per_s['nothing']:.0f}, turns that add no flow "
                         f"{per_s['steady']:.0f}; a turn takes {turn_us['growing']:.1f} us, without new flows "
                         f"{turn_us['steady']:.1f}; the longest {data['growing']['worst_us']:.0f} us; "
                         f"{grown_per_s / 1e6:.1f} M flows per second, {pages[0]:.0f} % of the pages there "
                         f"before and {pages[1]:.0f} % behind it")

    # --- captures ---

    def replaying(self):
        """Frames offered to the engine per second."""
        rates = {"testpmd": [], "weir": []}
        with tempfile.TemporaryDirectory(prefix="weir-bench-") as folder:
            captures.write(f"{folder}/ack_ts.pcap", "ack_ts", FRAMES)
            testpmd = Testpmd(folder, last_cpu(), [device(folder, "ack_ts")], "io")
            testpmd.hold()
            try:
                for _ in range(self.sizes.start_rounds):
                    rates["testpmd"].append(testpmd.best_rate(self.sizes.device_windows,
                                                              self.sizes.device_s))
                    rates["weir"].append(self._replay_rate(folder))
            finally:
                testpmd.close()
        self.report.add("replaying", rates)
        quotients = [a / b for a, b in zip(rates["weir"], rates["testpmd"])]
        self.report.goal("frames offered by weir replay / testpmd io on net_pcap",
                         statistics.median(quotients), "x", ">=", 2,
                         f"{statistics.median(rates['weir']) / 1e6:.2f} and "
                         f"{statistics.median(rates['testpmd']) / 1e6:.2f} M/s; {spread(quotients)}; "
                         "reading the file and preparing frames, without the engine")

    def _replay_rate(self, folder):
        result = subprocess.run(["taskset", "-c", str(last_cpu()), f"{BUILD}/weir", "replay", "-c",
                                 f"{ROOT}/conf/single.cfg", "--in", f"{folder}/ack_ts.pcap", "--raw", "--loop",
                                 str(REPLAYED), "--set", "services.lab.mode=bypass"],
                                text=True, capture_output=True, timeout=120, check=True)
        data = json.loads(result.stdout)
        stages = {one["name"]: one["cycles_per_packet"] for one in data["stages"]}
        return data["engine_pps"] * data["cycles_per_packet"] / (stages["read"] + stages["prepare"])
