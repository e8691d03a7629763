"""Floods from random sources at the highest rate the generator makes, while legitimate clients keep
connecting and an established connection goes on. In mode proxy a flood creates no state, and memory
stays. In mode msyn a SYN does create a half-open flow, on both nodes where there are two: those
stay below the table's capacity and age out. Importing it registers the checks."""
import math

from labtest import *  # noqa: F403

RESIDENT_GROWTH_KIB_MAX = 1024
GREETING, GREETING_PORT, GREETING_S = b"220 welcome\r\n", 9400, 5
GREETINGS_APART_S, GREETINGS_MIN = 0.01, 20
ESTABLISHED_PORT, CONVERSATION_PORT = 9410, 9420
HALF_OPEN_GONE_S = 15
# In mode msyn: flows at most, and the rate of SYNs whose half-open flows fit until they age out.
MSYN_SETS = ["flows.capacity=32768"]
MSYN_SYN_RATE = 4000
OVER_CAPACITY_RATE = 150000
# What the links carry without loss: a client that only acknowledges has no second try.
ACK_RATE = 100000


def prepare_floods(lab):
    """Pages of memory that the first connections touch are no growth."""
    for family in (4, 6):
        lab.expect_downloads(family, 50)


def guesses_expected(tried):
    """The most flows that guessed ACKs may make: two tries each at 24 bits (TCP.md 1.6), exceeded
    once in 10,000 runs. Floods without ACKs have no guesses and may make none."""
    mean = 2 * tried / 2 ** 24
    most, chance, term = 0, math.exp(-mean), math.exp(-mean)
    while 1 - chance > 1e-4:
        most += 1
        term *= mean / most
        chance += term
    return most


def downloads(lab, family, _, seconds):
    count = size(100, 1000)
    lab.expect_downloads(family, count, parallel=10, rate=int(count / seconds * 1.2))
    return count


def half_open(lab, node):
    states = lab.show("flow", "stats", node=node)["states"]
    return states["syn_sent"] + states["syn_recv"]


def used_since(lab, seconds):
    """Rows of `show flow' that were used in the last seconds, but for guesses."""
    guesses = [row["client"] for family in (4, 6) for row in lab.flood_flows(family)]
    return [row for row in lab.show("flow", "limit", "0")["flows"]
            if row["idle_ms"] < seconds * 1000 and row["client"] not in guesses]


def expect_no_flood_flows(lab, before, count, label):
    """The connections made flows, one each, and the flood none but lucky guesses."""
    created, bad, since = before
    until(lambda: lab.flows_created() - created >= count, 2, "every connection has had its flow")
    guessed = lab.flows_created() - created - count
    tried = lab.service()["cookie_bad"] - bad
    print(f"# {label}: {tried} guesses were looked at, {guessed} made a flow")
    if guessed > guesses_expected(tried):
        rows = used_since(lab, time.monotonic() - since)
        # One that did not hear this node for a moment tells all it has again, also what has just
        # aged out here and is made anew by that.
        told = sum(row["copy"] != "own" for row in rows)
        print(f"# {label}: at most {told} of them were told of by another node")
        for row in rows:
            if row["server_port"] != 80 or row["generation"] != 1:
                print(f"# {label}: {json.dumps(row)}")
        guessed = max(guessed - told, 0)
    expect(0 <= guessed <= guesses_expected(tried), f"{guessed} flows are not legitimate")


def expect_half_open_flows(lab, sent, created, half_open_before):
    """Of a flood whose SYNs make state: bounded, counted, and gone after the transitory timer."""
    made = lab.flows_created() - created
    expect(made > sent / 10, f"{made} flows of {sent} frames: the test tested nothing")
    for node in lab.nodes:
        flows = lab.show("flow", "stats", node=node)
        expect(flows["total"] <= flows["capacity"], f"{node} has {flows['total']} flows")
        until(lambda n=node: half_open(lab, n) <= half_open_before[n], HALF_OPEN_GONE_S,
              f"{half_open(lab, node)} flows are still half-open at {node}")


def flood(lab, kind, family, clients=downloads, rate="max"):
    """A flood, and beside it the connections that clients(lab, family, generator, seconds) makes and
    counts, and one that was there before."""
    seconds = size(1, 12)
    makes_state = lab.mode == "msyn" and kind in ("syn", "mixed")
    rate = MSYN_SYN_RATE if makes_state and rate == "max" else rate
    received = lab.show("drop")["received"]
    with Pair(lab, family, ESTABLISHED_PORT + family) as pair:
        pair.echo()
        before = lab.flows_created(), lab.service()["cookie_bad"], time.monotonic()
        half_open_before = {node: half_open(lab, node) for node in lab.nodes}
        resident = {node: lab.resident_kib(node) for node in lab.nodes}
        generator = lab.start_flood(kind, family, seconds, rate)
        count = clients(lab, family, generator, seconds)
        pair.echo()
        generator.wait(seconds + 20)
        pair.echo()
    report = json.loads(generator.stdout.read())
    label = f"{kind} v{family}"
    print(f"# {label}: {report['rate']:.0f} frames/s beside {count} connections")
    expect(report["rate"] > MSYN_SYN_RATE / 2, f"the generator made only {report['rate']} frames/s")
    until(lambda: lab.show("drop")["received"] - received > report["sent"] / 10, 2,
          "the flood did not arrive: the test tested nothing")
    if makes_state:
        expect_half_open_flows(lab, report["sent"], before[0], half_open_before)
    else:
        expect_no_flood_flows(lab, before, count, label)
    for node in lab.nodes:
        growth = lab.resident_kib(node) - resident[node]
        expect(growth <= RESIDENT_GROWTH_KIB_MAX, f"memory of {node} grew by {growth} KiB")


@check
def syn_flood(lab, family):
    flood(lab, "syn", family)


@check
def syn_flood_over_the_capacity(lab, family):
    """Half-open flows make room for each other, never an established one for them."""
    if lab.mode != "msyn":
        raise Skip("mode msyn only")
    evicted = lab.show("flow", "stats")["evicted"]
    with Pair(lab, family, CONVERSATION_PORT + family) as pair:
        def converse(lab, family, generator, seconds):
            while generator.poll() is None:
                pair.echo()
                time.sleep(0.01)
            return 0
        pair.echo()
        flood(lab, "syn", family, converse, OVER_CAPACITY_RATE)
    expect(lab.show("flow", "stats")["evicted"] > evicted, "the table was never full")


@check
def ack_flood(lab, family):
    flood(lab, "ack", family)


@check
def rst_flood(lab, family):
    flood(lab, "rst", family)


@check
def synack_flood(lab, family):
    flood(lab, "synack", family)


@check
def mixed_flood(lab, family):
    flood(lab, "mixed", family)


def every_address_is_a_prefix(lab):
    """The lab routes a flood from 512 IPv4 prefixes of 24 bits; by address there are 131,072."""
    path = f"{lab.state}/pop-a.cfg"
    with open(path) as file:
        text = file.read()
    for old, new in ("prefix4 = 24;", "prefix4 = 32;"), ("prefix6 = 56;", "prefix6 = 128;"):
        expect(old in text or new in text, f"no {old!r} in the configuration")
        text = text.replace(old, new)
    with open(path, "w") as file:
        file.write(text)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of the reload")


def greetings(timestamps):
    """Clients that wait for the server to speak, so that the ACK is all they send: where it is
    refused they hear nothing (TCP.md 1.9)."""
    def greet(listener):
        with contextlib.suppress(OSError):
            while True:
                with listener.accept()[0] as connection:
                    connection.sendall(GREETING)

    def clients(lab, family, generator, _):
        count = 0
        port = GREETING_PORT + 2 * timestamps + (family == 6)
        with lab.listen(family, port) as listener:
            greeter = Background(greet, listener)
            while generator.poll() is None:
                client = lab.connect(family, port, timeout=GREETING_S)
                with client:
                    offered = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 8)[5] & 1
                    expect_equal(offered, timestamps, "timestamps of the connection")
                    expect_equal(receive_exactly(client, len(GREETING)), GREETING, "greeting")
                count += 1
                time.sleep(GREETINGS_APART_S)
            listener.shutdown(socket.SHUT_RDWR)
            greeter.result()
        expect(count >= GREETINGS_MIN, f"only {count} connections beside the flood")
        return count
    return clients


def flood_from_everywhere(lab, family, timestamps):
    """Whoever has not guessed is tried: the clients, and as well nearly all of the flood."""
    every_address_is_a_prefix(lab)
    limited = lab.show("drop")["reasons"].get("rate_limited", 0)
    lab.output("client", "sysctl", "-w", f"net.ipv4.tcp_timestamps={timestamps}")
    try:
        flood(lab, "ack", family, greetings(timestamps), ACK_RATE)
    finally:
        lab.output("client", "sysctl", "-w", "net.ipv4.tcp_timestamps=1")
    limited = lab.show("drop")["reasons"].get("rate_limited", 0) - limited
    expect(limited < ACK_RATE / 100, f"{limited} ACKs were refused unseen")


@check
def ack_flood_from_everywhere(lab, family):
    flood_from_everywhere(lab, family, timestamps=1)


@check
def ack_flood_from_everywhere_plain_clients(lab, family):
    flood_from_everywhere(lab, family, timestamps=0)


@check(families=False, used=())
def own_syns_beside_floods(lab):
    lab.expect_own_syns()
