"""Two machines that share connections, as namespaces: conntrackd between two kernels, or weir's
sync_pair, over one veth. Both are asked the same: updates that arrived, time of the processor of both
daemons together, bytes on the wire."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import time

from boxes import BUILD
from labtest import end, until

A, B, SOURCE = "a", "b", "s"
ADDRESS = {A: "10.9.0.1", B: "10.9.0.2"}
SETTLE_S = 1.0
TICKS = os.sysconf("SC_CLK_TCK")
LIMIT = "/proc/sys/net/netfilter/nf_conntrack_max"
CONFIG = """
Sync {{
    Mode FTFW {{
        DisableExternalCache no
        StartupResync no
    }}
    UDP {{
        IPv4_address {own}
        IPv4_Destination_Address {other}
        Port 3780
        Interface sync
        SndSocketBuffer 16777216
        RcvSocketBuffer 16777216
        Checksum on
    }}
}}
General {{
    HashSize 262144
    HashLimit 1048576
    LogFile off
    Syslog off
    LockFile {folder}/{host}.lock
    UNIX {{ Path {folder}/{host}.ctl
    }}
    NetlinkBufferSize 16777216
    NetlinkBufferSizeMaxGrowth 67108864
    NetlinkOverrunResync off
    Filter From Userspace {{ Protocol Accept {{ TCP
    }}
    }}
}}
"""


class Wire:
    """Use with `with`."""

    def __init__(self, prefix):
        self.prefix = f"{prefix}-ct-"
        self.folder = tempfile.mkdtemp(prefix=f"{prefix}-ct")
        self.processes = []

    def __enter__(self):
        try:
            self._build()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in self.processes:
            end(process)
        for host in (A, B, SOURCE):
            subprocess.run(["ip", "netns", "del", self.prefix + host], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def ip(self, host, *words):
        subprocess.run(["ip", "-n", self.prefix + host, *words], check=True, capture_output=True)

    def inside(self, host, *words, **keys):
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{self.prefix}{host}", "--",
                                 *map(str, words)], text=True, stdin=subprocess.DEVNULL, **keys)

    def _link(self, here, name, there, other):
        self.ip(here, "link", "add", name, "type", "veth", "peer", "name", other, "netns",
                self.prefix + there)
        self.ip(here, "link", "set", name, "up")
        self.ip(there, "link", "set", other, "up")

    def _build(self):
        for host in (A, B, SOURCE):
            subprocess.run(["ip", "netns", "add", self.prefix + host], check=True, capture_output=True)
            self.ip(host, "link", "set", "lo", "up")
        self._link(A, "sync", B, "sync")
        self._link(A, "in", SOURCE, "out")
        self._link(A, "far", SOURCE, "sink")
        for host in (A, B):
            self.ip(host, "address", "add", f"{ADDRESS[host]}/24", "dev", "sync")
        self.ip(A, "address", "add", "10.8.0.1/24", "dev", "in")
        self.ip(A, "route", "add", "198.51.100.0/24", "dev", "far")
        self.ip(A, "neighbour", "add", "198.51.100.10", "lladdr", "02:00:00:00:00:01", "dev", "far")

    def _bytes(self):
        text = subprocess.run(["ip", "-n", self.prefix + A, "-s", "-j", "link", "show", "sync"],
                              check=True, capture_output=True, text=True).stdout
        stats = json.loads(text)[0]["stats64"]
        return stats["tx"]["bytes"], stats["rx"]["bytes"]

    # --- conntrackd ---

    def _daemon(self, host):
        path = f"{self.folder}/{host}.conf"
        with open(path, "w") as file:
            file.write(CONFIG.format(own=ADDRESS[host], other=ADDRESS[B if host == A else A],
                                     folder=self.folder, host=host))
        process = self.inside(host, "conntrackd", "-C", path, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL)
        self.processes.append(process)
        until(lambda: os.path.exists(f"{self.folder}/{host}.ctl"), 5, "conntrackd does not start")
        return process.pid

    def _seen(self, host, cache):
        """Connections the daemon's cache has seen created, and destroyed."""
        text = subprocess.run(["conntrackd", "-C", f"{self.folder}/{host}.conf", "-s"], text=True,
                              capture_output=True).stdout
        part = text[text.index(f"cache {cache}:"):]
        return sum(int(re.search(rf"connections {what}:\s+(\d+)", part).group(1))
                   for what in ("created", "destroyed"))

    @staticmethod
    def _cpu_s(pid):
        with open(f"/proc/{pid}/stat") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def conntrackd(self, rate, seconds):
        """ACKs of connections the kernel has not seen: it takes each for one that is established.
        Then it forgets them all."""
        rules = "table inet bench { chain f { type filter hook forward priority 0; ct state new accept; }; }"
        script = f"sysctl -q -w net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.in.rp_filter=0; nft '{rules}'"
        if self.inside(A, "sh", "-e", "-c", script).wait() != 0:
            raise RuntimeError("no rules: is nf_conntrack there?")
        pids = [self._daemon(host) for host in (A, B)]
        mac = subprocess.run(["ip", "-n", self.prefix + A, "-j", "link", "show", "in"], check=True,
                             capture_output=True, text=True).stdout
        before = sum(map(self._cpu_s, pids)), self._bytes()
        flood = self.inside(SOURCE, f"{BUILD}/test/bench/flood", "--ack", "--rate", rate,
                            "--seconds", seconds, "--interface", "out", "--gateway-mac",
                            json.loads(mac)[0]["address"], "198.51.100.10:80", stdout=subprocess.PIPE)
        made = json.loads(flood.communicate(timeout=seconds + 30)[0])
        time.sleep(SETTLE_S)
        self.inside(A, "conntrack", "-F", stderr=subprocess.DEVNULL).wait()
        time.sleep(SETTLE_S)
        after = sum(map(self._cpu_s, pids)), self._bytes()
        return self._row(made["rate"], self._seen(A, "internal"), self._seen(B, "external"),
                         before, after)

    @staticmethod
    def _row(rate, sent, applied, before, after):
        cpu_s = after[0] - before[0]
        return {"rate": rate, "sent": sent, "applied": applied, "cpu_s": cpu_s,
                "us": cpu_s * 1e6 / max(1, applied),
                "bytes": (after[1][0] - before[1][0]) / max(1, applied),
                "bytes_back": (after[1][1] - before[1][1]) / max(1, applied)}

    # --- weir ---

    def weir(self, rate, flows):
        before = self._bytes()
        ends = [self.inside(host, f"{BUILD}/test/bench/sync_pair", role, "--local",
                            f"{ADDRESS[host]}:4800", "--remote", f"{ADDRESS[other]}:4800",
                            "--flows", flows, "--rate", rate, stdout=subprocess.PIPE)
                for role, host, other in (("receiver", B, A), ("sender", A, B))]
        reports = [json.loads(process.communicate(timeout=90)[0]) for process in ends]
        cpu_s = sum(report["cpu_s"] for report in reports)
        return self._row(2 * flows / reports[1]["seconds"], reports[1]["updates"], reports[0]["applied"],
                         (0, before), (cpu_s, self._bytes()))


class RoomForConnections:
    """The kernel's limit, for all namespaces together, raised for a while."""

    def __enter__(self):
        with open(LIMIT) as file:
            self.before = file.read()
        if int(self.before) < 1 << 20:
            self._set(str(1 << 20))

    def __exit__(self, *_):
        self._set(self.before)

    @staticmethod
    def _set(value):
        with open(LIMIT, "w") as file:
            file.write(value)
