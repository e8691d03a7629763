"""Captures for net_pcap: frames of one kind, with right checksums. Those of connections are all of
flow 0 of test/bench/line.c, which makes each one of a random flow as it arrives."""
import random
import struct

CLIENT_NET, SERVER = 0xC6120000, 0xC633640A  # 198.18.0.0/15, 198.51.100.10
ISN_CLIENT, ISN_SERVER, D = 1000, 9000, 5000
SYN, ACK = 2, 16
SYN_OPTIONS = bytes([2, 4, 5, 180, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7])
MSS_ALONE = bytes([2, 4, 5, 180])
TIMESTAMPS = bytes([1, 1, 8, 10, 0, 1, 2, 3, 0, 0, 4, 5])
FRAME_MIN = 60


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def frame(source, destination, flags, seq, ack, options=b"", payload=b""):
    """Each end is (address, port)."""
    offset = (20 + len(options)) // 4 << 4
    addresses = struct.pack(">II", source[0], destination[0])
    tcp = struct.pack(">HHIIBBHHH", source[1], destination[1], seq, ack, offset, flags, 1000, 0,
                      0) + options + payload
    total = checksum(addresses + struct.pack(">HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack(">H", total) + tcp[18:]
    ip = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, 6, 0) + addresses
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    ethernet = bytes.fromhex("020000000002" "020000000001" "0800")
    return (ethernet + ip + tcp).ljust(FRAME_MIN, b"\0")


def flood(count, flags, options):
    """From random sources, with random numbers."""
    numbers = random.Random(1)
    for _ in range(count):
        source = (CLIENT_NET + numbers.getrandbits(17), numbers.randrange(1024, 65536))
        yield frame(source, (SERVER, 80), flags, numbers.getrandbits(32),
                    numbers.getrandbits(32) if flags & ACK else 0, options)


def flow(count, from_server):
    client, server = (CLIENT_NET, 40000), (SERVER, 80)
    if from_server:
        one = frame(server, client, ACK, ISN_SERVER + 1, ISN_CLIENT + 1, TIMESTAMPS)
    else:
        one = frame(client, server, ACK, ISN_CLIENT + 1, ISN_SERVER + D + 1, TIMESTAMPS)
    return [one] * count


def stamped():
    """Of the same flow, with eight bytes of data."""
    return frame((CLIENT_NET, 40000), (SERVER, 80), ACK, ISN_CLIENT + 1, ISN_SERVER + D + 1, TIMESTAMPS,
                 bytes(8))


KINDS = {
    "syn": lambda count: flood(count, SYN, SYN_OPTIONS),
    "syn_mss": lambda count: flood(count, SYN, MSS_ALONE),
    "ack_ts": lambda count: flood(count, ACK, TIMESTAMPS),
    "ack": lambda count: flood(count, ACK, b""),
    "to_server": lambda count: flow(count, False),
    "to_client": lambda count: flow(count, True),
}


def write(path, kind, count):
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        for number, data in enumerate(KINDS[kind](count)):
            file.write(struct.pack("<IIII", 1, number, len(data), len(data)) + data)
