"""SipHash as in the paper's section 2 (Aumasson and Bernstein, 2012)."""

MASK64 = (1 << 64) - 1


def siphash(key, data, compressions, finalizations):
    k0 = int.from_bytes(key[:8], "little")
    k1 = int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D,
         k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & MASK64

    def sip_rounds(count):
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK64
            v[2] = (v[2] + v[3]) & MASK64
            v[1] = rotate(v[1], 13) ^ v[0]
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[1]) & MASK64
            v[0] = (v[0] + v[3]) & MASK64
            v[1] = rotate(v[1], 17) ^ v[2]
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = rotate(v[2], 32)

    padded = data + bytes(7 - len(data) % 8) + bytes([len(data) & 0xFF])
    for at in range(0, len(padded), 8):
        word = int.from_bytes(padded[at:at + 8], "little")
        v[3] ^= word
        sip_rounds(compressions)
        v[0] ^= word
    v[2] ^= 0xFF
    sip_rounds(finalizations)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


# The paper's own example: key 00..0f, message 00..0e.
assert siphash(bytes(range(16)), bytes(range(15)), 2, 4) == 0xA129CA6149BE45E5
