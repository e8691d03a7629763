#!/usr/bin/python3
"""Vectors of lib/cookie, from the layouts in its headers alone: cookie.py > cookie.txt.

Columns (addresses, keys and 32-bit numbers in hex, the rest decimal):
  keys   SECRET EPOCH COOKIE_KEY MSYN_KEY
  cookie SECRET EPOCH SRC DST SPORT DPORT ISN MSS WSCALE SACK TIMESTAMPS ECN CLOCK
         SEQ TSVAL MSS_BACK
  msyn   SECRET TICK SRC DST SPORT DPORT ISN ID COOKIE
  decode SECRET TICK SRC DST SPORT DPORT COOKIE ID   (MAX_ID is 8191: every id is one)
"""

import hashlib
import hmac
import struct
import sys

sys.dont_write_bytecode = True
from rows import Draw, finish
from siphash import siphash

MASK32 = (1 << 32) - 1


def siphash24(key, data):
    return siphash(key, data, 2, 4)


def hkdf16(secret, info):
    """RFC 5869 with SHA-256, empty salt, 16 bytes out."""
    prk = hmac.new(bytes(32), secret, hashlib.sha256).digest()
    return hmac.new(prk, info + b"\x01", hashlib.sha256).digest()[:16]


def epoch_key(secret, label, epoch):
    return hkdf16(secret, label + epoch.to_bytes(4, "big"))


def message(tuple_, extra):
    src, dst, sport, dport = tuple_
    return src + dst + struct.pack(">HHI", sport, dport, extra)


MSS = {
    (4, 0): [216, 536, 1360, 1460],
    (4, 1): [216, 536, 1220, 1360, 1400, 1440, 1460, 8960],
    (6, 0): [216, 1220, 1360, 1440],
    (6, 1): [216, 1220, 1280, 1360, 1380, 1400, 1440, 8940],
}


def make_cookie(secret, epoch, tuple_, isn, offer, clock):
    mss, wscale, sack, timestamps, ecn = offer
    family = 4 if len(tuple_[0]) == 4 else 6
    table = MSS[family, timestamps]
    wanted = mss or {4: 536, 6: 1220}[family]
    index = max([i for i, value in enumerate(table) if value <= wanted], default=0)
    h = siphash24(epoch_key(secret, b"weir cookie", epoch), message(tuple_, isn))
    seq = (epoch % 2) << 31
    tsval = 0
    high, low = h >> 32, h & MASK32
    if timestamps:
        options = index << 6 | wscale << 2 | sack << 1 | ecn
        seq += (index ^ h >> 60 & 7) << 28
        seq += (high + options * (low | 1)) % (1 << 28)
        tsval = clock - clock % 64 + (options & 63 ^ h >> 24 & 63)
    else:
        options = index << 5 | sack << 4 | wscale
        seq += (options ^ h >> 24 & 127) << 24
        seq += (low + options * (high | 1)) % (1 << 24)
    return seq, tsval, table[index]


def hash13(secret, time, tuple_, top17):
    key = epoch_key(secret, b"weir msyn", time % (1 << 32) // 2)
    return siphash24(key, message(tuple_, top17 << 4 | time % 4)) % 8192


def make_msyn(secret, tick, tuple_, isn, id_):
    top17 = isn >> 15
    return top17 << 15 | (tick % 4) << 13 | (hash13(secret, tick, tuple_, top17) + id_) % 8192


def decode_msyn(secret, tick, tuple_, cookie):
    t0 = cookie >> 13 & 3
    time = tick + 1 - (tick + 1 - t0) % 4
    return (cookie - hash13(secret, time, tuple_, cookie >> 15)) % 8192


def draw_tuple(draw, family):
    length = {4: 4, 6: 16}[family]
    src = draw.bytes(length)
    dst = draw.bytes(length)
    return src, dst, draw.bits(16), draw.bits(16)


def tuple_text(tuple_):
    return f"{tuple_[0].hex()} {tuple_[1].hex()} {tuple_[2]} {tuple_[3]}"


def draw_secret(draw):
    return draw.bytes(draw.pick([16, 17, 32, 63, 64]))


EPOCHS = [0, 1, 2, 3, 7, 1000, 65535, 0x12345678, 0x7FFFFFFE, 0x7FFFFFFF]
OFFERED_MSS = [0, 1, 64, 215, 216, 217, 535, 536, 537, 1219, 1220, 1221, 1279, 1280, 1300, 1359,
               1360, 1379, 1380, 1399, 1400, 1412, 1439, 1440, 1452, 1459, 1460, 1461, 4000, 8939,
               8940, 8959, 8960, 9000, 65535]


def key_rows():
    draw = Draw("keys")
    for epoch in EPOCHS + [draw.bits(31) for _ in range(10)]:
        secret = draw_secret(draw)
        yield (f"keys {secret.hex()} {epoch:x} {epoch_key(secret, b'weir cookie', epoch).hex()} "
               f"{epoch_key(secret, b'weir msyn', epoch).hex()}")


def cookie_rows():
    draw = Draw("cookie")
    for family in (4, 6):
        for timestamps in (0, 1):
            for mss in OFFERED_MSS:
                offer = (mss, draw.bits(4), draw.bits(1), timestamps, draw.bits(1) & timestamps)
                secret, epoch = draw_secret(draw), draw.pick(EPOCHS)
                tuple_ = draw_tuple(draw, family)
                isn, clock = draw.bits(32), draw.bits(32)
                seq, tsval, back = make_cookie(secret, epoch, tuple_, isn, offer, clock)
                yield (f"cookie {secret.hex()} {epoch:x} {tuple_text(tuple_)} {isn:08x} "
                       f"{' '.join(str(field) for field in offer)} {clock:08x} "
                       f"{seq:08x} {tsval:08x} {back}")


def msyn_rows():
    draw = Draw("msyn")
    ticks = [0, 1, 2, 3, 4, 5, 6, 7, 8, 0x7FFFFFFF, 0x80000000, MASK32 - 2, MASK32 - 1, MASK32]
    isns = [0, 0x7FFF, 0x8000, 0xFFFF8000, MASK32]
    for i in range(100):
        secret = draw_secret(draw)
        tick = ticks[i] if i < len(ticks) else draw.bits(32)
        tuple_ = draw_tuple(draw, 4 + i % 2 * 2)
        isn = isns[i] if i < len(isns) else draw.bits(32)
        id_ = draw.pick([0, 1, 15, 8191, draw.bits(13)])
        cookie = make_msyn(secret, tick, tuple_, isn, id_)
        yield (f"msyn {secret.hex()} {tick:x} {tuple_text(tuple_)} {isn:08x} {id_} {cookie:08x}")
        # Two behind to one ahead gives the id back; outside, another tick's key and other ids.
        for now in range(tick - 2, tick + 5):
            found = decode_msyn(secret, now, tuple_, cookie)
            assert found == id_ or not -1 <= now - tick <= 2
            yield (f"decode {secret.hex()} {now % (1 << 32):x} {tuple_text(tuple_)} "
                   f"{cookie:08x} {found}")


if __name__ == "__main__":
    # RFC 5869, test case 3, shortened.
    assert hkdf16(b"\x0b" * 22, b"").hex() == "8da4e775a563c18f715f802a063c5a31"
    finish([*key_rows(), *cookie_rows(), *msyn_rows()])
