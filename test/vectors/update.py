#!/usr/bin/python3
"""Vectors of lib/cluster's messages, from the text of WIRE.md sections 3 and 4: update.py > update.txt.

Columns (addresses, keys, 32-bit numbers, names, frames and WIRE in hex, the rest decimal; "-" is nothing). Services are
"service-ID".
  table     GENERATION COUNT WIRE   what follows is said under this table, whose rows come next:
  row       ROW SERVICE MODE INSIDE PREFIX LENGTH FIRST LAST
  create    SENDER TICK WHOLE OUTER OUTER_PORT INNER INNER_PORT MODE STATE INSIDE CONFIRMED CLIENT_SHIFT SERVER_SHIFT
            SERVICE OWNER GENERATION INCARNATION D E TS_OFFSET BITS CLIENT_LEFT CLIENT_RIGHT SERVER_LEFT
            SERVER_RIGHT COOKIE ISN FRAME WIRE
  change    KEY OUTER OUTER_PORT INNER INNER_PORT INCARNATION BITS WIRE
  confirmed KEY OUTER OUTER_PORT INNER INNER_PORT INCARNATION GENERATION WIRE
  frame     KEY OUTER OUTER_PORT INNER INNER_PORT MOMENT SIDE FRAME WIRE
  emit      the same
  parts     ROOM (of each record) MESSAGE WIRE (all its parts)
  none      KEY OUTER OUTER_PORT INNER INNER_PORT WIRE
"""

import dataclasses
import struct
import sys

sys.dont_write_bytecode = True
from rows import Draw, finish
from siphash import siphash

TIMESTAMPS, SACK_STRIP, ECN_STRIP, WINDOW = 1, 2, 4, 8
ESTABLISHED = 2
NO_SERVICE = 0xFFFF
SERVICES = 8


@dataclasses.dataclass
class Row:
    number: int
    service: int
    mode: int
    inside: int
    prefix: bytes  # 4 or 16
    length: int
    first: int
    last: int

    def covers(self, server, port):
        if len(server) != len(self.prefix) or not self.first <= port <= self.last:
            return False
        shift = 8 * len(server) - self.length
        return int.from_bytes(server, "big") >> shift == int.from_bytes(self.prefix, "big") >> shift


@dataclasses.dataclass
class Flow:
    outer: bytes
    outer_port: int
    inner: bytes
    inner_port: int

    def text(self):
        return f"{self.outer.hex()} {self.outer_port} {self.inner.hex()} {self.inner_port}"


@dataclasses.dataclass
class Create:
    sender: int
    tick: int
    whole: int
    flow: Flow
    mode: int = 0
    state: int = ESTABLISHED
    inside: int = 0
    confirmed: int = 1
    shifts: tuple = (7, 7)  # client, server
    service: int = 0
    owner: int = 0
    generation: int = 1
    incarnation: int = 0
    d: int = 0
    e: int = 0
    ts_offset: int = 0
    bits: int = 0
    to_client: tuple = (0, 0)
    to_server: tuple = (0, 0)
    cookie: int = 0
    isn: int = 0
    frame: bytes = b""

    def text(self):
        numbers = (self.mode, self.state, self.inside, self.confirmed, *self.shifts, self.service,
                   self.owner, self.generation)
        words = (self.incarnation, self.d, self.e, self.ts_offset)
        shifts = (*self.to_client, *self.to_server)
        return (f"{self.sender} {self.tick:x} {self.whole} {self.flow.text()} "
                f"{' '.join(map(str, numbers))} {' '.join(f'{word:x}' for word in words)} "
                f"{self.bits} {' '.join(map(str, shifts))} {self.cookie:x} {self.isn:x} "
                f"{self.frame.hex() or '-'}")


def sized(kind, body):
    return struct.pack(">BH", kind, len(body)) + body


def encode_rows(generation, rows):
    body = bytes([generation, len(rows)])
    for row in rows:
        name = f"service-{row.service}".encode()
        flags = (len(row.prefix) == 16) | row.inside << 1
        body += struct.pack(">BHBBB", row.number, row.service, row.mode, flags, row.length)
        body += row.prefix + struct.pack(">HHB", row.first, row.last, len(name)) + name
    return sized(0x12, body)


def signed16(value):
    value -= (value & 0x80000000) << 1
    return value if -0x8000 <= value <= 0x7FFF else None


def encode_compact(row, c, client, server):
    out = bytes([row.number]) + client[0] + struct.pack(">H", client[1])
    length = -(-(8 * len(server[0]) - row.length) // 8)
    out += server[0][len(server[0]) - length:]
    offset = server[1] - row.first
    count = row.last - row.first + 1
    out += b"" if count == 1 else bytes([offset]) if count <= 256 else struct.pack(">H", offset)
    return out + struct.pack(">IH", c.d, c.e & 0xFFFF)


def encode_full(c, client, server):
    family = 0x80 if len(client[0]) == 16 else 0
    return (bytes([6 | family]) + client[0] + server[0]
            + struct.pack(">HHBHII", client[1], server[1], c.mode, c.service, c.d, c.e))


def two_byte_incarnation(tick, incarnation):
    """What the two bytes say, and whether that is the truth."""
    low = incarnation >> 12 & 15
    latest = tick
    while latest % 16 != low:
        latest -= 1
    said = (latest << 12 | incarnation & 0xFFF) & 0xFFFFFFFF
    return low << 12 | incarnation & 0xFFF, said == incarnation


def encode_fields(c, compact):
    fields = []
    if c.generation != 1:
        fields.append((1, struct.pack(">H", c.generation)))
    if c.bits & (SACK_STRIP | ECN_STRIP):
        fields.append((2, bytes([c.bits & (SACK_STRIP | ECN_STRIP)])))
    if c.whole and c.cookie:
        fields.append((3, struct.pack(">I", c.cookie)))
    if c.whole and c.isn:
        fields.append((4, struct.pack(">I", c.isn)))
    if c.owner != c.sender:
        fields.append((5, struct.pack(">H", c.owner)))
    if c.state != ESTABLISHED:
        fields.append((6, bytes([c.state])))
    if not c.confirmed:
        fields.append((7, bytes([0])))
    if not two_byte_incarnation(c.tick, c.incarnation)[1]:
        fields.append((8, struct.pack(">I", c.incarnation)))
    if compact and signed16(c.e) is None:
        fields.append((9, struct.pack(">I", c.e)))
    return b"".join(bytes([kind, len(value)]) + value for kind, value in fields)


def encode_create(c, rows):
    outer, inner = (c.flow.outer, c.flow.outer_port), (c.flow.inner, c.flow.inner_port)
    client, server = (inner, outer) if c.inside else (outer, inner)
    row = next((row for row in rows if row.service == c.service and row.covers(*server)), None)
    compact = row is not None and (row.mode, row.inside) == (c.mode, c.inside)
    fields = encode_fields(c, compact)
    flags = (bool(c.bits & TIMESTAMPS) | bool(c.bits & WINDOW) << 1 | bool(fields) << 2
             | (not compact) << 3 | bool(c.frame) << 4 | (c.inside and not compact) << 5)
    out = bytes([0x40 | flags])
    out += encode_compact(row, c, client, server) if compact else encode_full(c, client, server)
    out += bytes([c.shifts[0] << 4 | c.shifts[1]])
    out += struct.pack(">H", two_byte_incarnation(c.tick, c.incarnation)[0])
    if c.bits & TIMESTAMPS:
        out += struct.pack(">I", c.ts_offset)
    if c.bits & WINDOW:
        out += bytes([pair[0] << 4 | pair[1] for pair in (c.to_client, c.to_server)])
    if fields:
        out += bytes([len(fields)]) + fields
    if c.frame:
        out += struct.pack(">H", len(c.frame)) + c.frame
    return out


def digest(key, flow, incarnation):
    def form16(address):
        return address if len(address) == 16 else bytes(10) + b"\xff\xff" + address

    data = form16(flow.outer) + form16(flow.inner)
    data += struct.pack("<HH", flow.outer_port, flow.inner_port) + bytes([6, 0, 0, 0])
    low48 = siphash(key, data, 1, 3) & 0xFFFFFFFFFFFF
    folded = (incarnation * 0x9E3779B1 & 0xFFFFFFFF) >> 16
    return (low48 ^ folded << 32).to_bytes(6, "big")


TABLE = [
    Row(0, 0, 0, 0, bytes([198, 51, 100, 0]), 24, 1, 65535),
    Row(1, 1, 0, 0, bytes([203, 0, 113, 7]), 32, 443, 443),
    Row(2, 2, 0, 0, bytes([203, 0, 113, 128]), 25, 8000, 8255),
    Row(3, 2, 0, 0, bytes([203, 0, 113, 128]), 25, 9000, 9256),
    Row(7, 3, 2, 1, bytes([0, 0, 0, 0]), 0, 0, 65535),
    Row(8, 4, 0, 0, bytes.fromhex("20010db8000200000000000000000000"), 64, 1, 65535),
    Row(9, 4, 0, 0, bytes.fromhex("20010db8000800000000000000000000"), 45, 22, 22),
    Row(253, 5, 1, 0, bytes(16), 0, 0, 65535),
    Row(254, 6, 0, 0, bytes.fromhex("20010db8000400000000000000000001"), 128, 53, 53),
]


def draw_server(draw, row):
    """An address and a port the row covers, often at its edges."""
    bits = 8 * len(row.prefix) - row.length
    low = draw.pick([0, (1 << bits) - 1, draw.bits(bits), draw.bits(bits)])
    address = (int.from_bytes(row.prefix, "big") | low).to_bytes(len(row.prefix), "big")
    return address, draw.pick([row.first, row.last, row.first + draw.bits(16) % (row.last - row.first + 1)])


def draw_flow(draw, row):
    server = draw_server(draw, row)
    client = draw.bytes(len(row.prefix)), draw.bits(16)
    return Flow(*server, *client) if row.inside else Flow(*client, *server)


def draw_create(draw, row):
    sender = draw.bits(6)
    tick = draw.pick([0, 3, 16, 0xFFFFF, 0x100000, 0xFFFFFFFF, draw.bits(32), draw.bits(32)])
    age = draw.pick([0, 0, 1, 15])
    return Create(sender, tick, 0, draw_flow(draw, row), row.mode, inside=row.inside, owner=sender,
                  shifts=(draw.bits(4), draw.bits(4)), service=row.service,
                  incarnation=(tick - age << 12 | draw.bits(12)) & 0xFFFFFFFF, d=draw.bits(32),
                  e=draw.pick([0, 1, 0x7FFF, 0xFFFF8000, 0xFFFFFFFF, draw.bits(13)]))


def draw_shift_pair(draw):
    return draw.bits(4) % 15, draw.bits(4) % 15


def make_unusual(draw, c):
    """Some of what the short form cannot say."""
    if draw.bits(1):
        c.bits |= TIMESTAMPS
        c.ts_offset = draw.bits(32)
    if draw.bits(1):
        c.bits |= WINDOW
        c.to_client, c.to_server = draw_shift_pair(draw), draw_shift_pair(draw)
    changes = {
        "generation": draw.pick([0, 2, 65535]),
        "bits": c.bits | draw.pick([SACK_STRIP, ECN_STRIP, SACK_STRIP | ECN_STRIP]),
        "cookie": draw.bits(32), "isn": draw.bits(32), "owner": draw.bits(6),
        "state": draw.pick([0, 1, 3, 4, 5]), "confirmed": 0,
        "incarnation": draw.pick([c.incarnation + (1 << 12), c.incarnation - (16 << 12),
                                  draw.bits(32)]) & 0xFFFFFFFF,
        "e": draw.pick([0x8000, 0xFFFF7FFF, 0x80000000, draw.bits(32)]),
        "mode": draw.bits(2), "service": draw.pick([NO_SERVICE, 0, 6]), "inside": draw.bits(1),
        "frame": draw.bytes(draw.pick([1, 60, 130])),
    }
    for name, value in changes.items():
        if draw.bits(2) == 0:
            setattr(c, name, value)
    c.whole = draw.bits(1)


def table_rows():
    yield f"table 255 0 {encode_rows(255, []).hex()}"
    yield f"table 1 {len(TABLE)} {encode_rows(1, TABLE).hex()}"
    for row in TABLE:
        yield (f"row {row.number} {row.service} {row.mode} {row.inside} {row.prefix.hex()} "
               f"{row.length} {row.first} {row.last}")


def create_rows():
    draw = Draw("create")
    for row in TABLE:
        for unusual in [0] * 4 + [1] * 16:
            c = draw_create(draw, row)
            if unusual:
                make_unusual(draw, c)
            yield f"create {c.text()} {encode_create(c, TABLE).hex()}"


def named_rows():
    draw = Draw("named")
    for i in range(24):
        key, flow = draw.bytes(16), draw_flow(draw, TABLE[i % len(TABLE)])
        head = f"{key.hex()} {flow.text()}"
        incarnation, bits = draw.pick([0, 0xFFFFFFFF, draw.bits(32)]), draw.bits(3)
        wire = bytes([0x80 | bits << 4]) + digest(key, flow, incarnation)
        yield f"change {head} {incarnation:x} {bits} {wire.hex()}"
        generation = draw.bits(16)
        wire = sized(0x01, digest(key, flow, incarnation) + struct.pack(">H", generation))
        yield f"confirmed {head} {incarnation:x} {generation} {wire.hex()}"
        side, frame, moment = draw.bits(1), draw.bytes(draw.pick([1, 54, 74])), draw.bits(16)
        wire = sized(0x02, bytes([side]) + digest(key, flow, 0) + struct.pack(">H", moment) + frame)
        yield f"frame {head} {moment} {side} {frame.hex()} {wire.hex()}"
        yield f"emit {head} {moment} {side} {frame.hex()} {bytes([4]).hex()}{wire[1:].hex()}"
        yield f"none {head} {sized(0x03, digest(key, flow, 0)).hex()}"


def parts_rows():
    """A message that fits into no record: as much of it as there is room, record by record."""
    draw = Draw("parts")
    for length, room in ((69, 68), (70, 69), (129, 68), (400, 100), (461, 462), (1533, 446),
                         (1534, 1335), (2062, 1355), (2208, 446), (2208, 2212)):
        message, wire = draw.bytes(length), b""
        for at in range(0, length, room - 4):
            piece = message[at:at + room - 4]
            flags = (at == 0) | (at + len(piece) == length) << 1
            wire += sized(0x17, bytes([flags]) + piece)
        yield f"parts {room} {message.hex()} {wire.hex()}"


if __name__ == "__main__":
    finish([*table_rows(), *create_rows(), *named_rows(), *parts_rows()])
