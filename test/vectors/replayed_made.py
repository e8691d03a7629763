#!/usr/bin/python3
"""Two nodes, and packets made in memory, through `weir replay`: replayed_made.py WEIR CONFIG, with
pop-a.cfg and pop-b.cfg beside CONFIG. Needs no privilege.
"""
import glob
import os
import sys
import tempfile
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))
import replayed_captures as captures  # noqa: E402
from replayed_captures import back, connections, get, payload, replay, run, tcp, write  # noqa: E402
from replayed import CLIENT_MAC, HERE, SERVER_MAC, THERE, expect, network, read_pcapng  # noqa: E402
from scapy.layers.inet import ICMP, TCP, UDP  # noqa: E402
from scapy.layers.inet6 import ICMPv6EchoReply, ICMPv6EchoRequest  # noqa: E402
from scapy.layers.l2 import Ether  # noqa: E402

MODES = ("proxy", "msyn", "track")


# --- two nodes ---

def datagrams():
    """Questions of both sides, each with its answer: UDP of the inside, pings of both."""
    out, into = Ether(src=SERVER_MAC, dst=CLIENT_MAC), Ether(src=CLIENT_MAC, dst=SERVER_MAC)
    for family in (4, 6):
        here, there = HERE[family], THERE[family]
        ask, reply = (ICMP, lambda **f: ICMP(type=0, **f)) if family == 4 else \
            (ICMPv6EchoRequest, ICMPv6EchoReply)
        yield out / network(family, there, here) / UDP(sport=5000, dport=53) / b"query"
        yield out / network(family, there, here) / UDP(sport=5000, dport=53) / b"again"
        yield into / network(family, here, there) / UDP(sport=53, dport=5000) / b"reply"
        yield out / network(family, there, here) / ask(id=7)
        yield into / network(family, here, there) / reply(id=7)
        yield into / network(family, here, there) / ask(id=8)
        yield out / network(family, there, here) / reply(id=8)


def pair(*words, **options):
    """A replay of two nodes; what each has adds up, and nothing was lost between them."""
    got = replay("-c", POP_B, *words, config=POP_A, **options)
    for node in got[1]["nodes"]:
        expect(node["packets"]["unexplained"], 0, f"unexplained at {node['node']}")
        expect(node["cluster"]["wait_timeouts"], 0, "waits in vain")
    first, second = (node["packets"] for node in got[1]["nodes"])
    expect((first["to_peers"], second["to_peers"]), (second["from_peers"], first["from_peers"]),
           "handed over, and taken")
    expect(first["received"] + second["received"],
           got[1]["packets"]["read"] - got[1]["packets"]["withheld"] + got[1]["packets"]["repeated"],
           "offered to both")
    return got


def two_nodes():
    """Client -> A -> server -> B -> client: B translates what A has opened. The ports of the written
    file are A outside, A inside, B outside, B inside."""
    count = 40
    whole = write("asym", connections(count) + list(datagrams()))
    for mode in MODES:
        sets = (f"services.lab.mode={mode}",)
        files = [pair("--in", whole, "--burst", str(size), played=True, sets=sets)
                 for size in (1, 5, 32, 32)]
        for _, _, written in files[1:]:
            expect(written == files[0][2], True, f"{mode}: the same file in any turns, and again")
        out, report, _ = files[0]
        expect((report["withheld"], report["reasons"]), ({}, {}), f"{mode}: withheld, dropped")
        expect([(node["node"], node["takes"]) for node in report["nodes"]],
               [("pop-a", ["outside"]), ("pop-b", ["inside"])], "nodes")
        tcp_only = [one for one in out if Ether(one[1]).haslayer(TCP)]
        for port, text in ((1, b"question"), (2, b"answer")):
            streams = payload(tcp_only, port)
            expect((len(streams), set(streams.values())), (count, {text}), f"{mode}: streams")
        expect([one for one in out if one[0] in (0, 3) and "how=forwarded" in one[2]], [],
               f"{mode}: what a node forwards leaves by its own other side")
        b = report["nodes"][1]
        expect((b["packets"]["to_peers"] >= count, b["cluster"]["synack_to_owner"] >= count),
               (True, True), f"{mode}: SYN/ACKs handed to their owner")
        expect(b["flows"]["created"] >= count, True, f"{mode}: copies at B")
    expect(pair("--in", whole, played=True, seed="8")[2] == pair("--in", whole, played=True)[2],
           False, "another seed gives another file")
    names = get(f"{captures.FOLDER}/out")[:600]
    for name in (b"pop-a outside", b"pop-a inside", b"pop-b outside", b"pop-b inside"):
        expect(name in names, True, "names of interfaces")


def the_other_way_round():
    whole = write("asym", connections(10))
    written = []
    for words in (("-c", POP_A, "--takes", "inside", "-c", POP_B),
                  ("-c", POP_A, "-c", POP_B, "--takes", "outside"),
                  ("-c", POP_B, "-c", POP_A)):
        out, report = f"{captures.FOLDER}/turned", f"{captures.FOLDER}/turned.json"
        done = captures.subprocess.run([captures.WEIR, "replay", *words, "--in", whole, "--seed",
                                        "7", "--write", out, "--json", report],
                                       capture_output=True, text=True, timeout=60)
        expect(done.returncode, 0, done.stderr)
        first = 0 if words[1] == POP_A else 2
        streams = payload(read_pcapng(out), (2 - first) + 1)
        expect((len(streams), set(streams.values())), (10, {b"question"}), f"{words}: through B")
        streams = payload(read_pcapng(out), first)
        expect((len(streams), set(streams.values())), (10, {b"answer"}), f"{words}: back by A")
        written.append(get(out))
    expect(written[0] == written[1], True, "the same said in two ways")


def strangers():
    """What neither node knows is dropped, counted where it was; a capture's gap of a day changes
    nothing for the connections behind it."""
    frames = [back(4, b"late", flags="PA", seq=5, ack=6), tcp(4, flags="S", sport=5, dport=80)]
    _, report, _ = pair("--in", write("strangers", frames), "--html", f"{captures.FOLDER}/page",
                        sets=("services.lab.mode=track",))
    a, b = report["nodes"]
    # B asks A, who does not know it either.
    expect((a["reasons"], b["reasons"]), ({"no_owner": 1}, {}), "reasons of each")
    expect(report["reasons"], {"no_owner": 1}, "reasons")
    page = captures.Page(get(f"{captures.FOLDER}/page").decode())
    for text in ("pop-a (from outside)", "pop-b (from inside)", "from the other node", "no_owner"):
        expect(text in page.text, True, f"{text} stands in the page")
    with captures.PcapWriter(f"{captures.FOLDER}/gap", linktype=1) as writer:
        writer.write_header(None)
        for k, sec in enumerate((1000, 1000 + 3000, 1000 + 90000)):
            for i, frame in enumerate(connections(3)):
                field = "sport" if frame.src == CLIENT_MAC else "dport"
                setattr(frame[TCP], field, getattr(frame[TCP], field) + 100 * k)
                writer.write_packet(bytes(frame), sec=sec, usec=170 * i)
    for mode in MODES:
        out, report, _ = pair("--in", f"{captures.FOLDER}/gap", played=True,
                              sets=(f"services.lab.mode={mode}",))
        expect((report["withheld"], report["reasons"]), ({}, {}), f"{mode}: behind a gap")


def corpus():
    """Whatever passes two nodes: every packet is accounted for at each, and bursts change nothing."""
    inside = [word for prefix in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fe80::/10")
              for word in ("--inside", prefix)]
    folder = os.environ.get("WEIR_CORPUS")
    for path in sorted(glob.glob(f"{folder}/*.pcap*")) if folder else ():
        for mode in MODES:
            files = [replay("-c", POP_B, "--in", path, "--burst", size, *inside, config=POP_A, played=True,
                            sets=(f"services.lab.mode={mode}", "services.lab.to=any", "rules.servers.to=any"))
                     for size in ("1", "32")]
            expect(files[0][2] == files[1][2], True, f"{path} {mode}: the same file in any turns")
            for node in files[0][1]["nodes"]:
                expect(node["packets"]["unexplained"], 0, f"{path} {mode}: unexplained at {node['node']}")


def bad_pairs():
    whole = write("asym", connections(1))
    other = captures.put("other.cfg", get(POP_B).replace(b'name = "lab";\n\ttransport',
                                                         b'name = "other";\n\ttransport'))
    alone = captures.put("alone.cfg", get(POP_B).replace(b'name = "pop-a"; id = 0', b'name = "pop-c"; id = 2'))
    cases = (((POP_A, captures.CONFIG), 1, "single.cfg: has no `cluster' group"),
             ((POP_A, POP_A), 1, "every node has its own"),
             ((POP_A, other), 1, "is of cluster.name `other'"),
             ((POP_A, alone), 1, "alone.cfg: does not name the other node (id 0) in cluster.peers"),
             ((POP_A, "/nonexistent"), 1, "/nonexistent: No such file"),
             ((POP_A, POP_B, POP_B), 2, "more than two -c"),
             ((POP_A, "--takes", "left", POP_B), 2, "--takes is followed by outside or inside"),
             ((POP_A, "--takes", "inside"), 2, "give a second -c"),
             ((POP_A, "--takes", "inside", "--takes", "outside", POP_B), 2, "gives one node both"),
             ((POP_A, "--takes", "inside", POP_B, "--takes", "inside"), 2, "one side twice"))
    for files, status, text in cases:
        words = []
        for word in files:
            words += [word] if word.startswith("--") or word in ("left", "inside", "outside") \
                else ["-c", word]
        done = captures.subprocess.run([captures.WEIR, "replay", *words, "--in", whole],
                                       capture_output=True, text=True, timeout=60)
        expect((done.returncode, text in done.stderr), (status, True), f"{files}: {done.stderr}")


def different_services():
    done = captures.subprocess.run(
        [captures.WEIR, "replay", "-c", POP_A, "-c", captures.put("differs.cfg", get(POP_B).replace(
            b'mode = "proxy"', b'mode = "track"')), "--in", write("asym", connections(1)), "--json",
         "/dev/null"], capture_output=True, text=True, timeout=60)
    expect(done.returncode, 0, done.stderr)
    line = f"{POP_A}: warning: service lab: mode proxy here, track at pop-b ({captures.FOLDER}/differs.cfg)\n"
    expect(line in done.stderr, True, done.stderr)


# --- packets made in memory ---

def loads():
    """What becomes of each kind, and that a seed makes it the same again."""
    count = 3000
    wanted = {"syn": ("consumed", count), "ack": ("dropped", count),
              "established:500": ("forwarded", count), "ack:500": ("dropped", count),
              "established": ("forwarded", count)}
    for load, (key, number) in wanted.items():
        files = [replay("--synthetic", load, "--count", str(count), "--burst", size, played=True,
                        seed=seed) for size, seed in (("32", "7"), ("32", "7"), ("1", "7"), ("32", "8"))]
        out, report, written = files[0]
        expect(report["packets"][key], number, f"{load}: {key} of {report['packets']}")
        expect((report["packets"]["read"], len(out)), (count, count), f"{load}: packets")
        expect([one[2] == written for one in files[1:]], [True, True, False], f"{load}: seeds, turns")
        expect(report["sources"], [], "sources")
        expect(report["flows"]["created"], 0, f"{load}: while measuring")
        made = report["synthetic"]
        flows = int(load.partition(":")[2] or ("4096" if load == "established" else "0"))
        expect((made["kind"], made["flows"], made["opening"]["flows"], made["opening"]["packets"]),
               (load.partition(":")[0], flows, flows, 3 * flows), f"{load}: opened before")
    for mode in ("track", "bypass"):
        _, report, _ = replay("--synthetic", "established:500", "--count", "1k", played=True,
                              sets=(f"services.lab.mode={mode}",))
        expect(report["packets"]["forwarded"], 1000, f"{mode}: forwarded")
    _, report, _ = replay("--synthetic", "mix:100", "--duration", "0.01", "--rate", "400k",
                          "--html", f"{captures.FOLDER}/page", played=True)
    expect((report["packets"]["read"], round(report["capture_s"], 4)), (4000, 0.01), "duration")
    expect(report["sides"], {"outside": 3008, "inside": 992}, "sides of a mix")
    page = captures.Page(get(f"{captures.FOLDER}/page").decode())
    for text in ("Synthetic load mix of", "100 connections opened before it"):
        expect(text in page.text, True, f"{text} stands in the page")


def loads_of_two_nodes():
    for mode in MODES:
        files = [pair("--synthetic", "established:500", "--count", "2000", "--burst", size,
                      played=True, sets=(f"services.lab.mode={mode}",)) for size in ("32", "1")]
        expect(files[0][2] == files[1][2], True, f"{mode}: the same file in any turns")
        _, report, _ = files[0]
        a, b = report["nodes"]
        expect((a["packets"]["forwarded"], b["packets"]["forwarded"]), (1008, 992),
               f"{mode}: both directions, each through its node")
        expect(report["reasons"], {}, f"{mode}: dropped")
        # Of the load alone, which opens nothing, they say little; of its opening they say more.
        for node in pair("--synthetic", "established:500", "--count", "20", played=True,
                         sets=(f"services.lab.mode={mode}",))[1]["nodes"]:
            told = node["cluster"]
            expect((told["updates_sent"] < 100, told["tx_bytes"] < 10000, told["synack_to_owner"]),
                   (True, True, 0), f"{mode}: what nodes say while nothing is opened: {told}")


def bad_loads():
    lab = "services.lab.flows_max=10"
    cases = (("established:9000", 1, "add --set flows.capacity=9000"),
             ("established:101M", 2, "up to 100M"), ("established:x", 2, "FLOWS is a number"),
             ("syn:", 2, "FLOWS is a number"), ("established:-5", 2, "FLOWS is a number"),
             ("established:0", 2, "at least one connection"), ("mix:0", 2, "at least one connection"),
             ("fin", 2, "syn, ack, mix or established"), ("synack", 2, "syn, ack, mix or established"),
             ("syn --synthetic ack", 2, "given twice"),
             ("established:100 --set " + lab, 1, "add --set services.lab.flows_max=100"),
             ("established:5000 --clients 192.0.2.0/24", 1, "limits.per_prefix_flows = 4096 lets"),
             ("established:9 --set rules.servers.action=deny", 1, "dropped as rule_denied"),
             ("syn --clients 2001:db8::/32", 1, "are of IPv4"), ("syn --clients 192.0.2.1/24", 2, "host bits"),
             ("syn --clients 300.0.0.0/8", 2, "takes ADDRESS/BITS, such as"),
             ("syn --clients any", 2, "takes ADDRESS/BITS, such as"),
             ("syn --duration 1e-9", 1, "of no packet"), ("syn --duration 0", 2, "--duration takes"),
             ("syn --count 0", 2, "--count takes"), ("syn --count 1x", 2, "--count takes"),
             ("syn --rate 2G", 2, "--rate takes"), ("syn --count 1 --duration 1", 2, "give one of them"),
             ("syn --loop 2", 2, "larger --count"), ("syn --fresh", 2, "are of captures"),
             ("syn --in x", 2, "leave --in away"))
    for words, status, text in cases:
        done = run("--synthetic", *words.split())
        expect((done.returncode, text in done.stderr), (status, True), f"{words}: {done.stderr}")
    if os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") < 40 << 30:
        done = captures.subprocess.run(
            [captures.WEIR, "replay", "-c", captures.CONFIG, "--synthetic", "established:100M",
             "--set", "flows.capacity=100000000", "--set", f"limits.queue_total_bytes={40 << 30}"],
            capture_output=True, text=True, timeout=60)
        expect((done.returncode, "GiB of memory, and the system has" in done.stderr), (1, True),
               done.stderr)
    done = captures.subprocess.run(
        [captures.WEIR, "replay", "-c", captures.CONFIG, "--synthetic", "established:70k", "--clients",
         "10.1.2.0/32", "--set", "flows.capacity=80000"], capture_output=True, text=True, timeout=60)
    expect((done.returncode, "have addresses and ports for 6" in done.stderr), (1, True), done.stderr)
    done = captures.subprocess.run(
        [captures.WEIR, "replay", "-c", captures.CONFIG, "--synthetic", "syn:0", "--set",
         "flows.capacity=134217729"], capture_output=True, text=True, timeout=60)
    expect((done.returncode, "holds at most 134217728 flows" in done.stderr), (1, True), done.stderr)
    done = run("--count", "5", "--in", "x")
    expect((done.returncode, "it is missing" in done.stderr), (2, True), done.stderr)


CHECKS = (two_nodes, the_other_way_round, strangers, bad_pairs, different_services, loads, loads_of_two_nodes, bad_loads, corpus)

if __name__ == "__main__":
    captures.WEIR, captures.CONFIG = sys.argv[1:3]
    POP_A, POP_B = (os.path.join(os.path.dirname(captures.CONFIG), f"pop-{one}.cfg") for one in "ab")
    with tempfile.TemporaryDirectory() as captures.FOLDER:
        for check in CHECKS:
            if sys.argv[3:] in ([], [check.__name__]):
                start = time.monotonic()
                check()
                print(f"{check.__name__} {time.monotonic() - start:.1f} s", flush=True)
