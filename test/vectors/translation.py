#!/usr/bin/python3
"""Vectors of lib/seq: translation.py > translation.txt.

A segment is described by its fields; the fields are translated as TCP.md 2.3-2.8 and 2.13 say, and
the frame is built anew with full checksums. Nothing is edited in place, as the C code does.

Columns (deltas, bits and frames in hex):
  segment DIRECTION D E TS_OFFSET BITS CLIENT_LEFT CLIENT_RIGHT SERVER_LEFT SERVER_RIGHT IN OUT
"""

import dataclasses
import struct
import sys

sys.dont_write_bytecode = True
from rows import Draw, finish

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TIMESTAMPS, SACK_STRIP, ECN_STRIP, WINDOW = 1, 2, 4, 8
TO_SERVER, TO_CLIENT = 0, 1


@dataclasses.dataclass
class Translation:
    d: int = 0
    e: int = 0
    ts_offset: int = 0
    bits: int = 0
    to_client: tuple = (0, 0)
    to_server: tuple = (0, 0)


@dataclasses.dataclass
class Segment:
    family: int
    src: bytes
    dst: bytes
    sport: int
    dport: int
    seq: int
    ack: int
    flags: int = ACK
    reserved: int = 0  # the four bits beside the data offset
    window: int = 0
    urgent: int = 0
    options: tuple = ()  # ("ts", TSval, TSecr), ("sack", ((left, right), ...)), ("raw", bytes)
    broken: bool = False  # the options end in nonsense: only the header is translated
    payload: bytes = b""
    tos: int = 0
    vlan: int = 0
    shim: bool = False  # IPv4 options, or an IPv6 hop-by-hop header
    cut: int = 0  # a first fragment: so many bytes of the payload are elsewhere
    padding: int = 0  # Ethernet padding


def add32(a, b):
    return (a + b) % (1 << 32)


def internet_checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def build_option(option):
    if option[0] == "ts":
        return struct.pack(">BBII", 8, 10, option[1], option[2])
    if option[0] == "sack":
        edges = [edge for block in option[1] for edge in block]
        return struct.pack(f">BB{len(edges)}I", 5, 2 + 4 * len(edges), *edges)
    return option[1]


def build_tcp(s):
    options = b"".join(build_option(option) for option in s.options)
    options += bytes(-len(options) % 4)
    assert len(options) <= 40
    offset = (5 + len(options) // 4) << 12 | s.reserved << 8 | s.flags
    body = struct.pack(">HHIIHHHH", s.sport, s.dport, s.seq, s.ack, offset, s.window, 0,
                       s.urgent) + options + s.payload
    if s.family == 4:
        pseudo = s.src + s.dst + struct.pack(">BBH", 0, 6, len(body))
    else:
        pseudo = s.src + s.dst + struct.pack(">IHBB", len(body), 0, 0, 6)
    body = body[:16] + struct.pack(">H", internet_checksum(pseudo + body)) + body[18:]
    return body[:len(body) - s.cut]


def build_ip4(s, tcp):
    options = b"\x01\x01\x01\x00" if s.shim else b""
    total = 20 + len(options) + len(tcp)
    header = struct.pack(">BBHHHBBH", 0x45 + len(options) // 4, s.tos, total, 7,
                         0x2000 if s.cut else 0x4000, 64, 6, 0) + s.src + s.dst + options
    return header[:10] + struct.pack(">H", internet_checksum(header)) + header[12:] + tcp


def build_ip6(s, tcp):
    body, following = tcp, 6
    if s.cut:
        body, following = struct.pack(">BBHI", following, 0, 1, 7) + body, 44
    if s.shim:
        body, following = struct.pack(">BBBB4x", following, 0, 1, 4) + body, 0
    return struct.pack(">IHBB", 6 << 28 | s.tos << 20 | 0x12345, len(body), following, 64) \
        + s.src + s.dst + body


def build(s):
    tcp = build_tcp(s)
    frame = bytes.fromhex("02000000000202000000000a")
    if s.vlan:
        frame += struct.pack(">HH", 0x8100, s.vlan)
    frame += b"\x08\x00" if s.family == 4 else b"\x86\xdd"
    frame += build_ip4(s, tcp) if s.family == 4 else build_ip6(s, tcp)
    return (frame + bytes([0xEE] * s.padding)).hex()


def translate_option(option, t, direction, ack_valid):
    if option[0] == "ts" and t.bits & TIMESTAMPS:
        if direction == TO_CLIENT:
            return ("ts", add32(option[1], t.ts_offset), option[2])
        if ack_valid:
            return ("ts", option[1], add32(option[2], -t.ts_offset))
    if option[0] == "sack":
        if direction == TO_SERVER and t.bits & SACK_STRIP:
            return ("raw", b"\x01" * (2 + 8 * len(option[1])))
        delta = t.e if direction == TO_CLIENT else t.d
        return ("sack", tuple(tuple(add32(edge, -delta) for edge in block) for block in option[1]))
    return option


def rescale(window, shifts):
    return window and min(65535, max(1, (window << shifts[0]) >> shifts[1]))


def translate(s, t, direction):
    out = dataclasses.replace(s)
    ack_valid = s.flags & ACK
    if direction == TO_CLIENT:
        out.seq = add32(s.seq, t.d)
        out.ack = add32(s.ack, -t.e) if ack_valid else s.ack
    else:
        out.seq = add32(s.seq, t.e)
        out.ack = add32(s.ack, -t.d) if ack_valid else s.ack
    if t.bits & WINDOW and not s.flags & SYN:
        out.window = rescale(s.window, t.to_client if direction == TO_CLIENT else t.to_server)
    if not s.broken:
        out.options = tuple(translate_option(o, t, direction, ack_valid) for o in s.options)
    if direction == TO_SERVER and t.bits & ECN_STRIP:
        out.tos = s.tos & 0xFC
    return out


def row(s, t, direction):
    shifts = (*t.to_client, *t.to_server)
    return (f"segment {direction} {t.d:08x} {t.e:08x} {t.ts_offset:08x} {t.bits:x} "
            f"{' '.join(str(shift) for shift in shifts)} "
            f"{build(s)} {build(translate(s, t, direction))}")


def addresses(family):
    if family == 4:
        return bytes([192, 0, 2, 10]), bytes([198, 51, 100, 10])
    return (bytes.fromhex("20010db8000100000000000000000010"),
            bytes.fromhex("20010db8000200000000000000000010"))


def draw_blocks(draw, count, ack):
    """Blocks above ack, one across the wrap; the first is often a DSACK, which may lie below."""
    blocks = []
    for i in range(count):
        left = add32(ack, 1000 * (i + 1) + draw.bits(8))
        if i == 0 and draw.bits(1):
            left = add32(ack, -(1 + draw.bits(12)))
        if i == 1 and draw.bits(1):
            left = add32(0, -draw.bits(6))
        blocks.append((left, add32(left, 1 + draw.bits(9))))
    return tuple(blocks)


def draw_options(draw, count, lead, timestamps, ack):
    """`lead` NOPs first, so that what follows stands at every alignment."""
    options = [("raw", b"\x01" * lead)] if lead else []
    real = []
    if timestamps and count < 4:
        real.append(("ts", draw.pick([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, draw.bits(32)]),
                     draw.pick([0, 1, 0xFFFFFFFF, draw.bits(32)])))
    if count:
        real.append(("sack", draw_blocks(draw, count, ack)))
    if draw.bits(1):
        real.reverse()
    options += real
    used = len(b"".join(build_option(option) for option in options))
    if used <= 30 and draw.bits(2) == 0:
        options.append(("raw", bytes([254, 6, 0xE2, 0xD4, 0, 1])))
    return tuple(options)


def draw_translation(draw):
    words = [0, 1, 0x8000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
    return Translation(*(draw.pick(words + [draw.bits(32)] * 6) for _ in range(3)), draw.bits(4),
                       (draw.bits(4), draw.bits(4)), (draw.bits(4), draw.bits(4)))


def draw_segment(draw, family, count, lead, timestamps):
    src, dst = addresses(family)
    seq, ack = (draw.pick([0, 1, 0xFFFFFFFE, 0xFFFFFFFF] + [draw.bits(32)] * 4) for _ in range(2))
    s = Segment(family, src, dst, draw.bits(16) | 1, draw.bits(16) | 1, seq, ack)
    s.flags = draw.pick([ACK, ACK, ACK, ACK | PSH, ACK | FIN, RST, RST | ACK, SYN, SYN | ACK])
    s.reserved = draw.pick([0, 0, 0, 1])
    s.window = draw.pick([0, 1, 127, 128, 65535, draw.bits(16)])
    s.urgent = draw.pick([0, draw.bits(16)])
    s.options = draw_options(draw, count, lead, timestamps, ack)
    s.payload = draw.bytes(draw.pick([0, 0, 1, 2, 33]))
    s.tos = draw.bits(8)
    s.vlan = draw.pick([0, 0, 0, 100])
    s.shim = draw.bits(2) == 0
    s.padding = draw.pick([0, 0, 6])
    if len(s.payload) == 33 and draw.bits(1):
        s.cut = 25 - 8 * draw.bits(1)
        # A fragment that is not the last holds a multiple of eight bytes.
        s.cut += (len(build_tcp(s)) % 8)
    return s


def drawn_rows():
    draw = Draw("translation")
    for family in (4, 6):
        for direction in (TO_SERVER, TO_CLIENT):
            for count in range(5):
                for lead in range(4):
                    for timestamps in (0, 1, 1):
                        s = draw_segment(draw, family, count, lead, timestamps)
                        yield row(s, draw_translation(draw), direction)


def window_rows():
    """Every pair of shifts that matters with the windows at its edges."""
    src, dst = addresses(4)
    for shifts in ((0, 0), (0, 7), (7, 0), (7, 7), (14, 0), (0, 14), (14, 7), (2, 9)):
        for window in (0, 1, 2, 127, 128, 129, 511, 512, 32767, 65535):
            s = Segment(4, src, dst, 40000, 80, 1, 1, window=window)
            yield row(s, Translation(1, 1, 0, WINDOW, shifts, (15, 15)), TO_CLIENT)
            yield row(s, Translation(1, 1, 0, WINDOW, (15, 15), shifts), TO_SERVER)


def broken_rows():
    """A malformed option, after a good one or alone: header fields only."""
    for family in (4, 6):
        src, dst = addresses(family)
        for bad in (b"\x05\x01\x00\x00", b"\x05\x00\x00\x00", b"\x01\x01\x05\xff",
                    b"\x01\x01\x01\x08", b"\x05\x07" + bytes(6), b"\x08\x09" + bytes(10)):
            for options in ((("raw", bad),), (("ts", 5, 6), ("raw", b"\x01\x01" + bad))):
                s = Segment(family, src, dst, 40000, 80, 100, 200, options=options, broken=True)
                t = Translation(0xFFFFFFFF, 0x80000000, 77, TIMESTAMPS | SACK_STRIP)
                yield row(s, t, TO_SERVER)
                yield row(s, t, TO_CLIENT)


if __name__ == "__main__":
    finish([*drawn_rows(), *window_rows(), *broken_rows()])
