#!/usr/bin/python3
# Ports that are no network interface, with real packets through them where something can be at the
# other end: memif between two appliances, a ring as a cable between two pairs of ports of one, tap,
# a capture that is read, and `null`, where there is nothing.
# Proves: B4.
# limit: quick 60 full 60
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403
from samples import *  # noqa: E402,F403
from wire import Wire  # noqa: E402
from scapy.utils import PcapWriter  # noqa: E402

CONFIG = """
node = "{name}";
runtime = "{runtime}";
eal = {{ memory_mb = 64; }};
ports = ( {ports} );
services = ( {{ name = "wire"; to = [ "0.0.0.0/0", "::/0" ]; protocol = "any"; from = "any";
                mode = "bypass"; }} );
rules = ( {{ name = "all"; action = "allow"; }} );
"""
OUTSIDE, INSIDE = ("outside", "af_packet:outside"), ("inside", "af_packet:inside")


def prepare(lab):
    """The lab without its own node: its interfaces are there to be used."""
    lab.up("bypass")
    lab.serve_http()
    end_node(lab)


def end_node(lab):
    pid = lab.pid()
    os.kill(pid, signal.SIGTERM)
    until(lambda: not os.path.exists(f"/proc/{pid}"), 10, "the lab's node ends")


class Node:
    """An appliance of ours in the place of the lab's: ports are (side, device)."""

    def __init__(self, lab, name, *ports):
        self.lab, self.name = lab, name
        self.runtime, config = f"{lab.folder}/{name}", f"{lab.folder}/{name}.cfg"
        text = ", ".join(f'{{ name = "{side}{i}"; side = "{side}"; device = "{device}"; }}'
                         for i, (side, device) in enumerate(ports))
        with open(config, "w") as file:
            file.write(CONFIG.format(name=name, runtime=self.runtime, ports=text))
        self.process = lab.start("pop-a", f"{BUILD}/weir", "run", "-c", config)
        until(lambda: self.process.poll() is not None or self.forwards(), 15, f"{name} forwards")
        if self.process.poll() is not None:
            raise AssertionError(f"{name} ended: {self.process.stdout.read()}")

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        try:
            if kind is None and self.process.poll() is None:
                self.check_conservation()
                self.process.terminate()
                expect_equal(self.process.wait(10), 0, f"exit status of {self.name}")
        finally:
            end(self.process)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def show(self, *words):
        result = subprocess.run([f"{BUILD}/weirctl", "-s", f"{self.runtime}/console.sock", "-j",
                                 "show", *words], text=True, timeout=10, capture_output=True)
        return json.loads(result.stdout)["data"] if result.returncode == 0 else None

    def forwards(self):
        status = self.show("status")
        return status and status["state"] == "forwarding"

    def port(self, index):
        return self.show("port", "stats", "all")["ports"][index]

    def check_conservation(self):
        until(lambda: self.show("drop")["unexplained"] == 0, 5, f"explained: {self.show('drop')}")


def check_traffic(lab, *nodes):
    """Downloads and pings of both families, through every port of every node."""
    until(lambda: lab.run("client", "ping", "-q", "-c", "1", "-W", "0.2",
                          SERVER[4]).returncode == 0, 10,
          f"the first ping {[node.show('port', 'stats', 'all') for node in nodes]}")
    before = [[port["rx_packets"] for port in node.show("port", "stats", "all")["ports"]]
              for node in nodes]
    for family in (4, 6):
        lab.expect_downloads(family, size(50, 2000))
        text = lab.output("client", "ping", "-q", "-c", "20", "-i", "0.002", "-w", "5",
                          SERVER[family])
        expect("20 received" in text, text)
    for node, earlier in zip(nodes, before):
        for port, count in zip(node.show("port", "stats", "all")["ports"], earlier):
            expect(port["rx_packets"] - count > 100, f"{node.name}: little came by {port}")


@check(families=False)
def memif(lab):
    """The first to open the socket listens, the second connects. What a first one left when it was
    killed is no obstacle, and the second one may be killed and come again."""
    path = f"{lab.folder}/memif.sock"
    left_ports = (OUTSIDE, ("inside", f"memif:{path}"))
    right_ports = (("outside", f"memif:{path}"), INSIDE)
    with Node(lab, "left", *left_ports) as left:
        left.kill()
    expect(os.path.exists(path), "the killed node left no socket: the test tests nothing")
    with Node(lab, "left", *left_ports) as left:
        with Node(lab, "right", *right_ports) as right:
            check_traffic(lab, left, right)
            right.kill()
        with Node(lab, "right", *right_ports) as right:
            check_traffic(lab, left, right)


@check(families=False)
def ring(lab):
    """outside - ring = ring - inside: each packet is judged twice."""
    with Node(lab, "cable", OUTSIDE, ("inside", "ring:cable"), ("outside", "ring:cable"),
              INSIDE) as node:
        check_traffic(lab, node)


@check(families=False)
def tap(lab):
    """Interfaces that the appliance makes itself."""
    with Node(lab, "taps", ("outside", "tap:tapo"), ("inside", "tap:tapi")):
        for name in ("tapo", "tapi"):
            lab.output("pop-a", "ip", "link", "set", name, "up")
        with Wire(lab, "pop-a", "tapo") as there, Wire(lab, "pop-a", "tapi") as back:
            for packet in others():
                frame = bytes(packet)
                there.send(frame)
                back.expect(lambda f, frame=frame: f == frame, packet.summary())
                back.send(frame)
                there.expect(lambda f, frame=frame: f == frame, packet.summary())


def write_capture(path):
    frames = [bytes(packet) for packet in others()] + [
        bytes(Ether(src=CLIENT_MAC, dst=SERVER_MAC) / network(family, HERE[family], THERE[family]) /
              UDP(sport=1000 + i, dport=53) / (b"%d" % i * 30))
        for i in range(200) for family in (4, 6)]
    writer = PcapWriter(path, linktype=1, sync=True)
    writer.write_header(None)
    for frame in frames:
        writer.write_packet(frame)
    writer.close()
    return frames


@check(families=False)
def pcap(lab):
    """A capture's frames come out at the other side, all of them, in order, as they were."""
    path = f"{lab.folder}/in.pcap"
    frames = write_capture(path)
    with Wire(lab, "core", "pop-a") as behind:
        with Node(lab, "reader", ("outside", f"pcap:{path}"), INSIDE) as node:
            until(lambda: node.port(1)["tx_packets"] >= len(frames), 5, "the frames have left")
            expect_equal(node.port(0)["rx_packets"], len(frames), "packets read")
            known = set(frames)
            seen = [frame for frame in behind.frames(0.2) if frame in known]
            expect(seen == frames, f"{len(seen)} of {len(frames)} frames, or another order")


@check(families=False)
def pcap_again_and_again(lab):
    path = f"{lab.folder}/loop.pcap"
    count = len(write_capture(path))
    with Node(lab, "looper", ("outside", f"pcap:{path},loop"), ("inside", "null")) as node:
        until(lambda: node.port(1)["tx_packets"] > 10 * count, 5, "the frames, over and over")


@check(families=False)
def null(lab):
    """Nothing arrives, everything leaves."""
    with Node(lab, "hole", OUTSIDE, ("inside", "null")) as node:
        with Wire(lab, "edge", "pop-a") as wire:
            for packet in others():
                wire.send(packet)
        until(lambda: node.port(1)["tx_packets"] >= len(list(others())), 5, "frames into the hole")
        expect_equal((node.port(1)["rx_packets"], node.port(1)["tx_refused"]), (0, 0),
                     "received and refused")


main(prepare, conservation=False)
