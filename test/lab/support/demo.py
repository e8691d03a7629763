"""The demo behind scripts/demo: two appliances, the clients' packets entering at pop-a and the
servers' leaving at pop-b, a SYN flood, and 1000 downloads beside it.

The flood runs at three quarters of what pop-a answered in two seconds at full speed: on a machine of
two processors, generator, kernel, clients and both appliances share these, and what is measured is
the appliance, not who gets a processor. Flows the flood created are those whose client lies in the
flood's prefix."""
import json
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from labtest import BUILD, SERVER, Lab, target  # noqa: E402

DOWNLOADS = 1000
FLOOD_S = 20
RATE = 70  # downloads started per second: they end before the flood does
CALIBRATION_S = 2
SHARE_OF_CAPACITY = 0.75
FLOOD_PREFIX = "198.18.0.0/15"
NODES = ("pop-a", "pop-b")


class Progress:
    """The last line `OK FAILED` that connect wrote to standard error."""

    def __init__(self, stream):
        self.ok = 0
        self.stream = stream
        self.thread = threading.Thread(target=self._follow, daemon=True)
        self.thread.start()

    def _follow(self):
        for line in self.stream:
            if line.split()[0].isdigit():
                self.ok = int(line.split()[0])


def start_downloads(lab):
    words = lab.command("client", [
        f"{BUILD}/test/lab/connect", "--target", target(SERVER[4], 80), "--count", DOWNLOADS,
        "--rate", RATE, "--path", "/small", "--body", f"{lab.folder}/files/small",
        "--source-port", lab.take_ports(DOWNLOADS), "--progress"])
    process = subprocess.Popen(words, text=True, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    lab.processes.append(process)
    return process, Progress(process.stderr)


def sample(lab):
    service, opening = lab.service(), lab.show("cluster")["opening"]
    return {"syn": service["syn"], "synack": service["synack_sent"],
            "server_syn": service["server_syn"], "shared": opening["shared"],
            "wait_us": opening["wait_us_p50"],
            "flows": [lab.show("flow", "stats", node=node)["total"] for node in NODES],
            "at": time.monotonic()}


def calibrate(lab):
    """SYNs pop-a answers in a second when the generator does its worst."""
    before = lab.service()["synack_sent"]
    generator = lab.start_flood("syn", 4, CALIBRATION_S)
    sent = json.loads(generator.communicate()[0])
    return (lab.service()["synack_sent"] - before) / sent["seconds"]


def show_table(lab, begin, generator, downloads, progress):
    print("   time   SYN/s in  SYN/ACK/s  flows at pop-a, pop-b  SYNs to server  shared  downloads")
    before = begin
    while generator.poll() is None or downloads.poll() is None:
        time.sleep(1)
        now = sample(lab)
        seconds = now["at"] - before["at"]
        syn, synack = ((now[key] - before[key]) / seconds for key in ("syn", "synack"))
        print(f"  {now['at'] - begin['at']:5.1f} s {syn:9.0f} {synack:10.0f}"
              f" {now['flows'][0]:13} {now['flows'][1]:6}"
              f" {now['server_syn'] - begin['server_syn']:15} {now['shared'] - begin['shared']:7}"
              f"  {progress.ok:4}/{DOWNLOADS}", flush=True)
        before = now


def flows_of_the_flood(lab):
    return sum(len(lab.show("flow", "tcp", FLOOD_PREFIX, "any", "any", "any", node=node)["flows"])
               for node in NODES)


def run(lab):
    print("demo: client -- edge -+- pop-a -+- core -- server    to the server through pop-a,\n"
          "demo:                 +- pop-b -+                    back through pop-b; SYN proxy at both")
    lab.up("proxy", topology="asym")
    lab.serve_http()
    capacity = calibrate(lab)
    rate = int(capacity * SHARE_OF_CAPACITY)
    begin = sample(lab)
    print(f"demo: pop-a answers {capacity:.0f} SYN/s; flood from {FLOOD_PREFIX} at {rate} SYN/s for "
          f"{FLOOD_S} s; beside it {DOWNLOADS} downloads")
    generator = lab.start_flood("syn", 4, FLOOD_S, rate=rate)
    downloads, progress = start_downloads(lab)
    show_table(lab, begin, generator, downloads, progress)
    flood = json.loads(generator.stdout.read())
    report = json.loads(downloads.stdout.read())
    lab.check_conservation()
    print(f"demo: state reached pop-b {sample(lab)['wait_us'] / 1000:.1f} ms after the server's answer "
          f"(median)")
    return flood, report, flows_of_the_flood(lab)


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lab = Lab()
    try:
        flood, report, by_flood = run(lab)
    except (Exception, KeyboardInterrupt) as error:
        for line in lab.log_tail():
            print(f"# {line}")
        lab.close()
        print(f"demo: FAIL {type(error).__name__}: {error}")
        return 1
    lab.close()
    print(f"demo: downloads took {report['p50_us'] / 1000:.1f} ms (median), "
          f"{report['p99_us'] / 1000:.1f} ms (99 of 100)"
          + (f"; failed: {report['reasons']}" if report["failed"] else ""))
    good = report["ok"] == DOWNLOADS and by_flood == 0 and flood["sent"] > 0
    print(f"demo: {'PASS' if good else 'FAIL'} legitimate {report['ok']}/{DOWNLOADS}, "
          f"flood {flood['rate']:.0f} SYN/s for {flood['seconds']:.0f} s, "
          f"flows created by the flood {by_flood}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
