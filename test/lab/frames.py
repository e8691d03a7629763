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
from samples import *  # noqa: E402,F403

ISN_CLIENT, ISN_SERVER = 0xFFFFFFF0, 5


def prepare(lab):
    # A fixed profile: no SYN to the server asks for more than the client did.
    lab.up("proxy", sets=["services.lab.profile.ecn=false"], options=["--device", "af_xdp"])
    lab.outside, lab.inside_ = Wire(lab, "edge", "pop-a"), Wire(lab, "core", "pop-a")
    lab.source_port = 30000


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


@check(families=False)
def not_ip_passes(lab):
    for there, back in ((lab.outside, lab.inside_), (lab.inside_, lab.outside)):
        for packet in others():
            frame = bytes(packet)
            there.send(frame)
            back.expect(lambda f, frame=frame: f == frame, packet.summary())


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


def let_fragments_pass(lab):
    with open(f"{lab.state}/pop-a.cfg", "r+") as file:
        if "fragments" not in file.read():
            file.write('fragments = "pass";\n')
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")


@check
def fragments_pass(lab, family):
    let_fragments_pass(lab)
    check_fragments(lab, family, "pass")


@check(families=False)
def atomic_pass(lab):
    let_fragments_pass(lab)
    atomic_syn(lab)


main(prepare)
