#!/usr/bin/python3
# Mode bypass: the box is a wire with rules. What the rules allow passes untouched, the rest is
# dropped and named.
# Proves: B1, B4, C7.
# limit: quick 30 full 300
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403


def prepare(lab):
    lab.up("bypass")
    lab.serve_http()


@check
def bypass_http(lab, family):
    lab.expect_downloads(family, size(300, 10000))


@check
def bypass_ping(lab, family):
    text = lab.output("client", "ping", "-q", "-c", "20", "-i", "0.01", SERVER[family])
    expect("20 received" in text, text)


@check
def bypass_syn_reaches_server(lab, family):
    """A refusal is the server's own: nobody answered in its place."""
    try:
        lab.connect(family, 9200)
    except ConnectionRefusedError:
        return
    raise AssertionError("a closed port accepted a connection")


@check(families=False)
def bypass_rule_denies(lab):
    """UDP from outside has no rule: the implied last one drops it, by name."""
    before = lab.show("drop")["reasons"].get("rule_denied", 0)
    with lab.inside("client"):
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for _ in range(10):
        sender.sendto(b"x", (SERVER[4], 53))
    sender.close()
    until(lambda: lab.show("drop")["reasons"].get("rule_denied", 0) == before + 10, 3,
          "ten datagrams counted as rule_denied")


main(prepare)
