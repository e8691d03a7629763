#!/usr/bin/python3
# Mode track: a stateful firewall without proxying. Connections pass and have state; what belongs to
# none is dropped.
# Proves: B1, B4.
# limit: quick 40 full 300
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403


def prepare(lab):
    lab.up("track", options=["--workers", "2"])
    lab.serve_http()


@check
def track_http(lab, family):
    count = size(300, 10000)
    before = lab.flows_created()
    lab.expect_downloads(family, count)
    created = lab.flows_created() - before
    expect(created >= count, f"{created} flows created for {count} connections")


@check
def track_ping(lab, family):
    text = lab.output("client", "ping", "-q", "-c", "20", "-i", "0.01", SERVER[family])
    expect("20 received" in text, text)


@check
def track_big_download(lab, family):
    digest = random_file(f"{lab.folder}/files/big{family}", size(10, 1000))
    url = f"http://{target(SERVER[family], 80)}/big{family}"
    text = lab.output("client", "sh", "-c", f"curl -s -g -m 300 '{url}' | sha256sum", timeout=300)
    expect_equal(text.split()[0], digest, "SHA-256")


@check
def track_refused(lab, family):
    try:
        lab.connect(family, 9200)
    except ConnectionRefusedError:
        return
    raise AssertionError("a closed port accepted a connection")


@check
def track_ack_without_flow(lab, family):
    """ACKs of no connection are dropped as no_flow, and make no flow."""
    before, reasons = lab.flows_created(), lab.show("drop")["reasons"]
    generator = lab.start_flood("ack", family, 0.5, rate=2000)
    generator.wait(10)
    sent = json.loads(generator.stdout.read())["sent"]
    until(lambda: lab.show("drop")["reasons"]["no_flow"] - reasons.get("no_flow", 0) >= sent * 0.9,
          3, "nine of ten ACKs counted as no_flow")
    expect_equal(lab.flows_created(), before, "flows created")


@check
def track_udp(lab, family):
    """From inside out, and the answer back in: pseudo-state. From outside unasked: dropped."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with lab.inside("client"):
        outside = socket.socket(kind, socket.SOCK_DGRAM)
    with lab.inside("server"):
        inside = socket.socket(kind, socket.SOCK_DGRAM)
    for one, address in ((outside, CLIENT[family]), (inside, SERVER[family])):
        one.bind((address, 5300))
        one.settimeout(3)
    inside.sendto(b"question", (CLIENT[family], 5300))
    expect_equal(outside.recv(100), b"question", "outside")
    outside.sendto(b"answer", (SERVER[family], 5300))
    expect_equal(inside.recv(100), b"answer", "inside")
    outside.sendto(b"unasked", (SERVER[family], 5301))
    until(lambda: lab.show("drop")["reasons"].get("rule_denied", 0) > 0, 3, "a rule_denied drop")
    outside.close()
    inside.close()


main(prepare)
