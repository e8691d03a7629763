"""What stands between the client and the server: weir in one mode or another, a plain Linux router,
or the kernel's own SYN proxy. Each is a whole lab of its own, so that all of them are up at the same
time and traffic can take turns between them."""
import json
import os
import re
import signal
import sys

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lab", "support"))
from labtest import BUILD, SERVER, Lab, expect_equal, until  # noqa: E402,F401

# The router that takes weir's place keeps its neighbours' addresses: it answers ARP for both.
ROUTER = """
ip link set local down
ip address add 203.0.113.19/32 dev outside
ip route replace 203.0.113.17/32 dev outside
ip route replace 203.0.113.18/32 dev inside
ip route replace 198.51.100.0/24 via 203.0.113.18 dev inside
ip route replace default via 203.0.113.17 dev outside
sysctl -q -w net.ipv4.conf.all.proxy_arp=1 net.ipv4.neigh.outside.proxy_delay=0
sysctl -q -w net.ipv4.neigh.inside.proxy_delay=0 net.ipv4.conf.all.send_redirects=0
sysctl -q -w net.ipv4.conf.outside.send_redirects=0 net.ipv4.conf.inside.send_redirects=0
sysctl -q -w net.ipv4.ip_forward=1
"""

SYNPROXY = """
table inet kernel {
    chain untrack {
        type filter hook prerouting priority raw;
        iifname "outside" tcp flags & (fin | syn | rst | ack) == syn notrack
    }
    chain forward {
        type filter hook forward priority filter;
        iifname "outside" meta l4proto tcp ct state invalid,untracked \
            synproxy mss 1460 wscale 7 timestamp sack-perm
        ct state invalid drop
    }
}
"""

SYNPROXY_SYSCTLS = ["net.ipv4.tcp_syncookies=1", "net.ipv4.tcp_timestamps=1",
                    "net.netfilter.nf_conntrack_tcp_loose=0"]


RULES_OWN = 3  # of conf/single.cfg


LETTERS = {"proxy": "p", "bypass": "b", "direct": "d", "synproxy": "s", "xdp": "x", "testpmd": "t",
           "testpmd_xdp": "u"}


class Box(Lab):
    """`kind`: proxy, bypass (weir in that mode), direct (a router), synproxy (nft); of kernel.py's
    boxes also xdp (weir on af_xdp), testpmd, testpmd_xdp."""

    def __init__(self, prefix, kind):
        super().__init__(prefix + LETTERS[kind])
        self.kind = kind
        self.is_weir = kind in ("proxy", "bypass")

    def bring_up(self):
        self.up(self.kind if self.is_weir else "bypass")
        if not self.is_weir:
            self._become_router()
        if self.kind == "synproxy":
            self._become_synproxy()
        self.serve_http()
        self.start("server", "iperf3", "-s")
        self.expect_downloads(4, 20)

    def is_up(self):
        return os.path.exists(f"{self.state}/topology")

    def _end_weir(self):
        pid = self.pid()
        os.kill(pid, signal.SIGTERM)
        until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "weir ends")

    def _become_router(self):
        self._end_weir()
        self.output("pop-a", "sh", "-e", "-c", ROUTER)

    def _become_synproxy(self):
        self.output("pop-a", "nft", "-f", "-", text=SYNPROXY)
        self.output("pop-a", "sysctl", "-q", "-w", *SYNPROXY_SYSCTLS)

    # --- traffic ---

    def connects(self, count, **keys):
        return self.download_many(4, count, **keys)

    def iperf(self, seconds, reverse):
        """Bits per second that arrived, of one stream."""
        words = ["iperf3", "-J", "-c", SERVER[4], "-t", seconds] + (["-R"] if reverse else [])
        for _ in range(3):
            text = self.output("client", *words, timeout=seconds + 60)
            # Under loss iperf3 sometimes ends without the other side's results, and says nothing.
            received = json.loads(text)["end"].get("sum_received")
            if received:
                return received["bits_per_second"]
        raise RuntimeError(f"iperf3 gave no results three times: {text[-500:]}")

    def flood(self, kind, seconds, rate="max"):
        return self.start_flood(kind, 4, seconds, rate)

    def flood_report(self, generator, seconds):
        text = generator.communicate(timeout=seconds + 30)[0]
        expect_equal(generator.returncode, 0, f"status of the generator ({text})")
        return json.loads(text)

    # --- counters ---

    def answers(self):
        """Frames that came back to the sources of the flood, counted at the client."""
        text = self.output("client", "nft", "list", "counter", "netdev", "flood", "flood4")
        return int(re.search(r"packets (\d+)", text).group(1))

    def paths(self):
        """{path: (packets, cycles)} since the start, over all workers."""
        total = {}
        for worker in self.show("worker")["workers"]:
            for name, path in worker["paths"].items():
                packets, cycles = total.get(name, (0, 0.0))
                total[name] = (packets + path["packets"],
                               cycles + path["packets"] * path["cycles_per_packet"])
        return total

    def counters(self):
        drop = self.show("drop")
        return {"created": self.flows_created(), "resident_kib": self.resident_kib(),
                "received": drop["received"], "dropped": drop["dropped"],
                "missed": sum(port["rx_missed"] for port in
                              self.show("port", "stats", "all")["ports"])}

    # --- rules ---

    def set_rules(self, count):
        """`count` rules in all, of which those in front match nothing in the lab."""
        path = f"{self.state}/pop-a.cfg"
        original = path + ".original"
        if not os.path.exists(original):
            os.rename(path, original)
        with open(original) as file:
            text = file.read()
        extra = "".join(f'{{ name = "r{i}"; from = "outside"; to = [ "10.{i >> 8}.{i & 255}.0/24" ]; '
                        f'protocol = "tcp"; ports = "1-65535"; action = "deny"; }},\n'
                        for i in range(count - RULES_OWN))
        with open(path, "w") as file:
            file.write(text.replace("rules = (", "rules = (\n" + extra, 1))
        before = self.show("status")["config_generation"]
        result = self.weirctl("reload", timeout=60)
        expect_equal(result.returncode, 0, f"reload ({result.stdout} {result.stderr})")
        until(lambda: self.show("status")["config_generation"] > before, 30,
              f"{count} rules are in force")
        named = len(self.show("rule", "hits")["rules"])  # with or without `default`
        expect_equal(named in (count, count + 1), True, f"{named} rules in force, {count} wanted")
