#!/usr/bin/python3
# `show flow` of a large table while traffic runs: the document is whole, every flow is in it once,
# and the worker goes on forwarding.
# Proves: B1, B2.
# limit: quick 60 full 400
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403
from samples import *  # noqa: E402,F403
from wire import Wire  # noqa: E402

PORTS = 1000  # of the server's, each with as many of the client's as it takes
ROUNDS = 10


def prepare(lab):
    lab.flows = size(200000, 1000000)
    lab.up("proxy", sets=[f"flows.capacity={lab.flows * 5 // 4}", "eal.memory_mb=128",
                          "limits.per_prefix_flows=2000000"])
    lab.serve_http()
    fill(lab)


def ports_of(flow):
    return flow // PORTS + 1, flow % PORTS + 1


def templates():
    """One UDP datagram of each family, from the inside, where it needs no service. What changes is
    two ports and a payload that makes up for them, so that the checksum stays."""
    for family in (4, 6):
        frame = bytearray(bytes(Ether(src=SERVER_MAC, dst=CLIENT_MAC) /
                                network(family, THERE[family], HERE[family]) /
                                UDP(sport=0, dport=0) / b"\xff\xff"))
        yield frame, {4: 34, 6: 54}[family]


def fill(lab):
    """Even flows are IPv4, odd ones IPv6. A busy device loses some: sent again, they make none."""
    frames = list(templates())
    with Wire(lab, "core", "pop-a") as wire:
        for _ in range(ROUNDS):
            for flow in range(lab.flows):
                frame, at = frames[flow % 2]
                client, server = ports_of(flow)
                frame[at:at + 4] = server.to_bytes(2, "big") + client.to_bytes(2, "big")
                frame[at + 8:at + 10] = (0xFFFF - client - server).to_bytes(2, "big")
                wire.socket.send(frame)
            until(lambda: lab.show("drop")["unexplained"] == 0, 5, "the box is quiet")
            if lab.show("flow", "stats")["total"] >= lab.flows:
                return
    raise AssertionError(f"only {lab.show('flow', 'stats')} of {lab.flows} flows")


def dump(lab, *match):
    """The flows as (protocol, client, client port, server, server port), and the document."""
    def compact(object_):
        if "client_port" not in object_:
            return object_
        return tuple(object_[key] for key in ("protocol", "client", "client_port", "server",
                                              "server_port"))
    result = lab.weirctl("-j", "show", "flow", *match, "limit", "0", timeout=300)
    expect_equal(result.returncode, 0, "status of show flow")
    document = json.loads(result.stdout, object_hook=compact)["data"]
    expect_equal(document["more"], False, "more")
    return document["flows"]


def expected(lab):
    return {("udp", THERE[4 + flow % 2 * 2], ports_of(flow)[1], HERE[4 + flow % 2 * 2],
             ports_of(flow)[0]) for flow in range(lab.flows)}


def lost(lab):
    drop = lab.show("drop")
    return {"missed": sum(port["rx_missed"] for port in lab.show("port", "stats", "all")["ports"]),
            **{name: drop["reasons"][name] for name in ("control_busy", "tx_refused", "no_flow")}}


@check(families=False)
def dump_is_complete(lab):
    """With downloads and pings through the same worker, all of which succeed."""
    before, created = lost(lab), lab.flows_created()
    stop = threading.Event()

    def traffic():
        rounds = 0
        while not stop.is_set():
            lab.expect_downloads(4 + rounds % 2 * 2, 50, rate=500)
            text = lab.output("client", "ping", "-q", "-c", "20", "-i", "0.002", "-w", "5",
                              SERVER[4])
            expect("20 received" in text, text)
            rounds += 1
        return rounds
    load = Background(traffic)
    try:
        until(lambda: lab.flows_created() > created, 5, "traffic runs")
        flows = dump(lab, "udp", "any", "any", "any", "any")
        during = lab.flows_created() - created
    finally:
        stop.set()
    expect_equal(len(flows), lab.flows, "flows in the document")
    expect(set(flows) == expected(lab), "they are other flows")
    rounds = load.result()
    expect(during > 1, "nothing was opened during the dump: the test tests nothing")
    expect_equal(lost(lab), before, "lost while it was dumped")
    print(f"# {lab.flows} flows beside {rounds * 50} downloads")


@check(families=False)
def dump_given_up(lab):
    """Who leaves in the middle of a dump is let go; the next one gets all of it."""
    for _ in range(5):
        with lab.inside("pop-a"), socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{lab.runtime}/console.sock")
            client.sendall(b'{"command": "show flow limit 0"}\n')
            expect(len(client.recv(100000)) > 0, "nothing came")
    match = ("udp", f"{THERE[4]}", "1", "any", "any")
    expect_equal(len(dump(lab, *match)), sum(ports_of(flow)[1] == 1
                                             for flow in range(0, lab.flows, 2)), "flows of a port")


main(prepare)
