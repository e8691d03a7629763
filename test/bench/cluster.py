"""What the cluster costs: updates in memory, beside conntrackd, and connections over two PoPs. A
mix-in of bench.py's Bench."""
import json
import shutil
import statistics
import subprocess
import time

import conntrack
from boxes import BUILD
from pops import NODES, Pops

FLOWS = 1 << 20
RATES = (30000, 60000, 90000)  # new connections a second offered to conntrackd
FLOOD_S = 1.5
IDLE_S = 2
RTT_MS, POPS_RTT_MS = 10, 2
QUOTED_US, QUOTED_BYTES = 6.3, 87  # of conntrackd, on another machine


def median(values):
    return statistics.median(values)


class ClusterPhases:
    # --- in memory ---

    def updates(self):
        result = subprocess.run([f"{BUILD}/test/bench/updates", "--flows",
                                 str(FLOWS if not self.sizes.quick else FLOWS // 4)],
                                text=True, capture_output=True, timeout=300, check=True)
        data = json.loads(result.stdout)
        self.report.add("updates", data)
        for row in data["rows"]:
            self._bytes_goal(row)
        for row in data["rows"]:
            if row["form"] in ("ip4", "ip6"):
                self._rate_goal(row, data["flows"])

    def _bytes_goal(self, row):
        created = row["phase"] == "created"
        if not created and row["form"] != "ip4":
            return  # the same for all
        judged = row["form"] == "ip4"
        self.report.goal(f"bytes per update, {row['form']}, {row['phase']}", row["bytes_per_update"],
                         "B", "<=" if judged else None, 22 if created else 8,
                         f"Ethernet, IPv4, UDP and record included; {row['updates_per_datagram']:.0f}"
                         f" in a datagram; {row['bytes_back_per_update']:.1f} B back")

    def _rate_goal(self, row, flows):
        self.report.goal(f"updates applied per second and core, {row['form']}, {row['phase']}",
                         row["applied_per_s"] / 1e6, "M/s", ">=" if row["form"] == "ip4" else None, 10,
                         f"{flows} flows; {row['receiver_ns']:.0f} ns cluster, {row['engine_ns']:.0f} "
                         f"ns engine; the sender {row['sender_ns']:.0f} ns")

    # --- beside conntrackd ---

    def conntrackd(self):
        if not shutil.which("conntrackd"):
            raise RuntimeError("conntrackd is not installed; elsewhere it was measured (quoted) at "
                               f"{QUOTED_US} us and {QUOTED_BYTES} B per update")
        rows, ours = [], []
        with conntrack.RoomForConnections():
            for rate in RATES[1:] if self.sizes.quick else RATES:
                with conntrack.Wire(self.prefix) as wire:
                    rows.append(wire.conntrackd(rate, FLOOD_S))
                with conntrack.Wire(self.prefix) as wire:
                    ours.append(wire.weir(0, FLOWS // 4))
        with conntrack.Wire(self.prefix) as wire:
            same_rate = wire.weir(RATES[1], FLOWS // 16)
        self.report.add("conntrackd", {"conntrackd": rows, "weir": ours, "weir_paced": same_rate})
        best = min((row for row in rows if row["applied"] == row["sent"]), key=lambda row: row["us"])
        us, size = median([row["us"] for row in ours]), median([row["bytes"] for row in ours])
        self.report.goal("updates per CPU-second of the pair, weir / conntrackd", best["us"] / us, "x",
                         ">=", 20, f"{us:.2f} us of both weir ends per update, conntrackd "
                         f"{best['us']:.1f} at its best ({best['rate'] / 1000:.0f} k/s, {best['sent']} "
                         f"updates, none lost); stretch 60; quoted from elsewhere: {QUOTED_US}")
        self.report.goal("bytes per update, weir / conntrackd", size / best["bytes"], "x", "<=", 0.25,
                         f"{size:.1f} and {best['bytes']:.1f} B, half created, half closed; quoted from "
                         f"elsewhere: {QUOTED_BYTES}")
        self.report.goal("the same, weir paced, updates per CPU-second", best["us"] / same_rate["us"],
                         "x", None, 20, f"{same_rate['us']:.1f} us and {same_rate['bytes']:.1f} B when "
                         f"{RATES[1] / 1000:.0f} k updates/s arrive one by one: a record and a wake-up "
                         "for each or two")

    # --- connections over two PoPs ---

    def pops(self):
        sides = {"direct": self.boxes["direct"], "proxy": self.boxes["proxy"],
                 "asym_direct": Pops(self.prefix, "asym_direct"), "asym": Pops(self.prefix, "asym")}
        try:
            for kind in ("asym_direct", "asym"):
                sides[kind].bring_up()
            self._pops_latency("bare wires", sides, 1)
            self._pops_idle(sides["asym"])
            self._pops_bytes(sides["asym"])
            for box in sides.values():
                box.impair("client", f"delay={RTT_MS / 2}ms")
            sides["asym"].impair("sync:pop-a", f"delay={POPS_RTT_MS / 2}ms")
            self._pops_latency(f"{RTT_MS} ms RTT, {POPS_RTT_MS} ms between pops", sides, 6)
        finally:
            for kind in ("direct", "proxy"):
                if sides[kind].is_up():
                    sides[kind].impair("client", "off")
            for kind in ("asym", "asym_direct"):
                sides[kind].close()

    def _pops_latency(self, wires, sides, parallel):
        runs = {kind: [] for kind in sides}
        box, count = sides["asym"], self.sizes.pops_connects
        threads, before = box.threads(), box.opening()
        for turn in range(self.sizes.pops_rounds):
            for kind in list(sides) if turn % 2 == 0 else reversed(list(sides)):
                runs[kind].append(sides[kind].connects(count, parallel=parallel))
        after = box.threads()
        total = count * self.sizes.pops_rounds
        spent = {f"{node} {kind}": {"cpu_us": (ns - threads[node, kind][0]) / 1000 / total,
                                    "sleeps": (slept - threads[node, kind][1]) / total}
                 for (node, kind), (ns, slept) in after.items()}
        self.report.add(f"pops {wires}", {"runs": runs, "per_connect": spent, "opening_before": before,
                                          "opening": box.opening(), "peer": box.peer()})
        self._latency_of("symmetric", "proxy", "direct", wires, runs, None)
        sleeps = ", ".join(f"{name} {one['sleeps']:.1f}" for name, one in sorted(spent.items()))
        self._latency_of("asymmetric", "asym", "asym_direct", wires, runs, 1.5)
        opening = box.opening()
        self.report.goal(f"confirmation awaited, {wires}", opening["wait_us_p50"], "us", None, 0,
                         f"median, up to a power of two; {box.peer()['rtt_us']} us between the pops' "
                         f"cluster threads; sleeps per connect: {sleeps}")

    def _latency_of(self, name, kind, base, wires, runs, limit):
        def of(side, key):
            return [run[key] for run in runs[side]]
        quotients = [a / b for a, b in zip(of(kind, "first_p50_us"), of(base, "first_p50_us"))]
        added = {key: median([a - b for a, b in zip(of(kind, key), of(base, key))])
                 for key in ("connect_p50_us", "first_p50_us")}
        failed = sum(of(kind, "failed"))
        self.report.goal(f"first byte / direct, {name}, {wires}", median(quotients), "x",
                         "<=" if limit else None, limit or 0,
                         f"connect() to first byte {median(of(kind, 'first_p50_us')):.0f} us, direct "
                         f"{median(of(base, 'first_p50_us')):.0f}; connect() itself "
                         f"{added['connect_p50_us']:+.0f} us, first byte {added['first_p50_us']:+.0f} us; "
                         f"{sum(of(kind, 'ok'))} connects, {failed} failed")

    def _pops_idle(self, box):
        time.sleep(1)
        before, begin = box.threads(), time.monotonic()
        time.sleep(IDLE_S)
        after, seconds = box.threads(), time.monotonic() - begin
        self.report.add("pops idle", {f"{node} {kind}": (spent - before[node, kind][0]) / seconds / 1e9
                                      for (node, kind), (spent, _) in after.items()})
        for kind in ("cluster", "worker"):
            most = max((after[node, kind][0] - before[node, kind][0]) / seconds / 1e7 for node in NODES)
            self.report.goal(f"{kind} thread of an idle node", most, "%", "<=", 1.0, "of a processor")

    def _pops_bytes(self, box):
        """Of real connections, one after the other: each update has a datagram almost for itself."""
        before = box.peer()
        box.connects(self.sizes.pops_connects, parallel=1)
        time.sleep(0.1)
        after = box.peer()
        sent = after["updates_sent"] - before["updates_sent"]
        self.report.goal("bytes per update, real connections one by one",
                         (after["tx_bytes"] - before["tx_bytes"]) / max(1, sent), "B", None, 0,
                         f"payload of UDP; {sent} updates of {self.sizes.pops_connects} connections; "
                         "some carry the server's SYN/ACK, and acknowledgements and heartbeats count")
