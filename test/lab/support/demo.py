"""The demo behind scripts/demo: one lab in proxy mode, a SYN flood, and 1000 downloads beside it.

The flows the flood created are those the node counts minus one for each legitimate connection."""
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
    service, drop = lab.service(), lab.show("drop")
    return {"syn": service["syn"], "synack": service["synack_sent"],
            "server_syn": service["server_syn"], "dropped": drop["dropped"],
            "flows": lab.show("flow", "stats")["total"], "at": time.monotonic()}


def show_table(lab, begin, generator, downloads, progress):
    print("   time     SYN/s in   SYN/ACK/s   drops/s    flows  SYNs to server  downloads")
    before = begin
    while generator.poll() is None or downloads.poll() is None:
        time.sleep(1)
        now = sample(lab)
        seconds = now["at"] - before["at"]
        syn, synack, dropped = ((now[key] - before[key]) / seconds
                                for key in ("syn", "synack", "dropped"))
        print(f"  {now['at'] - begin['at']:5.1f} s {syn:11.0f} {synack:11.0f} {dropped:9.0f}"
              f" {now['flows']:8} {now['server_syn'] - begin['server_syn']:15}"
              f"  {progress.ok:4}/{DOWNLOADS}", flush=True)
        before = now


def run(lab):
    print("demo: client -- edge -- weir (SYN proxy) -- core -- server, as network namespaces")
    lab.up("proxy")
    lab.serve_http()
    created = lab.show("flow", "stats")["created"]
    begin = sample(lab)
    print(f"demo: SYN flood from 198.18.0.0/15 for {FLOOD_S} s; beside it {DOWNLOADS} downloads")
    generator = lab.start_flood("syn", 4, FLOOD_S)
    downloads, progress = start_downloads(lab)
    show_table(lab, begin, generator, downloads, progress)
    flood = json.loads(generator.stdout.read())
    report = json.loads(downloads.stdout.read())
    lab.check_conservation()
    by_flood = lab.show("flow", "stats")["created"] - created - report["ok"] - report["failed"]
    return flood, report, by_flood


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
