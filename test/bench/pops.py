"""Two PoPs: the lab's `asym` topology, with weir in both, or with both replaced by plain routers on
the same wires; and what the threads of a node do there."""
import contextlib
import os
import signal

from boxes import ROUTER, Box
from labtest import until

NODES = ("pop-a", "pop-b")
# pop-b's links, in what makes a router of pop-a.
OF_B = {"203.0.113.17": "203.0.113.33", "203.0.113.18": "203.0.113.34", "203.0.113.19": "203.0.113.35"}


class Pops(Box):
    """`kind`: asym (weir, proxy), asym_direct (routers)."""

    def __init__(self, prefix, kind):
        super().__init__(prefix, "proxy" if kind == "asym" else "direct")
        self.name = self.name[:-1] + {"asym": "a", "asym_direct": "r"}[kind]
        self.env["WEIR_LAB"] = self.name
        self.state = f"/run/weir-lab/{self.name}"
        self.runtime = self.runtime_of("pop-a")
        self.kind = kind

    def bring_up(self):
        self.up("proxy", topology="asym")
        if self.kind == "asym_direct":
            for node in NODES:
                self._route(node)
        self.serve_http()
        self.expect_downloads(4, 20)

    def _route(self, node):
        pid = self.pid(node)
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}"), 10, f"weir of {node} ends")
        script = ROUTER
        if node == "pop-b":
            for ours, theirs in OF_B.items():
                script = script.replace(ours, theirs)
        self.output(node, "sh", "-e", "-c", script)

    def threads(self):
        """{(node, "worker" or "cluster"): (nanoseconds on a processor, times it slept)}"""
        total = {}
        for node in NODES:
            tasks = f"/proc/{self.pid(node)}/task"
            for task in os.listdir(tasks):
                with contextlib.suppress(OSError):
                    self._add_thread(total, node, f"{tasks}/{task}")
        return total

    @staticmethod
    def _add_thread(total, node, folder):
        with open(f"{folder}/comm") as file:
            name = file.read().strip()
        kind = "worker" if name.startswith("rte-worker") else name
        if kind not in ("worker", "cluster"):
            return
        with open(f"{folder}/schedstat") as file:
            spent = int(file.read().split()[0])
        with open(f"{folder}/status") as file:
            slept = int(next(line.split()[1] for line in file
                             if line.startswith("voluntary_ctxt_switches")))
        before = total.get((node, kind), (0, 0))
        total[node, kind] = (before[0] + spent, before[1] + slept)

    def opening(self):
        return self.show("cluster")["opening"]

    def peer(self):
        return self.show("cluster")["peers"][0]
