#!/usr/bin/python3
# Frames as they are on a wire, through af_xdp: connections behind VLAN tags, what is not IP, and
# fragments. Both ends of every conversation are played here, at the ends of the box's own links.
# Proves: P1, P2, P3, B4.
# limit: quick 40 full 40
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403
from wire import Wire  # noqa: E402
from scapy.layers.inet import ICMP, IP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import (ICMPv6ND_NA, ICMPv6ND_NS, IPv6, IPv6ExtHdrFragment,  # noqa: E402
                                IPv6ExtHdrHopByHop, PadN)
from scapy.layers.l2 import ARP, Dot1AD, Dot1Q, Ether  # noqa: E402

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
ISN_CLIENT, ISN_SERVER = 0xFFFFFFF0, 5


def prepare(lab):
    # A fixed profile: no SYN to the server asks for more than the client did.
    lab.up("proxy", sets=["services.lab.profile.ecn=false"], options=["--device", "af_xdp"])
    lab.outside, lab.inside_ = Wire(lab, "edge", "pop-a"), Wire(lab, "core", "pop-a")
    lab.source_port = 30000


def network(family, source, destination, **fields):
    if family == 6:
        return IPv6(src=source, dst=destination)
    return IP(src=source, dst=destination, id=7, **fields)


class Talk:
    """One connection, both ends of it, behind one set of tags."""

    def __init__(self, lab, family, tags):
        lab.source_port += 1
        self.lab, self.family, self.port = lab, family, lab.source_port
        self.tag_bytes, self.tags = TAGS[tags]

    def layer2(self, from_server):
        frame = self.tags()
        frame.src, frame.dst = (SERVER_MAC, CLIENT_MAC) if from_server else (CLIENT_MAC, SERVER_MAC)
        return frame

    def client(self, payload=b"", **fields):
        layer3 = network(self.family, HERE[self.family], THERE[self.family])
        self.lab.outside.send(self.layer2(False) / layer3 /
                              TCP(sport=self.port, dport=80, **fields) / payload)

    def server(self, payload=b"", **fields):
        layer3 = network(self.family, THERE[self.family], HERE[self.family])
        self.lab.inside_.send(self.layer2(True) / layer3 /
                              TCP(sport=80, dport=self.port, **fields) / payload)

    def expect(self, wire, flags, what, payload=None):
        """A segment of this connection; its Ethernet header, tags and checksums are right."""
        def wanted(frame):
            segment = Ether(frame).getlayer(TCP)
            return segment and self.port in (segment.sport, segment.dport) and \
                segment.flags == flags and (payload is None or bytes(segment.payload) == payload)
        frame = wire.expect(wanted, what)
        macs = bytes.fromhex((self.layer2(Ether(frame)[TCP].sport == 80).dst +
                              self.layer2(Ether(frame)[TCP].sport == 80).src).replace(":", ""))
        expect_equal(frame[:12 + len(self.tag_bytes)].hex(), (macs + self.tag_bytes).hex(),
                     f"Ethernet header of {what}")
        expect_equal(recomputed(frame), frame, f"checksums of {what}")
        return Ether(frame)[TCP]


def recomputed(frame):
    """The frame with checksums computed by scapy."""
    packet = Ether(frame)
    for layer in (IP, TCP, UDP):
        if packet.haslayer(layer):
            del packet[layer].chksum
    return bytes(packet)


def handshake(lab, family, tags):
    talk = Talk(lab, family, tags)
    talk.client(flags="S", seq=ISN_CLIENT, window=1000, options=SYN_OPTIONS)
    synack = talk.expect(lab.outside, "SA", "SYN/ACK")
    expect_equal(synack.ack, (ISN_CLIENT + 1) % 2**32, "its ACK")
    expect_equal(lab.inside_.before_marker(lab.outside, lambda f: Ether(f).haslayer(TCP)), [],
                 "TCP at the server before the cookie was proved")
    talk.client(b"question", flags="PA", seq=ISN_CLIENT + 1, ack=synack.seq + 1, window=1000)
    syn = talk.expect(lab.inside_, "S", "SYN to the server")
    talk.server(flags="SA", seq=ISN_SERVER, ack=(syn.seq + 1) % 2**32, window=64000,
                options=SYN_OPTIONS)
    question = talk.expect(lab.inside_, "PA", "the queued segment", b"question")
    expect_equal((question.seq, question.ack), (ISN_CLIENT + 1, ISN_SERVER + 1), "its numbers")
    talk.server(b"answer", flags="PA", seq=ISN_SERVER + 1, ack=(ISN_CLIENT + 9) % 2**32, window=500)
    answer = talk.expect(lab.outside, "PA", "the answer", b"answer")
    expect_equal((answer.seq, answer.ack), (synack.seq + 1, (ISN_CLIENT + 9) % 2**32),
                 "its numbers")
    talk.client(flags="R", seq=(ISN_CLIENT + 9) % 2**32)
    talk.expect(lab.inside_, "R", "the client's reset")


@check
def untagged(lab, family):
    handshake(lab, family, "none")


@check
def vlan(lab, family):
    handshake(lab, family, "vlan")


@check
def qinq(lab, family):
    handshake(lab, family, "qinq")


@check(families=False)
def hop_by_hop(lab):
    """An extension header in front of TCP is no way round the cookie."""
    lab.source_port += 1
    port = lab.source_port
    lab.outside.send(Ether(src=CLIENT_MAC, dst=SERVER_MAC) / IPv6(src=HERE[6], dst=THERE[6]) /
                     IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 4)]) /
                     TCP(sport=port, dport=80, flags="S", seq=1))
    lab.outside.expect(lambda f: Ether(f).haslayer(TCP) and Ether(f)[TCP].dport == port and
                       Ether(f)[TCP].flags == "SA", "SYN/ACK")
    expect_equal(lab.inside_.before_marker(lab.outside, lambda f: Ether(f).haslayer(TCP)), [],
                 "TCP at the server")


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


@check(families=False)
def not_ip_passes(lab):
    for there, back in ((lab.outside, lab.inside_), (lab.inside_, lab.outside)):
        for packet in others():
            frame = bytes(packet)
            there.send(frame)
            back.expect(lambda f, frame=frame: f == frame, packet.summary())


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


def check_fragments(lab, family, policy):
    before = lab.show("drop")["reasons"]["fragment"]
    dropped = 0
    for packet, passes in fragments(family):
        frame = bytes(packet)
        lab.outside.send(frame)
        seen = lab.inside_.before_marker(lab.outside, lambda f, frame=frame: f == frame)
        wanted = passes and policy == "pass"
        expect_equal(len(seen), int(wanted), f"copies behind the box of {packet.summary()}")
        dropped += not wanted
    until(lambda: lab.show("drop")["reasons"]["fragment"] - before == dropped, 2,
          f"{dropped} counted as fragment: {lab.show('drop')['reasons']['fragment'] - before}")


def atomic_syn(lab):
    """An IPv6 datagram in one fragment is whole: the SYN in it is answered."""
    lab.source_port += 1
    port = lab.source_port
    lab.outside.send(Ether(src=CLIENT_MAC, dst=SERVER_MAC) / IPv6(src=HERE[6], dst=THERE[6]) /
                     IPv6ExtHdrFragment(id=9) / TCP(sport=port, dport=80, flags="S", seq=1))
    lab.outside.expect(lambda f: Ether(f).haslayer(TCP) and Ether(f)[TCP].dport == port and
                       Ether(f)[TCP].flags == "SA", "SYN/ACK")


@check
def fragments_drop(lab, family):
    check_fragments(lab, family, "drop")


@check(families=False)
def atomic_drop(lab):
    atomic_syn(lab)


@check
def fragments_pass(lab, family):
    if family == 4:
        with open(f"{lab.state}/pop-a.cfg", "a") as file:
            file.write('fragments = "pass";\n')
        expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    check_fragments(lab, family, "pass")


@check(families=False)
def atomic_pass(lab):
    atomic_syn(lab)


main(prepare)
