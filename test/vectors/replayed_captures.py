#!/usr/bin/python3
"""Captures through `weir replay`: replayed_captures.py WEIR CONFIG. Needs no privilege.

What a box that only passes packets on writes is what it read, byte for byte; a seed gives the same
file again, in whatever turns the packets were offered; every packet read is accounted for. With
WEIR_CORPUS=FOLDER the same of every capture there.
"""
import fcntl
import glob
import gzip
import html.parser
import json
import os
import random
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
from replayed import CLIENT_MAC, HERE, SERVER_MAC, SYN_OPTIONS, TAGS, THERE  # noqa: E402
from replayed import expect, fragments, network, others, read_pcapng, recomputed  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6  # noqa: E402
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
    return subprocess.run([WEIR, "replay", "-c", config or CONFIG, *words, "--set",
                           "flows.capacity=8192"], text=True, capture_output=True, timeout=60,
                          **options)


def replay(*words, config=None, sets=(), seed="7", status=0, played=False):
    """What left and was dropped, as read_pcapng(), the report, and the written file's bytes."""
    words += () if played else ("--raw",)
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
    gives_up = [tcp(4, flags=flags, seq=seq, ack=501) for flags, seq in (("S", 100), ("A", 101), ("R", 101))]
    for path, sets in ((whole, ()), (whole, ("services.lab.mode=track",)),
                       (write("proved", waiting), ()),
                       (write("close", waiting, step_us=0), ()),
                       (write("gives_up", proved(gives_up)), ())):
        files = [replay("--in", path, "--burst", str(size), sets=sets)[1:] for size in (1, 5, 32)]
        files.append(replay("--in", path, "--pace", "x1000", sets=sets)[1:])
        for _, written in files[1:]:
            expect(written == files[0][1], True, f"{path} {sets}: the same file in any turns")
        expect(files[0][0]["packets"], files[2][0]["packets"], "packets")
        expect([report["packets_per_turn"] > 1 for report, _ in files], [False, True, True, False],
               "packets in a turn")
    again = [replay("--in", whole, seed=seed)[2] for seed in ("7", "8")]
    expect(again[0] == again[1], False, "another seed gives another file")


def payload(out, port):
    """{connection: bytes} of what left by that port, in the order of the numbers."""
    streams = {}
    for at, frame, comment in out:
        if at != port or "drop" in comment:
            continue
        packet = Ether(frame)
        segment = packet.getlayer(TCP)
        data = bytes(segment.payload) if segment else b""
        if data.strip(b"\0"):
            streams.setdefault((packet[1].src, packet[1].dst, segment.sport, segment.dport),
                               {})[segment.seq] = data
    return {key: b"".join(data for _, data in sorted(parts.items()))
            for key, parts in streams.items()}


def ends_are_played():
    """Captured connections complete behind a proxy: their clients acknowledge what this run's box
    says. Nothing is withheld, and bursts change nothing."""
    count = 40
    whole = write("connections", connections(count))
    files = [replay("--in", whole, "--burst", str(size), played=True) for size in (1, 5, 32)]
    for _, _, written in files[1:]:
        expect(written == files[0][2], True, "the same file in any turns")
    out, report, _ = files[0]
    expect((report["withheld"], report["reasons"]), ({}, {}), "withheld and dropped, by cause")
    for port, text in ((1, b"question"), (0, b"answer")):
        streams = payload(out, port)
        expect((len(streams), set(streams.values())), (count, {text}), "streams")
    expect(payload(replay("--in", whole)[0], 1), {}, "streams without playing")
    middle = [frame for frame in connections(1) if frame[TCP].flags != "S"]
    _, report, _ = replay("--in", write("middle", middle), played=True)
    expect((report["withheld"], report["packets"]["withheld"]),
           ({"no_syn": len(middle)}, len(middle)), "withheld where the SYN is not in the capture")


def corpus():
    folder = os.environ.get("WEIR_CORPUS")
    for path in sorted(glob.glob(f"{folder}/*.pcap*")) if folder else ():
        out, report, _ = replay("--in", path, config=PASSING_FILE)
        made_up, header = HEADERS[report["sources"][0]["link_type"]]
        expect([frame[made_up:] for _, frame, _ in out] ==
               [frame[header:] for frame, _ in RawPcapReader(path)], True,
               f"{path}: every frame written as it was read")
        for mode in ("track", "proxy"):
            files = [replay("--in", path, "--burst", size, played=mode == "proxy",
                            sets=(f"services.lab.mode={mode}",))[2] for size in ("1", "32")]
            expect(files[0] == files[1], True, f"{path} {mode}: the same file in any turns")


# --- what can be read ---

def as_pcapng(name, frames, interfaces=(1,), resolutions=(6,)):
    """The same packets as write() has, one interface of each link type, round robin; their clocks
    count 10^-n s."""
    def block(kind, body):
        body += b"\0" * (-len(body) % 4)
        return struct.pack("<II", kind, len(body) + 12) + body + struct.pack("<I", len(body) + 12)
    data = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for link, power in zip(interfaces, resolutions):
        data += block(1, struct.pack("<HHIHHB3xHH", link, 0, 0, 9, 1, power, 0, 0))
    for i, frame in enumerate(map(bytes, frames)):
        at = (1000 * 10**6 + STEP_US * i) * 10**(resolutions[i % len(interfaces)] - 6)
        data += block(6, struct.pack("<IIIII", i % len(interfaces), at >> 32, at & 0xFFFFFFFF,
                                     len(frame), len(frame)) + frame)
    return put(name, data)


def put(name, data):
    path = f"{FOLDER}/{name}"
    with open(path, "wb") as file:
        file.write(data)
    return path


def get(path):
    with open(path, "rb") as file:
        return file.read()


def any_form():
    """However the packets are stored, they are the same."""
    frames = connections(20)
    plain = write("plain", frames)
    sets = ("services.lab.mode=track",)
    wanted = replay("--in", plain, sets=sets)[2]
    packed = put("plain.gz", gzip.compress(get(plain)))
    half = len(get(plain)) // 2
    parts = [gzip.compress(part) for part in (get(plain)[:half], b"", get(plain)[half:])]
    for path in (packed, put("parts.gz", b"".join(parts)), put("tail.gz", get(packed) + b"\x1f tail"),
                 as_pcapng("plain.pcapng", frames),
                 as_pcapng("clocks.pcapng", frames, (1, 1), (6, 9))):
        _, report, written = replay("--in", path, sets=sets)
        expect(written == wanted, True, f"{path}: what is written")
        expect(report["sources"][0]["gzip"], path.endswith(".gz"), f"{path}: gzip")
    with open(packed) as file:
        words = ("--in", "-", "--seed", "7", "--write", f"{FOLDER}/out", "--set", *sets)
        expect(run(*words, stdin=file).returncode, 0, "status of standard input")
    expect(get(f"{FOLDER}/out") == wanted, True, "standard input: what is written")

    step = {id(frame): i for i, frame in enumerate(frames)}
    sides = []
    for name, mac in (("o", CLIENT_MAC), ("i", SERVER_MAC)):
        sides.append(f"{FOLDER}/{name}")
        with PcapWriter(sides[-1], linktype=1) as writer:
            writer.write_header(None)
            for frame in frames:
                if frame.src == mac:
                    writer.write_packet(bytes(frame), sec=1000, usec=STEP_US * step[id(frame)])
    merged = replay("--in-outside", sides[0], "--in-inside", sides[1], sets=sets)[2]
    expect(merged == wanted, True, "two captures, merged by time")


def link_types():
    packets = [bytes(frame)[14:] for frame in connections(4)]
    sll = b"\0\0\0\1\0\6" + b"\2\0\0\0\0\1\0\0"
    version = {4: b"\x08\x00", 6: b"\x86\xdd"}

    def family(packet):
        return packet[0] >> 4
    forms = {
        "RAW": (101, lambda packet: packet),
        "LINUX_SLL": (113, lambda packet: sll + version[family(packet)] + packet),
        "LINUX_SLL2": (276, lambda packet: version[family(packet)] + b"\0" * 18 + packet),
        "NULL": (0, lambda packet: struct.pack("<I", 2 if family(packet) == 4 else 30) + packet),
        "LOOP": (108, lambda packet: struct.pack(">I", 2 if family(packet) == 4 else 30) + packet),
        "IPV4": (228, lambda packet: packet),
        "IPV6": (229, lambda packet: packet),
    }
    for name, (number, form) in forms.items():
        only = {"IPV4": (4,), "IPV6": (6,)}.get(name, (4, 6))
        these = [packet for packet in packets if family(packet) in only]
        out, report, _ = replay("--in", write("link", map(form, these), linktype=number),
                                sets=("services.lab.mode=track",))
        expect(report["sources"][0]["link_type"], name, "link type")
        expect([frame[14:] for _, frame, _ in out], these, f"packets of {name}")
        expect([frame[12:14] for _, frame, _ in out], [version[family(p)] for p in these],
               f"types of {name}")
        expect(report["packets"]["forwarded"], len(these), f"forwarded of {name}")


# --- what goes wrong ---

def bad_input():
    good = write("good", connections(2))
    outputs = [f"{FOLDER}/bad.{kind}" for kind in ("pcapng", "json", "html")]
    places = ("--write", outputs[0], "--json", outputs[1], "--html", outputs[2])
    frame = bytes(tcp(4, flags="S"))
    cases = [  # status, words, what stands in the message
        (1, ("--in", f"{FOLDER}/missing"), "missing: No such file"),
        (1, ("--in", FOLDER), "is a directory; name a capture"),
        (1, ("--in", put("text", b"no capture at all, but long enough to tell")), "convert with `editcap"),
        (1, ("--in", put("nothing", b"")), "nothing: truncated dump file"),
        (1, ("--in", put("broken.gz", gzip.compress(get(good))[:30])), "compressed form"),
        (1, ("--in", write("empty", [])), "the capture has no packets"),
        (1, ("--in", write("wlan", [frame], linktype=105)), "link type IEEE802_11; capture Ethernet"),
        (1, ("--in", as_pcapng("mixed", [frame, frame[14:]], (1, 101), (6, 6))), "take out one interface"),
        (2, ("--in", "-", "--loop", "2"), "--loop reads a capture again"),
        (1, ("--in", "-"), "standard input: truncated dump file"),
        (1, ("--in", "/dev/null", "--loop", "2"), "/dev/null: truncated dump file"),
        (1, ("--in", good, "--write", "/nonexistent/out"), "cannot write /nonexistent/out: No such"),
        (1, ("--in", good, "--html", FOLDER), "Is a directory"),
        (2, ("--in", good, "--write", good), "would overwrite"),
        (2, ("--in", good, "--html", good), "would overwrite"),
        (2, ("--in", good, "--html", outputs[1]), "would overwrite"),
        (2, ("--in", good, "--inside", "192.0.2.1/24"), "without host bits"),
        (2, ("--in", good, "--inside", "300.0.0.0/8"), "--inside takes ADDRESS/BITS, such as"),
        (2, ("--in", good, "--in", good), "--in is given twice"),
        (2, ("--in", good, "extra"), "unexpected argument: extra\n"),
        (2, ("extra", "--in", good), "unexpected argument: extra\n"),
        (2, ("--in", good, "--seed", "x"), "--seed takes a number: x\n"),
        (2, ("--synthetic", "syn", "--raw", "--count", "5"), "are of captures, not of --synthetic\n"),
        (2, ("--synthetic", "syn", "--duration", "5", "--count", "5"), "give one of them\n"),
        (2, ("--in", good, "--loop", "0"), "--loop takes"),
        (2, ("--in", good, "--burst", "33"), "--burst takes"),
        (2, ("--in", good, "--pace", "fast"), "--pace takes"),
        (2, ("--in-outside", good), "is missing"),
        (2, ("--in-outside", "-", "--in-inside", "-"), "only one capture"),
        (2, ("--in", good, "--in-inside", good), "exclude each other"),
    ]
    for status, words, message in cases:
        done = run(*places, *words, input="")
        expect((done.returncode, message in done.stderr), (status, True), f"{words}: {done.stderr}")
        last = done.stderr.splitlines()[-1]
        expect(last.startswith("weir: replay: ") and message.strip() in last, True,
               f"last line of {words}: {last}")
        expect(status == 2 or done.stderr.count("\n") == 1, True, f"one line for {words}: {done.stderr}")
        left = [name for name in os.listdir(FOLDER) if name.startswith("bad.")]
        expect(left, [], f"{words}: files left behind")
    done = subprocess.run([WEIR, "replay"], text=True, capture_output=True, timeout=60)
    expect((done.returncode, done.stderr.splitlines()[-1]), (2, "weir: replay: -c FILE is missing"), "no words")


def cut_short():
    """What is there of a capture is played, and the report says that it is not all."""
    whole = get(write("whole", connections(10)))
    for name, data in (("cut", whole[:-20]), ("cut.gz", gzip.compress(whole)[:-600])):
        out, report, _ = replay("--in", put(name, data), status=1)
        expect(report["truncated"], True, f"{name}: truncated")
        expect(0 < len(out), True, f"{name}: packets before the end")


def unread(pipe):
    """Bytes in it that nobody has read."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))[0]


def interrupted():
    """SIGINT and SIGTERM end a replay in order, with what it has."""
    capture = get(write("long", [tcp(4, flags="S", seq=i) / (b"x" * 1000) for i in range(400)]))
    for number in (signal.SIGINT, signal.SIGTERM):
        words = [WEIR, "replay", "-c", CONFIG, "--in", "-", "--write", f"{FOLDER}/i.pcapng",
                 "--json", f"{FOLDER}/i.json", "--html", f"{FOLDER}/i.html"]
        with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
            process.stdin.write(capture)  # more than a pipe holds: it is being read
            process.stdin.flush()
            process.send_signal(number)
            expect(process.wait(30), 128 + number, "status")
        report = json.loads(get(f"{FOLDER}/i.json"))
        expect((report["interrupted"], report["packets"]["unexplained"]), (True, 0), "the report")
        expect(0 < report["packets"]["read"] <= 400, True, "packets read")
        expect(len(read_pcapng(f"{FOLDER}/i.pcapng")), report["packets"]["read"], "written")
        expect(b"Interrupted" in get(f"{FOLDER}/i.html"), True, "the page says so")


def wait_for_silence(process, number):
    """Until it has read what there is, and waits for more: it uses no time of the processor."""
    before = None
    while True:
        told = get(f"/proc/{process.pid}/status").decode()
        caught = int(told.partition("SigCgt:\t")[2].split()[0], 16) & (1 << (number - 1))
        stat = get(f"/proc/{process.pid}/stat").rpartition(b") ")[2].split()
        now = (stat[0], *stat[11:13])
        if caught and unread(process.stdin) == 0 and now == before and stat[0] == b"S":
            return
        before = now
        time.sleep(0.15)


def interrupted_in_silence():
    """A live pipe that is open still: what came is played at once, compressed or not, and kept."""
    capture = get(write("few", [tcp(4, flags="S", seq=i) for i in range(20)]))
    head, rest = capture[:24], capture[24:]
    cases = (((head, rest), 20), ((gzip.compress(head), gzip.compress(rest)), 20), ((head, rest[:-5]), 19),
             ((), 0))
    for parts, packets in cases:
        for number in (signal.SIGINT, signal.SIGTERM):
            words = [WEIR, "replay", "-c", CONFIG, "--in", "-", "--json", f"{FOLDER}/live.json"]
            with subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
                wait_for_silence(process, number)
                for part in parts:
                    process.stdin.write(part)
                    process.stdin.flush()
                    wait_for_silence(process, number)
                process.send_signal(number)
                expect(process.wait(30), 128 + number, "status")
                said = process.stderr.read().decode()
            if not parts:
                expect("interrupted before a packet came" in said, True, said)
                continue
            report = json.loads(get(f"{FOLDER}/live.json"))
            expect((report["interrupted"], report["truncated"]), (True, False), "the report")
            expect(report["packets"]["read"], packets, "packets read")


# --- loops ---

def sums(frame):
    """The frame with every checksum computed anew."""
    packet = Ether(recomputed(frame))
    for layer in packet.layers():
        if "ICMP" in layer.__name__ and "chksum" in packet[layer].fields:
            del packet[layer].chksum
        elif "ICMP" in layer.__name__ and "cksum" in packet[layer].fields:
            del packet[layer].cksum
    return bytes(packet)


def fresh_frames():
    frames = connections(6)
    for family, echo in ((4, ICMP(id=5)), (6, ICMPv6EchoRequest(id=5))):
        ether = Ether(src=CLIENT_MAC, dst=SERVER_MAC)
        here, there = HERE[family], THERE[family]
        frames.append(ether / network(family, here, there) / echo / b"ping")
        frames.append(ether / network(family, here, there) / UDP(sport=5000, dport=53) / b"q")
        stamps = [("NOP", None), ("NOP", None), ("Timestamp", (1000, 0))]
        frames.append(ether / network(family, here, there) /
                      TCP(sport=7000, dport=80, flags="S", seq=1, options=stamps))
    frames.append(Ether(src=SERVER_MAC, dst=CLIENT_MAC) / IP(src=THERE[4], dst=HERE[4]) /
                  ICMP(type=3, code=1) / IP(src=HERE[4], dst=THERE[4]) / TCP(sport=30000, dport=80))
    return [bytes(frame) for frame in frames]


def fresh_loops():
    """Each loop has flows of its own, of the same servers, and nothing else changes."""
    frames, loops = fresh_frames(), 12
    path = write("fresh", frames)
    tracking = put("tracking.cfg", PASSING.replace('"bypass"', '"track"').replace(
        '"0.0.0.0/0", "::/0"', '"198.51.100.0/24", "2001:db8:2::/64"').encode())
    _, once, _ = replay("--in", path, config=tracking)
    _, again, _ = replay("--in", path, "--loop", str(loops), config=tracking)
    out, fresh, _ = replay("--in", path, "--loop", str(loops), "--fresh", config=tracking)
    expect(again["packets"]["read"], loops * len(frames), "packets of all loops")
    expect(fresh["packets"]["dropped"], loops * once["packets"]["dropped"], f"dropped: {fresh['reasons']}")
    expect(fresh["flows"]["created"], loops * once["flows"]["created"], "flows of all loops")
    expect(again["flows"]["created"] < 2 * once["flows"]["created"] + 20, True, "flows without --fresh")
    expect([frame for _, frame, _ in out[:len(frames)]], frames, "the first loop")
    clients = set()
    for i, (_, frame, _) in enumerate(out):
        packet, first = Ether(frame), Ether(frames[i % len(frames)])
        expect(sums(frame), frame, f"checksums of {packet.summary()}")
        server = "dst" if first.src == CLIENT_MAC else "src"
        client = "src" if first.src == CLIENT_MAC else "dst"
        expect(packet[1].fields[server], first[1].fields[server], "the server's address")
        clients.add(packet[1].fields[client])
        if packet.haslayer(TCP) and not packet.haslayer(ICMP):
            expect((packet[TCP].sport, packet[TCP].dport, packet[TCP].seq),
                   (first[TCP].sport, first[TCP].dport, first[TCP].seq), "ports and numbers")
            stamps = dict(packet[TCP].options).get("Timestamp")
            if stamps and i >= len(frames):
                expect((stamps[0] > 1000, stamps[1]), (True, 0), "time passed")
        if packet.haslayer(ICMP) and packet[ICMP].type == 3:
            expect(bytes(packet[ICMP].payload)[12:16].hex(), bytes(packet[IP])[16:20].hex(),
                   "the quoted client")
            quoted = IP(bytes(packet[ICMP].payload))
            del quoted.chksum
            expect(bytes(quoted)[:20], bytes(packet[ICMP].payload)[:20], "the quoted checksum")
    expect(len(clients), 2 * loops, "clients of both families")

    # Where no bit of an address may change, ports move on.
    out, narrow, _ = replay("--in", path, "--loop", "3", "--fresh", "--inside", "198.51.100.0/24",
                            "--inside", "2001:db8:2::/64", "--inside", "192.0.2.76/32", config=tracking)
    ports = {Ether(frame)[UDP].sport for _, frame, _ in out
             if Ether(frame).haslayer(UDP) and Ether(frame).haslayer(IP)}
    expect(ports, {5000, 6024, 7048}, "ports of 192.0.2.77, all bits of which are told apart")
    expect(narrow["flows"]["created"], 3 * once["flows"]["created"], "flows")


# --- reports ---

class Page(html.parser.HTMLParser):
    """Collects what stands in a page, and fails where elements are not closed in order."""
    VOID = {"meta", "link", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.counts = [], "", {}
        self.feed(text)
        self.close()
        expect(self.open, [], "elements left open")

    def handle_starttag(self, tag, attrs):
        self.counts[tag] = self.counts.get(tag, 0) + 1
        for name, value in attrs:
            expect(name in ("href", "src") or "url(" in (value or ""), False, f"{tag} {name}={value}")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.open.pop()

    def handle_endtag(self, tag):
        expect(self.open.pop(), tag, "closed element")

    def handle_data(self, data):
        self.text += data


def reports():
    path = write("<a & b>", everything() + connections(5))
    _, report, _ = replay("--in", path, "--html", f"{FOLDER}/page", "--loop", "2")
    packets = report["packets"]
    expect(packets["read"] + packets["generated"],
           packets["transmitted"] + packets["consumed"] + packets["queued"] + packets["dropped"],
           "every packet accounted for")
    expect(sum(one["packets"] for one in report["outcomes"]), packets["read"], "outcomes")
    expect(sum(one["packets"] for one in report["sizes"]), packets["read"], "sizes")
    for key in ("offered", "dropped"):
        expect(sum(one[key] for one in report["timeline"]["buckets"]) >= packets["dropped"], True, key)
    expect(sum(one["offered"] for one in report["timeline"]["buckets"]), packets["read"], "offered")
    expect([one["name"] for one in report["stages"]],
           ["read", "prepare", "engine", "idle", "write"], "stages")
    latency = report["latency_ns"]
    expect(0 < latency["p50"] <= latency["p99"] <= latency["p999"], True, f"latency {latency}")
    for key in ("cpu", "cores", "kernel", "tsc_hz", "steal_percent", "peak_memory_bytes"):
        expect(key in report["machine"], True, f"machine.{key}")
    page = Page(get(f"{FOLDER}/page").decode())
    expect(page.counts.get("script", 0), 0, "scripts")
    expect(page.counts["title"], 3, "titles: of the page and of two charts")
    for text in (*report["reasons"], "<a & b>", report["machine"]["cpu"], report["command"]):
        expect(text in page.text, True, f"{text} stands in the page")
    offered_is_the_base()


def offered_is_the_base():
    """Shares of what was dropped are of what was offered, and all that was dropped is in them."""
    # Of the third connection data waits for a server that never answers.
    frames = [back(4, b"late", flags="PA", seq=5, ack=6)] + [
        tcp(4, flags="S", seq=100, options=SYN_OPTIONS), tcp(4, flags="A", seq=101, ack=501),
        tcp(4, flags="PA", seq=101, ack=501) / b"question"] + [tcp(4, flags="S", sport=7, dport=99)]
    _, report, _ = replay("--in", write("base", frames, step_us=10**7), "--html", f"{FOLDER}/page", played=True)
    packets = report["packets"]
    offered = packets["read"] + packets["repeated"] - packets["withheld"]
    at_once = sum(one["packets"] for one in report["outcomes"] if one["name"].startswith("dropped"))
    expect(0 < packets["withheld"] and at_once < packets["dropped"], True, f"a test of {at_once}, {packets}")
    page = Page(get(f"{FOLDER}/page").decode()).text
    for text in (f"% of packets offered: {packets['dropped']} of {offered}",
                 f"{100 * packets['dropped'] / offered:.2f}", f"in percent of the {offered} packets offered"):
        expect(text in page, True, f"{text} stands in the page")


def said(*words, sets=(), config=None):
    """Names of the notes of a replay, which stand on the page and, as advice, on standard error."""
    page = f"{FOLDER}/page"
    for one in sets:
        words += ("--set", one)
    done = run(*words, "--json", f"{FOLDER}/report", "--html", page, "--seed", "7", config=config)
    expect(done.returncode, 0, done.stderr)
    report = json.loads(get(f"{FOLDER}/report"))
    text = Page(get(page).decode()).text
    names = {one["note"] for one in report["notes"]} - {"not_alone"}  # another work of the machine
    for one in report["notes"]:
        expect(one["text"] in text, True, f"{one} stands in the page")
        expect(f"replay: note: {one['text']}\n" in done.stderr, one["note"] != "not_alone", done.stderr)
    packets = report["packets"]
    top = max(report["reasons"], key=report["reasons"].get, default=None)
    line = f"replay: {packets['read']} packets read, {packets['transmitted']} left, " \
        f"{packets['dropped']} dropped" + (f" ({report['reasons'][top]} as {top})" if top else "") + \
        f", {packets['withheld']} withheld\n"
    expect(line in done.stderr, True, f"{line} stands in {done.stderr}")
    for cause in report["withheld"]:
        expect(cause in text, True, f"{cause} stands in the page")
    return names, report, done.stderr


def advice():
    frames = connections(10, proxied=True)
    outside = write("o", [frame for frame in frames if frame.src == CLIENT_MAC])
    inside = write("i", [frame for frame in frames if frame.src == SERVER_MAC])
    whole, track = write("w", frames), ("services.lab.mode=track",)
    clients = [word for family in (4, 6) for word in ("--inside", HERE[family])]
    broken = []
    for frame in frames[:20]:
        broken.append(bytearray(bytes(frame)))
        broken[-1][-1] ^= 1 if frame[TCP].payload else 0
        broken[-1][14 + (20 if IP in frame else 40) + 16] ^= 1
    cases = (((("--in", whole), ()), set()), ((("--in", whole), track), set()),
             ((("--in-outside", outside, "--in-inside", inside), track), set()),
             ((("--in-outside", inside, "--in-inside", outside), track), {"wrong_side"}),
             ((("--in-outside", whole, "--in-inside", inside), track), {"wrong_side"}),
             ((("--in", whole, *clients), track), {"wrong_side"}),
             ((("--in", outside), track), {"one_direction"}),
             ((("--in", outside), ()), {"one_direction"}),
             ((("--in", write("b", broken)), track), {"bad_checksum"}),
             ((("--in", whole), ("services.lab.to=10.9.0.0/16", "rules.servers.to=10.9.0.0/16")),
              {"one_direction", "strangers"}))
    for (words, sets), wanted in cases:
        names, _, _ = said(*words, sets=sets)
        expect(names - {"not_caused"} if words[1] == outside and not sets else names, wanted, f"{words} {sets}")
    # No service would ever be asked for the data that waits for its server's SYN/ACK.
    names, report, text = said("--in-outside", outside, "--in-inside", write("i", frames[:1]))
    expect("not_caused" in names and "--in-outside and --in-inside, not what the box sent" in text, True, text)


def configuration_is_warned_of():
    text = get(CONFIG).decode()
    path = put("warned.cfg", text.replace("rules = (", 'rules = ( { name = "all"; action = "allow"; },', 1).encode())
    checked = subprocess.run([WEIR, "check", "-c", path], text=True, capture_output=True, timeout=60)
    wanted = [line for line in checked.stderr.splitlines() if ": warning: " in line]
    expect(len(wanted) > 0, True, f"a warning of {checked.stderr}")
    _, _, told = said("--in", write("w", connections(2)), sets=("services.lab.mode=track",), config=path)
    for line in wanted:
        expect(line in told, True, f"{line} stands in {told}")


def progress():
    """By bytes read, where standard error is no terminal: a line for each tenth."""
    path = write("slow", connections(3), step_us=40000)
    done = run("--in", path, "--pace", "wire", "--json", "/dev/null")
    expect(done.returncode, 0, done.stderr)
    lines = done.stderr.splitlines()
    whole = [i for i, line in enumerate(lines) if "packets read" in line]
    expect(len(whole), 1, "a line of the whole")
    lines = lines[:whole[0]]
    expect(len(lines) > 0 and all(line.startswith("replay: ") and "%" in line for line in lines), True,
           f"lines: {lines}")


CHECKS = (passing_is_identity, same_in_any_turns, ends_are_played, any_form, link_types, bad_input, cut_short, interrupted,
          interrupted_in_silence,
          fresh_loops, reports, advice,
          configuration_is_warned_of, progress, corpus)

if __name__ == "__main__":
    WEIR, CONFIG = sys.argv[1:3]
    with tempfile.TemporaryDirectory() as FOLDER:
        PASSING_FILE = f"{FOLDER}/passing.cfg"
        with open(PASSING_FILE, "w") as file:
            file.write(PASSING)
        for check in CHECKS:
            if sys.argv[3:] in ([], [check.__name__]):
                start = time.monotonic()
                check()
                print(f"{check.__name__} {time.monotonic() - start:.1f} s", flush=True)
