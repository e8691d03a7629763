#!/usr/bin/python3
"""Frames through `weir replay`: replayed.py WEIR CONFIG. What comes out is compared with frames
built here: tagged connections, what is not IP, fragments. Needs no privilege.

A cookie is not known beforehand, but a seed makes it the same in every run: the SYN alone is played
first, then the whole connection with the number that its SYN/ACK had.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "../lab/support"))
from samples import *  # noqa: E402,F403
from scapy.utils import PcapWriter  # noqa: E402

OUTSIDE, INSIDE = 0, 1
PACKET_BLOCK, COMMENT = 6, 1
ISN_CLIENT, ISN_SERVER = 0xFFFFFFF0, 5
FIXED_PROFILE = "services.lab.profile.ecn=false"


def read_pcapng(path):
    """[(interface, frame, comment)] of the packets of a file."""
    with open(path, "rb") as file:
        data = file.read()
    found, at = [], 0
    while at < len(data):
        kind, length = struct.unpack_from("<II", data, at)
        if kind == PACKET_BLOCK:
            interface, _, _, kept, _ = struct.unpack_from("<IIIII", data, at + 8)
            options = at + 28 + (kept + 3) // 4 * 4
            code, size = struct.unpack_from("<HH", data, options)
            assert code == COMMENT, code
            found.append((interface, data[at + 28:at + 28 + kept],
                          data[options + 4:options + 4 + size].decode()))
        at += length
    return found


def play(frames, *sets):
    """Plays [(side, frame)], a millisecond apart; what left and was dropped, and the report."""
    with tempfile.TemporaryDirectory() as folder:
        sides = [PcapWriter(f"{folder}/{name}", linktype=1, sync=True) for name in "oi"]
        for writer in sides:
            writer.write_header(None)
        for i, (side, frame) in enumerate(frames):
            sides[side].write_packet(bytes(frame), sec=1000, usec=1000 * i)
        for writer in sides:
            writer.close()
        words = [WEIR, "replay", "-c", CONFIG, "--in-outside", f"{folder}/o", "--in-inside",
                 f"{folder}/i", "--raw", "--seed", "7", "--write", f"{folder}/out", "--json",
                 f"{folder}/json", "--set", FIXED_PROFILE]
        for one in sets:
            words += ["--set", one]
        subprocess.run(words, check=True)
        with open(f"{folder}/json") as file:
            return read_pcapng(f"{folder}/out"), json.load(file)


def expect(got, wanted, what):
    assert got == wanted, f"{what}:\n got      {got}\n expected {wanted}"


def connection(family, tags):
    """A connection behind tags: every frame that leaves, byte for byte."""
    tag_bytes, layer2 = TAGS[tags]

    def client(payload=b"", **fields):
        frame = layer2()
        frame.src, frame.dst = CLIENT_MAC, SERVER_MAC
        return frame / network(family, HERE[family], THERE[family]) / \
            TCP(sport=40000, dport=80, **fields) / payload

    def server(payload=b"", **fields):
        frame = layer2()
        frame.src, frame.dst = SERVER_MAC, CLIENT_MAC
        return frame / network(family, THERE[family], HERE[family]) / \
            TCP(sport=80, dport=40000, **fields) / payload

    syn = (OUTSIDE, client(flags="S", seq=ISN_CLIENT, window=1000, options=SYN_OPTIONS))
    out, report = play([syn])
    expect(report["packets"]["generated"], 1, "generated for a SYN")
    expect([one[0] for one in out], [OUTSIDE], "ports of what leaves for a SYN")
    synack = Ether(out[0][1])[TCP]
    expect((synack.flags, synack.ack), ("SA", (ISN_CLIENT + 1) % 2**32), "SYN/ACK")
    expect(out[0][1][:12 + len(tag_bytes)].hex(),
           (CLIENT_MAC + SERVER_MAC).replace(":", "") + tag_bytes.hex(), "its Ethernet header")
    expect(recomputed(out[0][1]), out[0][1], "its checksums")

    cookie, next_client = synack.seq, (ISN_CLIENT + 9) % 2**32
    first = {"flags": "PA", "seq": ISN_CLIENT + 1, "window": 1000}
    out, _ = play([
        syn, (OUTSIDE, client(b"question", ack=cookie + 1, **first)),
        (INSIDE, server(flags="SA", seq=ISN_SERVER, ack=ISN_CLIENT + 1, window=64000,
                        options=SYN_OPTIONS)),
        (INSIDE, server(b"answer", flags="PA", seq=ISN_SERVER + 1, ack=next_client, window=500)),
        (OUTSIDE, client(flags="R", seq=next_client))])
    frames = [(one[0], one[1]) for one in out]
    expect(frames[1][0], INSIDE, "port of the SYN to the server")
    expect(frames[1][1][:12 + len(tag_bytes)], bytes(syn[1])[:12 + len(tag_bytes)], "its header")
    expect((INSIDE, bytes(client(b"question", ack=ISN_SERVER + 1, **first))) in frames, True,
           "the queued segment, translated")
    expect((OUTSIDE, bytes(server(b"answer", flags="PA", seq=cookie + 1, ack=next_client,
                                  window=500))) in frames, True, "the answer, translated")
    expect(frames[-1], (INSIDE, bytes(client(flags="R", seq=next_client))), "the reset")
    expect([one[2] for one in out if "drop" in one[2]], [], "drops")


def not_ip():
    for side in (OUTSIDE, INSIDE):
        frames = [bytes(packet) for packet in others()]
        out, report = play([(side, frame) for frame in frames])
        expect([(one[0], one[1]) for one in out], [(1 - side, frame) for frame in frames], "frames")
        expect(report["packets"]["forwarded"], len(frames), "forwarded")


def fragmented(family, policy):
    cases = fragments(family)
    out, report = play([(OUTSIDE, packet) for packet, _ in cases], f"fragments={policy}")
    expect(len(out), len(cases), "frames that left or were dropped")
    for (packet, passes), (port, frame, comment) in zip(cases, out):
        wanted = passes and policy == "pass"
        expect((frame, port, "reason=fragment" in comment),
               (bytes(packet), INSIDE if wanted else OUTSIDE, not wanted), packet.summary())
    expect(report["reasons"].get("fragment", 0),
           sum(not (passes and policy == "pass") for _, passes in cases), "counted as fragment")


def atomic(policy):
    out, _ = play([(OUTSIDE, Ether(src=CLIENT_MAC, dst=SERVER_MAC) /
                    IPv6(src=HERE[6], dst=THERE[6]) / IPv6ExtHdrFragment(id=9) /
                    TCP(sport=40000, dport=80, flags="S", seq=1))], f"fragments={policy}")
    expect([(one[0], Ether(one[1])[TCP].flags) for one in out], [(OUTSIDE, "SA")], "answer")


if __name__ == "__main__":
    WEIR, CONFIG = sys.argv[1:]
    for family in (4, 6):
        for tags in TAGS:
            connection(family, tags)
        for policy in ("drop", "pass"):
            fragmented(family, policy)
    not_ip()
    for policy in ("drop", "pass"):
        atomic(policy)
