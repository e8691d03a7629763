"""Frames to send through a box: connections of nobody's hosts, what is not IP, fragments."""
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, IPv6, IPv6ExtHdrFragment,
                                IPv6ExtHdrHopByHop, PadN)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether

# Nobody's addresses: no kernel of the lab takes part.
CLIENT_MAC, SERVER_MAC = "02:00:00:00:0c:01", "02:00:00:00:05:01"
THERE = {4: "198.51.100.77", 6: "2001:db8:2::77"}
HERE = {4: "192.0.2.77", 6: "2001:db8:1::77"}
TAGS = {
    "none": (b"", lambda: Ether()),
    "vlan": (bytes.fromhex("8100 6064"), lambda: Ether() / Dot1Q(vlan=100, prio=3)),
    "qinq": (bytes.fromhex("88a8 00c8 8100 0064"),
             lambda: Ether() / Dot1AD(vlan=200) / Dot1Q(vlan=100)),
}
SYN_OPTIONS = [("MSS", 1460), ("SAckOK", b""), ("NOP", None), ("WScale", 7)]


def network(family, source, destination, **fields):
    if family == 6:
        return IPv6(src=source, dst=destination)
    return IP(src=source, dst=destination, id=7, **fields)


def recomputed(frame):
    """The frame with checksums computed by scapy."""
    packet = Ether(frame)
    for layer in (IP, TCP, UDP):
        if packet.haslayer(layer):
            del packet[layer].chksum
    return bytes(packet)


def others():
    """What is not the box's business."""
    ether = Ether(src=CLIENT_MAC, dst="ff:ff:ff:ff:ff:ff")
    yield ether / ARP(psrc=HERE[4], pdst=THERE[4], hwsrc=CLIENT_MAC)
    yield ether / Dot1Q(vlan=7) / ARP(psrc=HERE[4], pdst=THERE[4], hwsrc=CLIENT_MAC)
    yield ether / Dot1AD(vlan=8) / Dot1Q(vlan=7) / ARP(op=2, psrc=HERE[4], pdst=THERE[4])
    multicast = Ether(src=CLIENT_MAC, dst="33:33:ff:00:00:77")
    yield multicast / IPv6(src="fe80::1", dst="ff02::1:ff00:77", hlim=255) / \
        ICMPv6ND_NS(tgt=THERE[6])
    yield Ether(src=CLIENT_MAC, dst=SERVER_MAC) / Dot1Q(vlan=7) / \
        IPv6(src="fe80::1", dst="fe80::2", hlim=255) / ICMPv6ND_NA(tgt=THERE[6])
    yield Ether(src=CLIENT_MAC, dst="01:80:c2:00:00:0e", type=0x88CC) / (b"\x02\x07" + b"x" * 50)
    yield Ether(src=CLIENT_MAC, dst=SERVER_MAC, type=0x8847) / (b"\x00\x01\x01\x40" + b"y" * 50)


def fragments(family):
    """[(frame, passes with "pass")]; with "drop" none does."""
    ether = Ether(src=CLIENT_MAC, dst=SERVER_MAC)

    def fragment(offset, more, body, protocol=6):
        if family == 6:
            return ether / IPv6(src=HERE[6], dst=THERE[6]) / \
                IPv6ExtHdrFragment(offset=offset // 8, m=more, id=9, nh=protocol) / body
        return ether / IP(src=HERE[4], dst=THERE[4], id=9, flags="MF" if more else 0,
                          frag=offset // 8, proto=protocol) / body
    syn = bytes(TCP(sport=1, dport=80, flags="S", seq=1)) + b"data"
    echo = bytes(ICMP(type=8, id=1)) if family == 4 else b"\x80\0\0\0\0\1\0\0"
    return [
        (fragment(0, 1, syn), False),
        (fragment(0, 1, syn[:8]), False),  # tiny: the flags are in the next one
        (fragment(0, 1, syn[:16]), False),
        (fragment(64, 1, b"x" * 64), True),
        (fragment(128, 0, b"x" * 9), True),
        (fragment(0, 1, echo + b"p" * 32, 1 if family == 4 else 58), True),  # a rule allows it
        *([(fragment(8, 0, b"x" * 16), False)] if family == 4 else []),  # over the TCP flags
    ]
