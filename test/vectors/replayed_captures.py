#!/usr/bin/python3
"""Captures through `weir replay`: replayed_captures.py WEIR CONFIG. Needs no privilege.

What a box that only passes packets on writes is what it read, byte for byte; a seed gives the same
file again, in whatever turns the packets were offered; every packet read is accounted for. With
WEIR_CORPUS=FOLDER the same of every capture there.
"""
import glob
import json
import os
import random
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from replayed import CLIENT_MAC, COMMENT, HERE, SERVER_MAC, SYN_OPTIONS, TAGS, THERE  # noqa: E402
from replayed import expect, fragments, network, others, read_pcapng  # noqa: E402
from scapy.layers.inet import ICMP, TCP, UDP  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402
from scapy.utils import PcapWriter, RawPcapReader  # noqa: E402

PASSING = """node = "wire";
ports = ( { name = "outside"; side = "outside"; device = "null"; mtu = 1500; },
          { name = "inside"; side = "inside"; device = "null"; mtu = 1500; } );
services = ( { name = "all"; to = [ "0.0.0.0/0", "::/0" ]; protocol = "any"; from = "any"; mode = "bypass"; } );
rules = ( { name = "all"; action = "allow"; } );
fragments = "pass";
"""
# Bytes of the Ethernet header that is made up, and of the one it stands for.
HEADERS = {"EN10MB": (0, 0), "RAW": (14, 0), "LINUX_SLL": (14, 16)}
STEP_US = 170  # several packets in each millisecond of the engine's clock


def write(name, frames, step_us=STEP_US, linktype=1, sec=1000):
    """A capture of [frame], each step_us after the one before it."""
    path = f"{FOLDER}/{name}"
    with PcapWriter(path, linktype=linktype, sync=True) as writer:
        writer.write_header(None)
        for i, frame in enumerate(frames):
            us = step_us * i
            writer.write_packet(bytes(frame), sec=sec + us // 10**6, usec=us % 10**6)
    return path


def run(*words, config=None, **options):
    """Runs a replay; returns what subprocess.run() does."""
    return subprocess.run([WEIR, "replay", "-c", config or CONFIG, *words], text=True,
                          capture_output=True, timeout=60, **options)


def replay(*words, config=None, sets=(), seed="7", status=0):
    """What left and was dropped, as read_pcapng(), the report, and the written file's bytes."""
    for one in sets:
        words += ("--set", one)
    out, report = f"{FOLDER}/out", f"{FOLDER}/report"
    done = run(*words, "--seed", seed, "--write", out, "--json", report, config=config)
    expect(done.returncode, status, f"status of {words}: {done.stderr}")
    with open(report) as file:
        told = json.load(file)
    expect(told["packets"]["unexplained"], 0, f"unexplained of {words}: {told['packets']}")
    with open(out, "rb") as file:
        return read_pcapng(out), told, file.read()


def tcp(family, tags="none", **fields):
    frame = TAGS[tags][1]()
    frame.src, frame.dst = CLIENT_MAC, SERVER_MAC
    return frame / network(family, HERE[family], THERE[family]) / \
        TCP(**{"sport": 40000, "dport": 80, **fields})


def back(family, payload=b"", **fields):
    return Ether(src=SERVER_MAC, dst=CLIENT_MAC) / network(family, THERE[family], HERE[family]) / \
        TCP(**{"sport": 80, "dport": 40000, **fields}) / payload


def malformed(family):
    whole = bytes(tcp(family, flags="A") / b"data")
    yield whole[:20]
    yield whole[:40]
    broken = bytearray(whole)
    broken[14] = 0x41 if family == 4 else 0x50  # version or header length
    yield bytes(broken)
    broken = bytearray(whole)
    broken[-1] ^= 1  # checksum
    yield bytes(broken)
    yield bytes(tcp(family, flags="A") / (b"x" * 3000))  # larger than the port's MTU


def everything():
    """All kinds of frames, and those of them that a wire drops, too."""
    frames = [bytes(frame) for frame in others()]
    for family in (4, 6):
        frames += [bytes(frame) for frame, _ in fragments(family)]
        frames += malformed(family)
        for tags in TAGS:
            frames += [bytes(tcp(family, tags, flags=flags, seq=9, ack=7) / b"payload")
                       for flags in ("S", "A", "PA", "R")]
        frames += [bytes(Ether(src=CLIENT_MAC, dst=SERVER_MAC) /
                         network(family, HERE[family], THERE[family]) / UDP(dport=53) / b"query")]
    return frames


def passing_is_identity():
    frames = everything()
    out, report, _ = replay("--in", write("all", frames), "--inside", "203.0.113.0/24",
                            config=PASSING_FILE)
    expect([frame for _, frame, _ in out], frames, "frames written")
    dropped = [comment for _, _, comment in out if comment.startswith("stage=drop")]
    expect(report["packets"]["dropped"], len(dropped), "dropped")
    expect(0 < len(dropped) < len(frames) / 2, True, f"some are dropped: {dropped}")
    for port, _, comment in out:
        expect(port, 0 if "drop" in comment else 1, f"port: {comment}")
    for reason in ("malformed", "bad_checksum", "too_big"):
        expect(reason in report["reasons"], True, f"{reason} in {report['reasons']}")


def connections(count, proxied=False):
    """Whole connections, interleaved, and a flood beside them; the server behind a proxy answers
    when the client has."""
    generator = random.Random(1)
    frames = []
    for i in range(count):
        family = 4 + 2 * (i % 2)
        here = {"sport": 30000 + i, "window": 8000}
        there = {"dport": 30000 + i, "window": 8000}
        frames.append([
            tcp(family, flags="S", seq=100, options=SYN_OPTIONS, **here),
            back(family, flags="SA", seq=500, ack=101, options=SYN_OPTIONS, **there),
            tcp(family, flags="A", seq=101, ack=501, **here),
            tcp(family, flags="PA", seq=101, ack=501, **here) / b"question",
            back(family, b"answer", flags="PA", seq=501, ack=109, **there),
            tcp(family, flags="A", seq=109, ack=507, **here),
            tcp(family, flags="FA", seq=109, ack=507, **here),
            back(family, flags="FA", seq=507, ack=110, **there),
            tcp(family, flags="A", seq=110, ack=508, **here)])
        if proxied:
            frames[-1][1:3] = frames[-1][2:0:-1]
    mixed = []
    while frames:
        one = generator.choice(frames)
        mixed.append(one.pop(0))
        if generator.random() < 0.3:
            mixed.append(tcp(4, flags="S", seq=generator.getrandbits(32), sport=generator.randrange(1024, 65536)))
        if not one:
            frames.remove(one)
    return mixed


def proved(frames):
    """The same with the cookies that the seed gives: of SYN/ACKs the client's ACKs acknowledge."""
    out, _, _ = replay("--in", write("first", frames))
    cookies = {}
    for _, frame, comment in out:
        segment = Ether(frame)
        if "how=reply" in comment and segment[TCP].flags == "SA":
            cookies.setdefault((segment[1].dst, segment[TCP].dport), segment[TCP].seq)
    changed = []
    for frame in frames:
        frame = frame.copy()
        cookie = cookies.get((frame[1].src, frame[TCP].sport))
        if cookie is not None and "A" in frame[TCP].flags:
            frame[TCP].ack = (frame[TCP].ack - 500 + cookie) % 2**32
        changed.append(frame)
    return changed


def same_in_any_turns():
    frames = connections(40)
    whole = write("connections", frames)
    waiting = proved(connections(40, proxied=True))
    for path, sets in ((whole, ()), (whole, ("services.lab.mode=track",)),
                       (write("proved", waiting), ()),
                       (write("close", waiting, step_us=0), ())):
        files = [replay("--in", path, "--burst", str(size), sets=sets)[1:] for size in (1, 5, 32)]
        for _, written in files[1:]:
            expect(written == files[0][1], True, f"{path} {sets}: the same file in any turns")
        expect(files[0][0]["packets"], files[2][0]["packets"], "packets")
        expect([report["packets_per_turn"] > 1 for report, _ in files], [False, True, True],
               "packets in a turn")
    again = [replay("--in", whole, seed=seed)[2] for seed in ("7", "8")]
    expect(again[0] == again[1], False, "another seed gives another file")


def corpus():
    folder = os.environ.get("WEIR_CORPUS")
    for path in sorted(glob.glob(f"{folder}/*.pcap*")) if folder else ():
        out, report, _ = replay("--in", path, config=PASSING_FILE)
        made_up, header = HEADERS[report["sources"][0]["link_type"]]
        expect([frame[made_up:] for _, frame, _ in out] ==
               [frame[header:] for frame, _ in RawPcapReader(path)], True,
               f"{path}: every frame written as it was read")
        for mode in ("track", "proxy"):
            files = [replay("--in", path, "--burst", size, sets=(f"services.lab.mode={mode}",))[2]
                     for size in ("1", "32")]
            expect(files[0] == files[1], True, f"{path} {mode}: the same file in any turns")


CHECKS = (passing_is_identity, same_in_any_turns, corpus)

if __name__ == "__main__":
    WEIR, CONFIG = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as FOLDER:
        PASSING_FILE = f"{FOLDER}/passing.cfg"
        with open(PASSING_FILE, "w") as file:
            file.write(PASSING)
        for check in CHECKS:
            if sys.argv[3:] in ([], [check.__name__]):
                check()
