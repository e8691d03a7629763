#!/usr/bin/python3
"""Vectors of TCP options, from TCP.md 1.2, 2.1-2.3, 2.5-2.8 and 10: options.py > options.txt.

Columns (option bytes and 32-bit numbers in hex, `-` for no bytes, the rest decimal):
  parse  OPTIONS GOOD MSS WSCALE SACK_OK SACK_BLOCKS SACK_AT TIMESTAMPS_AT TSVAL TSECR SIGNED MPTCP
         FAST_OPEN_AT
         Offsets count from the first option byte, -1: not there. GOOD 0: malformed, and the rest is
         what stood before.
  answer FAMILY MTU ISN FLAGS OPTIONS PROFILE_MSS WSCALE SACK TIMESTAMPS ECN SEQ FLAGS OPTIONS
         The SYN/ACK to a SYN of the default flow of test/unit/packet.h, by a node with the secret
         5a5a..., one second old, in epoch 500; FLAGS 0: dropped.
"""

import struct
import sys

sys.dont_write_bytecode = True
from cookie import make_cookie
from rows import Draw, finish

SECRET, EPOCH, CLOCK_MS = b"\x5a" * 32, 500, 1000
SYN, ACK, ECE, CWR = 2, 16, 64, 128
ABSENT_SHIFT = 15
LENGTHS = {2: {4}, 3: {3}, 4: {2}, 5: {10, 18, 26, 34}, 8: {10}}
ADDRESSES = {
    4: (bytes([192, 0, 2, 10]), bytes([198, 51, 100, 10])),
    6: (bytes.fromhex("20010db8000100000000000000000010"),
        bytes.fromhex("20010db8000200000000000000000010")),
}


def split(data):
    """[(offset, kind, value)] up to the end of the list, and whether all of it was well formed."""
    found, at = [], 0
    while data[at:]:
        kind = data[at]
        if kind == 0:
            return found, True
        if kind == 1:
            at += 1
            continue
        length = data[at + 1] if at + 1 < len(data) else 0
        if length < 2 or at + length > len(data) or length not in LENGTHS.get(kind, {length}):
            return found, False
        found.append((at, kind, data[at + 2:at + length]))
        at += length
    return found, True


def parse(data):
    found, good = split(data)
    first = {}
    for at, kind, value in found:
        first.setdefault("signed" if kind in (19, 29) else kind, (at, value))
    fields = {"good": good, "first": first}
    fields["mss"] = int.from_bytes(first[2][1], "big") if 2 in first else 0
    fields["wscale"] = min(first[3][1][0], 14) if 3 in first else ABSENT_SHIFT
    fields["tsval"], fields["tsecr"] = struct.unpack(">II", first[8][1]) if 8 in first else (0, 0)
    return fields


def parse_row(data):
    data += bytes(-len(data) % 4)
    assert len(data) <= 40
    fields = parse(data)
    first = fields["first"]

    def value_at(kind):
        return first[kind][0] + 2 if kind in first else -1
    return " ".join(str(word) for word in (
        "parse", data.hex() or "-", int(fields["good"]), fields["mss"], fields["wscale"],
        int(4 in first), len(first[5][1]) // 8 if 5 in first else 0, value_at(5), value_at(8),
        f"{fields['tsval']:08x}", f"{fields['tsecr']:08x}", int("signed" in first),
        int(30 in first), first[34][0] if 34 in first else -1))


def answer_row(family, mtu, isn, flags, data, profile):
    data += bytes(-len(data) % 4)
    seq, out_flags, out = answer(family, mtu, isn, flags, data, profile)
    return (f"answer {family} {mtu} {isn:08x} {flags} {data.hex() or '-'} "
            f"{' '.join(str(int(field)) for field in profile)} {seq:08x} {out_flags} "
            f"{out.hex() or '-'}")


def answer(family, mtu, isn, flags, data, profile):
    offer = parse(data)
    if not offer["good"]:
        return 0, 0, b""
    mss, wscale, sack, timestamps, ecn = profile
    stamped = timestamps and 8 in offer["first"]
    sacked = sack and 4 in offer["first"]
    scaled = wscale != ABSENT_SHIFT and 3 in offer["first"]
    # There is room for ECN only beside timestamps; AccECN is answered like classic ECN.
    marked = ecn and stamped and flags & (ECE | CWR) == ECE | CWR
    agreed = (offer["mss"], offer["wscale"] if scaled else ABSENT_SHIFT, int(sacked), int(stamped),
              int(marked))
    src, dst = ADDRESSES[family]
    seq, tsval, _ = make_cookie(SECRET, EPOCH, (src, dst, 40000, 80), isn, agreed, CLOCK_MS)
    headers = {4: 40, 6: 60}[family]
    out = b""
    if offer["mss"]:
        out += struct.pack(">BBH", 2, 4, min(mss - (headers - 40), mtu - headers))
    if sacked:
        out += b"\x04\x02"
    if stamped:
        out += struct.pack(">BBII", 8, 10, tsval, offer["tsval"])
    if scaled:
        out += bytes([3, 3, wscale])
    out += b"\x01" * (-len(out) % 4)
    return seq, SYN | ACK | (ECE if marked else 0), out


MSS, SACK_OK, NOP, EOL = b"\x02\x04\x05\xb4", b"\x04\x02", b"\x01", b"\x00"
SHIFT7, STAMPS = b"\x03\x03\x07", bytes.fromhex("080a1122334400000000")
FAST_OPEN, MPTCP = bytes.fromhex("220a0102030405060708"), bytes.fromhex("1e0c00810102030405060708")
MD5, AO = b"\x13\x12" + bytes(range(16)), b"\x1d\x10\x01\x02" + bytes(range(12))
SMC, UNKNOWN = bytes.fromhex("fe04e2d4"), bytes.fromhex("fd03aa")
SYSTEMS = [  # as common systems order them
    MSS + SACK_OK + STAMPS + NOP + SHIFT7,
    MSS + NOP + b"\x03\x03\x08" + NOP + NOP + SACK_OK,
    MSS + NOP + b"\x03\x03\x06" + NOP + NOP + STAMPS + SACK_OK + EOL,
    b"",
    MSS,
]


def sack(count):
    return bytes([5, 2 + 8 * count]) + bytes(range(8 * count))


def crooked():
    """What a walk can trip over: wrong lengths, ends, duplicates, alignments."""
    for kind in (2, 3, 4, 5, 8, 19, 29, 30, 34, 253, 254, 255):
        for length in (0, 1, 2, 3, 4, 9, 10, 11, 18, 19, 26, 33, 34, 42, 255):
            yield bytes([kind, length]) + bytes([0x11] * 34)
            yield MSS + bytes([kind, length]) + NOP * 2
    for lead in range(5):
        yield NOP * lead + MSS + SACK_OK + STAMPS + SHIFT7
    for count in range(1, 5):
        yield NOP * 2 + sack(count)
    yield NOP * 2 + STAMPS + NOP * 2 + sack(3)[:26]
    whole = SACK_OK + MSS + SHIFT7 + STAMPS + FAST_OPEN
    for cut in range(len(whole)):
        yield NOP * (-cut % 4) + whole[:cut]
    for twice in (MSS + b"\x02\x04\x02\x00", b"\x02\x04\x00\x00" + MSS, SHIFT7 + b"\x03\x03\x01",
                  STAMPS + b"\x08\x0a" + b"\xff" * 8, MD5 + AO, AO + SMC, MPTCP + MPTCP):
        yield twice
    yield EOL + b"\x02\x00" + MSS
    yield MSS + EOL + b"\xff" * 7
    for shift in (0, 1, 13, 14, 15, 16, 255):
        yield bytes([3, 3, shift])


def draw_offer(draw):
    parts = [MSS, SACK_OK, STAMPS, SHIFT7, FAST_OPEN, MPTCP, SMC, UNKNOWN, NOP,
             bytes([3, 3, draw.bits(8)]), struct.pack(">BBH", 2, 4, draw.bits(16)),
             b"\x08\x0a" + draw.bytes(8)]
    data = b""
    for _ in range(draw.bits(3)):
        part = draw.pick(parts)
        if len(data) + len(part) <= 40:
            data += part
    return data


def parse_rows():
    draw = Draw("options")
    for data in [*SYSTEMS, *crooked(), *(draw_offer(draw) for _ in range(60))]:
        yield parse_row(data)
    for _ in range(60):
        yield parse_row(draw.bytes(4 * (draw.bits(32) % 11)))


def answer_rows():
    draw = Draw("answers")
    offers = [*SYSTEMS, *(SACK_OK + bytes([3, 3, shift]) for shift in (0, 14, 15, 255)),
              *(MSS + one for one in (FAST_OPEN, MPTCP, MD5, AO, SMC, UNKNOWN)),
              *(struct.pack(">BBH", 2, 4, mss) + STAMPS for mss in (0, 1, 536, 1461, 65535)),
              MSS + b"\x04\x03\x00", NOP * 3 + STAMPS[:9], MSS + b"\xfe\x01", EOL + b"\xff",
              *(draw_offer(draw) for _ in range(40))]
    for data in offers:
        for family in (4, 6):
            for _ in range(2):
                profile = (draw.pick([1460, 1400, 536, 8960]), draw.pick([7, 0, 14, ABSENT_SHIFT]),
                           draw.bits(1), draw.bits(2) != 0, draw.bits(1))
                flags = SYN | draw.pick([0, 0, ECE, CWR, ECE | CWR, ECE | CWR])
                yield answer_row(family, draw.pick([1500, 1400, 9000]), draw.bits(32), flags, data,
                                 profile)


if __name__ == "__main__":
    finish([*parse_rows(), *answer_rows()])
