"""What forwards between virtual devices on one processor: weir (test/bench/line.c), and testpmd.
Both stand ready all the time; one of them runs, the other is held by SIGSTOP. Rates are per second
the processor spent on the forwarding thread: other work on the machine takes turns with it."""
import json
import os
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

from boxes import BUILD

ROOT = os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "..")
SETTLE_S = 0.05
ANSWER_S = 240
INSTALL_S = 1e-5  # a flow, at most
PATIENCE_S = 30


class Forwarder:
    """A program that answers lines."""

    def __init__(self, words, log):
        self.log = log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=errors)
        self.text = b""

    def say(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, pattern, seconds=ANSWER_S):
        """The next match of the pattern; what was before it is forgotten."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text)):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0, end - time.monotonic()))
            data = os.read(self.process.stdout.fileno(), 65536) if ready else b""
            if not data:
                with open(self.log) as file:
                    raise RuntimeError(f"{self.process.args[0]}: no {pattern.decode()}: "
                                       f"{self.text[-300:].decode()} {file.read()[-500:]}")
            self.text += data
        self.text = self.text[match.end():]
        return match

    def go_first(self):
        """From now on it has its processors before anybody else."""
        subprocess.run(["chrt", "--all-tasks", "--fifo", "--pid", "1", str(self.process.pid)], check=True)

    def forwarding_first(self):
        """The same for the forwarding thread alone."""
        spent = self.threads_ns()
        subprocess.run(["chrt", "--fifo", "--pid", "1", max(spent, key=spent.get)], check=True)

    def hold(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_S)

    def threads_ns(self):
        """Processor time of each of its threads."""
        spent = {}
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            with open(f"/proc/{self.process.pid}/task/{task}/schedstat") as file:
                spent[task] = int(file.read().split()[0])
        return spent

    def sample(self):
        return {**self.count(), "threads_ns": self.threads_ns()}

    def rate(self, begin, end):
        """Packets per second of the busiest thread."""
        spent_s = max(ns - begin["threads_ns"].get(task, 0)
                      for task, ns in end["threads_ns"].items()) / 1e9
        packets = end["packets"] - begin["packets"]
        return packets / (spent_s - self.besides_s(begin, end)) if packets else 0.0

    def besides_s(self, begin, end):
        """Of that, what has nothing to do with forwarding."""
        return 0.0

    def best_rate(self, windows, seconds):
        """The best of several windows: what else the machine did slowed the others."""
        self.go_on()
        rates, deadline = [], time.monotonic() + PATIENCE_S
        begin = self.sample()
        while len(rates) < windows:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.process.args[0]} forwards nothing")
            time.sleep(seconds)
            end = self.sample()
            if rate := self.rate(begin, end):  # it had no turn in a window without
                rates.append(rate)
            begin = end
        self.hold()
        return max(rates)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()


def hold_all(forwarders):
    for one in forwarders:
        one.hold()


class Weir(Forwarder):
    """`done` names the counter that is the rate: transmitted, or dropped. None: packets come later."""

    def __init__(self, folder, cpu, outside, inside, done, sets=()):
        runtime = tempfile.mkdtemp(prefix="line", dir=folder) + "/run"
        settings = ["node=line", f"runtime={runtime}", f'eal.cpus={cpu}', "eal.memory_mb=128",
                    f'ports.outside.device={outside}', f'ports.inside.device={inside}',
                    "log.to=stderr"] + list(sets)
        super().__init__([f"{BUILD}/test/bench/line", f"{ROOT}/conf/single.cfg"] + settings,
                         f"{runtime}.log")
        self.done = done or "transmitted"
        while self.count()["received" if done else "ns"] == 0:
            time.sleep(0.05)

    def count(self):
        self.say("count")
        counters = json.loads(self.hear(rb"\{\"state\".*\}\n").group(0))
        return {**counters, "packets": counters[self.done]}

    def install(self, flows, rewrite):
        """Established flows. With `rewrite` each frame is made one of a random flow of them."""
        self.say(f"{'rewrite' if rewrite else 'flows'} {flows}")
        self._hear_flows(flows)

    def grow(self, flows, step):
        """To so many, `step` in each turn of the worker. What turns took, and an empty loop."""
        self.say(f"grow {flows} {step}")
        return self._hear_flows(flows)

    def _hear_flows(self, flows):
        answer = json.loads(self.hear(rb"\{\"flows\".*\}\n", ANSWER_S + flows * INSTALL_S).group(0))
        if answer["flows"] != flows:
            raise RuntimeError(f"{answer['flows']} flows where {flows} were installed")
        return answer

    def show_all(self, flows):
        """Until every flow has been seen from both sides: then they are judged as any."""
        while min(self.count()["shown"]) < flows:
            time.sleep(0.05)

    def reasons(self):
        self.go_on()
        return self.count()["reasons"]

    def cycles(self, seconds):
        """TSC cycles for each packet: of the worker, and of its engine."""
        self.go_on()
        begin = end = self.sample()
        while self.rate(begin, end) == 0:
            time.sleep(seconds)
            end = self.sample()
        spent = {key: end[key] - begin[key]
                 for key in ("packets", "rewrite_cycles", "engine_cycles", "busy_cycles")}
        cycles = end["tsc_hz"] / self.rate(begin, end)
        share = spent["engine_cycles"] / spent["busy_cycles"]
        whole = cycles + spent["rewrite_cycles"] / spent["packets"]
        return {"engine": whole * share, "all": cycles}

    def besides_s(self, begin, end):
        """What it took to make the frames others."""
        return (end["rewrite_cycles"] - begin["rewrite_cycles"]) / end["tsc_hz"]


class Testpmd(Forwarder):
    """`launcher`: words in front of the command, such as those that enter a namespace."""

    def __init__(self, folder, cpu, devices, mode, launcher=(), options=()):
        program = shutil.which("dpdk-testpmd")
        if not program:
            raise RuntimeError("dpdk-testpmd is not installed")
        vdevs = [f"--vdev={device}" for device in devices]
        super().__init__([*launcher, "stdbuf", "-oL", program, "-l", f"0,{cpu}", "--no-huge", "-m", "512",
                          "--no-pci", "--no-shconf", "--no-telemetry"] + vdevs +
                         ["--", "-i", "--nb-cores=1", "--burst=32", "--rxd=512", "--txd=512",
                          "--total-num-mbufs=16384", *options], f"{folder}/testpmd.log")
        self.counter = "RX" if mode == "rxonly" else "TX"
        self.say(f"set fwd {mode}")
        self.say("start")
        self.hear(rb"packet forwarding - ports", 60)

    def count(self):
        self.text = b""
        self.say("show port stats all")
        self.say("show config fwd")
        text = self.hear(rb"(?s)NIC statistics.*(packet forwarding - ports)", 20).group(0)
        packets = sum(int(one) for one in re.findall(self.counter.encode() + rb"-packets: (\d+)", text))
        return {"packets": packets}
