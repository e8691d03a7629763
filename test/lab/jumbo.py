#!/usr/bin/python3
# Frames longer than 1500 bytes, on af_packet: MTUs of 4000 and 9000 (af_xdp's buffers end below).
# Proves: B4.
# limit: quick 40 full 120
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403
from wire import Wire  # noqa: E402

LINKS = (("client", "eth0"), ("edge", "client"), ("edge", "pop-a"), ("pop-a", "outside"),
         ("pop-a", "inside"), ("core", "pop-a"), ("core", "server"), ("core", "lan"),
         ("server", "eth0"))
IP_BYTES = {4: 20, 6: 40}


def up(lab, mtu):
    lab.up("proxy", sets=[f"ports.outside.mtu={mtu}", f"ports.inside.mtu={mtu}",
                          "services.lab.mss=8960", "services.lab.profile.timestamps=true"])
    for host, link in LINKS:
        lab.output(host, "ip", "link", "set", link, "mtu", mtu)
    lab.mtu = mtu


def prepare(lab):
    up(lab, 9000)


def check_jumbo(lab, family, mtu):
    """Full-sized segments both ways through the proxy, and whole datagrams."""
    if lab.mtu != mtu:
        up(lab, mtu)
    listener = lab.listen(family, 9400)
    client = lab.connect(family, 9400)
    server = listener.accept()[0]
    data = os.urandom(size(2, 100) << 20)
    for sender, receiver in ((client, server), (server, client)):
        with Wire(lab, "core", "pop-a") as behind:
            task = Background(receive_exactly, receiver, len(data))
            sender.sendall(data)
            expect(task.result() == data, "the bytes that arrived are others")
            if sender is client:  # the server was told what the cookie's coarse table has
                longest = max(map(len, behind.frames(0)))
                expect(mtu - 60 < longest <= mtu + 14, f"frames of {longest} bytes at most")
    for one in (client, server, listener):
        one.close()
    text = lab.output("client", "ping", "-q", "-c", "3", "-i", "0.01", "-w", "5", "-M", "do", "-s",
                      mtu - 8 - IP_BYTES[family], SERVER[family])
    expect("3 received" in text, text)


@check
def jumbo_9000(lab, family):
    check_jumbo(lab, family, 9000)


@check(families=False)
def jumbo_9000_conservation(lab):
    lab.check_conservation()


@check
def jumbo_4000(lab, family):
    check_jumbo(lab, family, 4000)


@check(families=False)
def longer_than_the_port(lab):
    """Links that carry more than the box was told: what is too long is dropped by name."""
    if lab.mtu != 4000:
        up(lab, 4000)
    for host, link in LINKS:
        lab.output(host, "ip", "link", "set", link, "mtu", 9000)
    for bytes_ in (4001, 5000, 9000):
        before = lab.show("drop")
        text = lab.run("client", "ping", "-q", "-c", "2", "-i", "0.01", "-W", "0.2", "-M", "do",
                       "-s", bytes_ - 28, SERVER[4]).stdout
        expect(" 0 received" in text, text)
        after = until(lambda: (now := lab.show("drop"))["dropped"] >= before["dropped"] + 2 and now,
                      2, f"drops of packets of {bytes_} bytes")
        named = {name: count - before["reasons"][name] for name, count in after["reasons"].items()
                 if count != before["reasons"][name]}
        expect_equal(named, {"too_big": 2}, f"reasons for {bytes_} bytes")
    text = lab.output("client", "ping", "-q", "-c", "2", "-i", "0.01", "-w", "5", "-M", "do", "-s",
                      4000 - 28, SERVER[4])
    expect("2 received" in text, text)


main(prepare)
