"""weir beside Linux's SYN proxy and testpmd, which sends each SYN back to where it came from, through
the same pair of virtual devices: SYNs go in, answers are counted where they come out. A mix-in of
bench.py's Bench.

The generator stands at the far end of the box's outer port, in the router's place, and has the first
processor. The box has the last one: its worker, what the kernel does with what the port receives,
and sending. Its answers are taken in by the first. Processor time is all that the box's processor
worked, whoever did, and so means the same for boxes with and without a program."""
import concurrent.futures
import contextlib
import os
import re
import statistics
import time

from boxes import BUILD, SERVER, Box, expect_equal, until
from forwarders import Testpmd
from tables import last_cpu

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
SETTLE_S = 0.03
PATIENCE_S = 10
FIRST_RATE, STEP = 300000, 1.5
BEYOND = 0.9  # of the highest rate: with less, the search for it has gone past it
NEARLY_ALL = 0.85  # of the SYNs were answered: of more there may be more
SEND_BUFFER = 1 << 28  # or SYNs that the box has not received yet would hold up the next
GENERATOR_PRIORITY = 1
GENERATOR_MAX = 1000000  # of one processor, about
BEST, DOUBLE = "best", "double"
KINDS = {"proxy": "weir, af_packet", "testpmd": "testpmd 5tswap, af_packet", "xdp": "weir, af_xdp",
         "testpmd_xdp": "testpmd 5tswap, af_xdp", "synproxy": "nft SYNPROXY"}

# As weir opens its ports.
DEVICES = {"af_packet": "net_af_packet{number},iface={name},qpairs=1,blocksz=65536,framesz=2048,"
                        "framecnt=2048,qdisc_bypass=1",
           "af_xdp": "net_af_xdp{number},iface={name},start_queue=0,queue_count=1,busy_budget=0"}

ANSWERS_END = """
table netdev answers {
    chain ingress {
        type filter hook ingress device "pop-a" priority 0;
        ip daddr 198.18.0.0/15 drop
    }
}
"""


def first_cpu():
    return min(os.sched_getaffinity(0))


def worked_s(cpu):
    """Processor time so far, but for programs of low priority: what they do is nothing of ours."""
    with open("/proc/stat") as file:
        line = next(line for line in file if line.startswith(f"cpu{cpu} "))
    user, _, system, _, _, irq, softirq, *_ = map(int, line.split()[1:])
    return (user + system + irq + softirq) / TICKS_PER_S


def receiving_threads():
    """The kernel's for devices of this name, in any namespace."""
    found = set()
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/comm") as file:
                if file.read().startswith("napi/outside"):
                    found.add(int(pid))
        except FileNotFoundError:
            pass
    return found


def put_first(pid):
    """Its threads come before other programs, but not before each other, nor before the kernel's
    receiving, which they compete with as on a machine of their own."""
    for thread in os.listdir(f"/proc/{pid}/task"):
        os.setpriority(os.PRIO_PROCESS, int(thread), -20)
    if os.path.exists(f"/proc/{pid}/autogroup"):
        with open(f"/proc/{pid}/autogroup", "w") as file:
            file.write("-20")


@contextlib.contextmanager
def never_waiting():
    """Both processors have more than enough to do: who looks at the clock goes before all of it."""
    os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK,
                          os.sched_param(GENERATOR_PRIORITY + 1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


class PortBox(Box):
    """A box that is asked at its outer port alone."""

    def __init__(self, prefix, kind):
        super().__init__(prefix, kind)
        self.device = "af_xdp" if kind.endswith("xdp") else "af_packet"
        self.testpmd = None

    def bring_up(self):
        self.up("proxy", sets=[f"eal.cpus={last_cpu()}"], options=["--device", self.device])
        if self.kind == "synproxy":
            self._become_router()
            self._become_synproxy()
        elif self.kind.startswith("testpmd"):
            self._become_testpmd()
        self.output("edge", "nft", "-f", "-", text=ANSWERS_END)
        link = self.output("pop-a", "ip", "-o", "link", "show", "outside")
        self.mac = re.search(r"link/ether (\S+)", link).group(1)

    def _become_testpmd(self):
        self._end_weir()
        devices = [DEVICES[self.device].format(number=number, name=name)
                   for number, name in enumerate(("outside", "inside"))]
        self.testpmd = Testpmd(self.folder, last_cpu(), devices, "5tswap",
                               ["setsid", *self.command("pop-a", [])], ["--port-topology=loop"])
        self.testpmd.hold()

    def place(self):
        if self.testpmd:
            put_first(self.testpmd.process.pid)
        elif self.kind != "synproxy":
            put_first(self.pid())
        self._set_device("edge", "pop-a", "queues/rx-0/rps_cpus", f"{1 << first_cpu():x}")
        if self.device == "af_packet":
            self._set_device("pop-a", "outside", "queues/rx-0/rps_cpus", f"{1 << last_cpu():x}")
            return
        # With an XDP program receiving would be where the sender is: a thread can be elsewhere.
        others = receiving_threads()
        self._set_device("pop-a", "outside", "threaded", "1")
        for thread in until(lambda: receiving_threads() - others, 5, "a thread receives for the port"):
            os.sched_setaffinity(thread, {last_cpu()})
            os.setpriority(os.PRIO_PROCESS, thread, -20)

    def _set_device(self, host, device, name, value):
        # `ip netns exec`, for there /sys is the namespace's.
        self.output("edge", "ip", "netns", "exec", f"{self.name}-{host}", "sh", "-c",
                    f"echo {value} > /sys/class/net/{device}/{name}")

    def close(self):
        if self.testpmd:
            self.testpmd.close()
            self.testpmd = None
        super().close()

    def measure(self, rate, seconds):
        """Answers to so many SYNs a second, in a window amid the flood."""
        if self.testpmd:
            self.testpmd.go_on()
        with never_waiting():
            generator = self._flood_port(rate, seconds + PATIENCE_S)
            before = self._sample()["answers"]
            until(lambda: self._sample()["answers"] > before, PATIENCE_S / 2, f"{self.kind} answers nothing")
            time.sleep(SETTLE_S)
            begin = self._sample()
            time.sleep(seconds)
            end = self._sample()
            expect_equal(generator.poll(), None, "the window ends within the flood: its status")
            generator.terminate()
            generator.communicate()
        if self.testpmd:
            self.testpmd.hold()
        of = {key: end[key] - begin[key] for key in end}
        return {"wanted": rate, "offered": of["syns"] / of["time_s"],
                "rate": of["answers"] / of["time_s"], "load": of["worked_s"] / of["time_s"],
                "per_cpu_s": of["answers"] / max(of["worked_s"], 1 / TICKS_PER_S)}

    def _flood_port(self, rate, seconds):
        return self.start("edge", "chrt", "--fifo", GENERATOR_PRIORITY, "taskset", "-c", first_cpu(),
                          f"{BUILD}/test/bench/flood", "--syn", "--rate", int(rate), "--seconds", seconds,
                          "--send-buffer", SEND_BUFFER, "--interface", "pop-a", "--gateway-mac", self.mac,
                          f"{SERVER[4]}:80")

    def _sample(self):
        with self.inside("edge"), open("/proc/thread-self/net/dev") as file:
            counters = re.search(r"pop-a:(.*)", file.read()).group(1).split()
        return {"time_s": time.monotonic(), "answers": int(counters[1]),
                "syns": int(counters[9]) + int(counters[11]),  # taken, and refused
                "worked_s": worked_s(last_cpu())}

    def find_best(self, seconds):
        """Offers more, in steps, until the answers are fewer; two rates to go on with."""
        found, rate = [], FIRST_RATE
        while rate < GENERATOR_MAX:
            found.append(self.measure(rate, seconds))
            best = most_answers(found)
            if found[-1]["rate"] < BEYOND * best["rate"]:
                break
            rate *= STEP
        return beside(best)


def most_answers(found):
    return max(found, key=lambda one: one["rate"])


def beside(best):
    """That rate, and one where there may be more answers."""
    if best["rate"] > NEARLY_ALL * best["wanted"]:
        return best["wanted"], best["wanted"] * STEP ** 0.5
    return best["wanted"] / STEP ** 0.5, best["wanted"]


class KernelPhases:
    def kernel(self):
        if first_cpu() == last_cpu():
            raise RuntimeError("one processor: the generator needs another than the box")
        boxes = {kind: PortBox(self.prefix, kind) for kind in KINDS}
        try:
            with concurrent.futures.ThreadPoolExecutor() as pool:
                list(pool.map(PortBox.bring_up, boxes.values()))
            for box in boxes.values():
                box.place()
            runs = self._port_runs(boxes)
        finally:
            for box in boxes.values():
                box.close()
        self.report.add("kernel", runs)
        self._port_goals(runs)

    def _port_runs(self, boxes):
        """{kind: {BEST: [...], DOUBLE: [...]}}, windows at the best rate and with twice that offered."""
        seconds = self.sizes.kernel_s
        wanted = {kind: box.find_best(seconds) for kind, box in boxes.items()}
        runs = {kind: {BEST: [], DOUBLE: []} for kind in boxes}
        for turn in range(self.sizes.kernel_rounds):
            for kind in boxes if turn % 2 == 0 else reversed(list(boxes)):
                best = most_answers([boxes[kind].measure(rate, seconds) for rate in wanted[kind]])
                wanted[kind] = beside(best)
                runs[kind][BEST].append(best)
                runs[kind][DOUBLE].append(boxes[kind].measure(2 * best["rate"], seconds))
        return runs

    def _port_goals(self, runs):
        def middle(kind, offer, key):
            return statistics.median(one[key] for one in runs[kind][offer])

        def compare(name, key, above, below, sense, limit):
            quotients = [a[key] / b[key] for a, b in zip(runs[above][BEST], runs[below][BEST])]
            self.report.goal(name, statistics.median(quotients), "x", sense, limit,
                             f"{middle(above, BEST, key) / 1000:.0f} and "
                             f"{middle(below, BEST, key) / 1000:.0f} k/s; ratios {min(quotients):.2f} to "
                             f"{max(quotients):.2f} of {len(quotients)}")

        for kind, name in KINDS.items():
            self.report.goal(f"SYNs answered per CPU-second, {name}",
                             middle(kind, BEST, "per_cpu_s") / 1000, "k", None, 0,
                             f"{middle(kind, BEST, 'rate') / 1000:.0f} k/s of "
                             f"{middle(kind, BEST, 'offered') / 1000:.0f} offered, processor "
                             f"{last_cpu()} {100 * middle(kind, BEST, 'load'):.0f} % at work: {self._placed(kind)}; "
                             f"generator on {first_cpu()}")
        for above, below, sense, limit in (("proxy", "testpmd", ">=", 0.95),
                                           ("xdp", "testpmd_xdp", ">=", 0.95),
                                           ("xdp", "synproxy", ">=", 1.0),
                                           ("proxy", "synproxy", None, 1.0)):
            for key, unit in (("per_cpu_s", "CPU-second"), ("rate", "second")):
                compare(f"answers per {unit}, {KINDS[above]} / {KINDS[below].split(',')[0]}", key, above,
                        below, sense if key == "per_cpu_s" else None, limit)
        for kind, name in KINDS.items():
            quotients = [b["rate"] / a["rate"] for a, b in zip(runs[kind][BEST], runs[kind][DOUBLE])]
            self.report.goal(f"answers at 2x the best rate / at best, {name}",
                             statistics.median(quotients), "x", ">=" if kind in ("proxy", "xdp") else None,
                             0.8, f"{middle(kind, DOUBLE, 'rate') / 1000:.0f} k/s of "
                             f"{middle(kind, DOUBLE, 'offered') / 1000:.0f} offered; ratios "
                             f"{min(quotients):.2f} to {max(quotients):.2f} of {len(quotients)}")

    def _placed(self, kind):
        if kind == "synproxy":
            return "receiving by RPS, all else there"
        return f"worker, {'a thread that receives' if kind.endswith('xdp') else 'receiving by RPS'}, sending"
