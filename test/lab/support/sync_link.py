"""Two PoPs while the link between them loses, delays, reorders or carries nothing, and while one of
them is gone. Importing it registers the checks."""
import contextlib
import errno

from labtest import *  # noqa: F403

PORT = 9500
DOWN_S = 10
SETTLED_S = 15
RESIDENT_GROWTH_KIB_MAX = 1024
REFUSED_AT_ONCE, SYN_RETRIES = 4, 1
WAIT_MS = 200  # as the configurations of the lab have it
BEFORE_STATE_MS = 50
GREETED_PORT = 20000
HANDED_S = 4  # a node remembers the SYN/ACKs that it handed over
AGEING_S = 2  # all flows were looked at, and what has to be told again of them was told
RTO_MIN_S = 2  # longer than the machine stands still
FIRST_FLIGHT = 6  # segments of the greeting, at least, before any of them is acknowledged


def downloads_over(lab, *what):
    """Every connection completes while the sync link is impaired."""
    before = lab.cluster()["opening"]["shared"]
    count = size(30, 500)
    lab.impair("sync:pop-a", *what)
    try:
        until(lambda: lab.cluster()["state"] == "active", DOWN_S, "pop-a is not active")
        for family in (4, 6):
            lab.expect_downloads(family, count, deadline_ms=30000)
    finally:
        lab.impair("sync:pop-a", "off")
    lab.await_active()
    shared = lab.cluster()["opening"]["shared"] - before
    expect(shared >= 2 * count, f"{shared} connections were shared")


@check(families=False)
def sync_loss(lab):
    """Many updates travel in one datagram: where luck spares them all, there are more."""
    resent = lab.cluster()["peers"][0]["resent"]
    for _ in range(5):
        downloads_over(lab, "loss=20%")
        if lab.cluster()["peers"][0]["resent"] > resent:
            return
    expect(False, "nothing was sent again")


@check(families=False)
def sync_delay(lab):
    downloads_over(lab, "delay=50ms")


@check(families=False)
def sync_reorder(lab):
    downloads_over(lab, "delay=1ms", "reorder=20%")


# --- without the link ---

def half_done(lab):
    """What of each node must not grow, by node and name. What a flood before this check has guessed
    is left out: the server closes such a connection after a minute, nobody else ever does, and half
    closed it may stay for hours (TCP.md 4.4)."""
    found = {}
    for node in lab.nodes:
        flows = lab.show("flow", "stats", node=node)
        for state in ("pending", "syn_sent", "syn_recv", "established", "closing"):
            found[node, state] = flows["states"][state]
        for row in lab.flood_flows(4, node) + lab.flood_flows(6, node):
            if (node, row["state"]) in found:
                found[node, row["state"]] -= 1
        found[node, "segments"] = flows["queue"]["segments"]
    return found


def closing(lab):
    """The rows of `show flow' for an explanation."""
    return {node: [row for row in lab.show("flow", "limit", "0", node=node)["flows"]
                   if row["state"] == "closing"][:5] for node in lab.nodes}


def exceeds(lab, before):
    return {name: value for name, value in half_done(lab).items() if value > before[name]}


def set_link(lab, what):
    lab.command_lab(what, "pop-a", "pop-b")
    if what == "heal":
        lab.await_active()
        return
    for node in lab.nodes:
        until(lambda n=node: lab.cluster(n)["peers"][0]["state"] == "down", DOWN_S,
              f"{node} did not notice the cut")


def expect_refused(lab, asking):
    """A client that was answered by a cookie is told; one whose SYN goes to the server gives up after
    its own retries, as if the way were down. Neither hangs."""
    for one in asking:
        seconds, error = one.result()
        wanted = errno.ECONNRESET if lab.mode == "proxy" else errno.ETIMEDOUT
        expect_equal(error, wanted, f"error after {seconds:.1f} s")


def use_without_link(lab, pairs, resident):
    for pair in pairs:
        pair.echo()
    asking = [Background(connect_to_failure, lab, family, PORT, None, SYN_RETRIES)
              for family in (4, 6) for _ in range(REFUSED_AT_ONCE)]
    for family in (4, 6):
        with Pair(lab, family, PORT + 20 + family, source=SYMMETRIC[family]) as pair:
            pair.echo()
    expect_refused(lab, asking)
    for pair in pairs:
        pair.echo()
    for node in lab.nodes:
        growth = lab.resident_kib(node) - resident[node]
        expect(growth <= RESIDENT_GROWTH_KIB_MAX, f"memory of {node} grew by {growth} KiB")


@check(families=False)
def sync_cut(lab):
    """New connections of which each node sees a half are refused; others open, old ones go on. What
    ended meanwhile is ended at both nodes soon after, and all is as before."""
    until(lambda: not half_done(lab)["pop-a", "closing"], SETTLED_S,
          lambda: f"earlier connections close: {closing(lab)}")
    before = half_done(lab)
    listeners = [lab.listen(family, PORT) for family in (4, 6)]
    pairs = [Pair(lab, family, PORT + number * 2 + family)
             for family in (4, 6) for number in range(4)]
    resident = {node: lab.resident_kib(node) for node in lab.nodes}
    set_link(lab, "cut")
    try:
        use_without_link(lab, pairs, resident)
        for pair in pairs[::2]:
            pair.__exit__()
    finally:
        set_link(lab, "heal")
    for pair in pairs[1::2]:
        pair.echo()
        pair.__exit__()
    for listener in listeners:
        listener.close()
    for family in (4, 6):
        lab.expect_downloads(family, size(20, 200))
    until(lambda: not exceeds(lab, before), SETTLED_S,
          lambda: f"left over: {exceeds(lab, before)} {closing(lab)}")


# --- segments that are there before their state ---

def server_retransmits(lab):
    text = lab.output("server", "nstat", "-asz", "TcpRetransSegs", "TcpExtTCPTimeouts")
    return [int(line.split()[1]) for line in text.splitlines() if line.startswith("Tcp")]


def losses(lab):
    """What says at each node that something between them was lost, and what the server sent again."""
    found = {"sent again": server_retransmits(lab)}
    for node, other in (("pop-a", "pop-b"), ("pop-b", "pop-a")):
        peer = lab.show("cluster", "peer", other, node=node)
        found[node] = {name: peer[name] for name in ("unsent", "dropped")}
        found[node]["too_big"] = lab.show("drop", node=node)["reasons"]["too_big"]
    return found


def handed_over(lab):
    return lab.show("drop", node="pop-b")["to_peers"]


def is_settled(lab):
    """Nothing that was there before the delay takes the room of what comes now."""
    before = losses(lab)
    time.sleep(AGEING_S)
    return losses(lab) == before


@contextlib.contextmanager
def patient_server(lab):
    """The server repeats what was lost, but nothing because it did not hear for a moment. Its own
    timer expects the round trip it saw, which leaves a machine that stands still the rest of 200 ms;
    and a probe for a lost tail leaves after two round trips, of which it saw a short one only."""
    probes = lab.output("server", "sysctl", "-n", "net.ipv4.tcp_early_retrans").strip()
    lab.output("server", "sysctl", "-w", "net.ipv4.tcp_early_retrans=0")
    routes = {ip: lab.output("server", "ip", ip, "route", "show", "default").split("\n")[0].split()
              for ip in ("-4", "-6")}
    try:
        for ip, route in routes.items():
            # `pref' is shown, and understood at the end only.
            lab.output("server", "ip", ip, "route", "replace", *route[:route.index("congctl") + 2],
                       "rto_min", f"{RTO_MIN_S}s")
        yield
    finally:
        for ip, route in routes.items():
            lab.output("server", "ip", ip, "route", "replace", *route)
        lab.output("server", "sysctl", "-w", f"net.ipv4.tcp_early_retrans={probes}")


def greet(listener, what, count):
    """A server that speaks first, and more than one segment at once."""
    for _ in range(count):
        accepted = listener.accept()[0]
        accepted.sendall(what)
        accepted.close()


def greetings(lab, what, count):
    """As many connections of each family, from the same ports in every call."""
    for family in (4, 6):
        with lab.listen(family, PORT + 60) as listener:
            server = Background(greet, listener, what, count)
            for number in range(count):
                with lab.connect(family, PORT + 60, source_port=GREETED_PORT + number) as client:
                    expect_equal(receive_exactly(client, len(what)), what, "greeting")
                    expect_equal(client.recv(1), b"", "end")
            server.result()


def greet_and_forget(lab, what, count):
    """Connections of which pop-b forgets all that it saw. Once the link was gone it is told again of
    what it missed, but for what has ended."""
    greetings(lab, what, count)
    expect_equal(lab.weirctl("clear", "flow", "all", node="pop-b").returncode, 0, "clear")
    set_link(lab, "cut")
    time.sleep(HANDED_S)
    set_link(lab, "heal")
    lab.await_active()
    time.sleep(AGEING_S)
    expect_equal(lab.show("flow", "stats", node="pop-b")["total"], 0, "flows pop-b was told of")


@check(families=False)
def long_segments_before_their_state(lab):
    """Nobody waits for the state, and it takes longer than the server's first segments, of the full
    size of the network: pop-b has them carried to the owner and back, in parts. None is lost, and
    none is taken for one of an older connection between the same ports."""
    if lab.mode != "proxy":
        raise Skip("mode proxy only")
    count, greeting = size(10, 100), bytes(range(251)) * 40
    if size("quick", "full") == "full":  # takes its time; a unit test is there always
        greet_and_forget(lab, greeting, count)
    lab.impair("sync:pop-a", f"delay={BEFORE_STATE_MS}ms")
    try:
        for node in lab.nodes:
            until(lambda n=node: lab.cluster(n)["peers"][0]["rtt_us"] >= 900 * BEFORE_STATE_MS,
                  DOWN_S, f"{node} does not notice the delay")
        lab.await_active()
        expect_equal(lab.weirctl("set", "cluster", "wait", "none").returncode, 0, "wait")
        until(lambda: is_settled(lab), SETTLED_S, "the nodes still tell each other what was before")
        with patient_server(lab):
            before, carried = losses(lab), handed_over(lab)
            greetings(lab, greeting, count)
            expect_equal(losses(lab), before, "losses")
            carried = handed_over(lab) - carried
        expect(carried >= 2 * count * FIRST_FLIGHT, f"{carried} packets went to the owner")
    finally:
        lab.weirctl("reload")
        lab.impair("sync:pop-a", "off")
    lab.await_active()


# --- what the owner waits for ---

def set_on_timeout(lab, what):
    path = f"{lab.state}/pop-a.cfg"
    with open(path) as file:
        text = file.read()
    text = re.sub(r'on_timeout = "\w+"', f'on_timeout = "{what}"', text)
    expect(f'on_timeout = "{what}"' in text, "no on_timeout in the configuration")
    with open(path, "w") as file:
        file.write(text)
    result = lab.weirctl("reload")
    expect_equal(result.returncode, 0, f"status of the reload ({result.stderr})")


def openings(lab, count):
    """Downloads over pop-a and pop-b; what came of them, and how many were not confirmed in time."""
    before = lab.cluster()["opening"]["wait_timeouts"]
    report = lab.download_many(4, count, deadline_ms=20000)
    return report, lab.cluster()["opening"]["wait_timeouts"] - before


@check(families=False)
def waits(lab):
    """A confirmation takes longer than wait_ms: with `none' nobody misses it; with the others the
    segments go on late, or with on_timeout = drop not at all."""
    if lab.mode != "proxy":
        raise Skip("mode proxy only")
    count = size(10, 100)
    lab.impair("sync:pop-a", f"delay={WAIT_MS}ms")
    try:
        lab.await_active()
        for scope, late in (("none", 0), ("all", count), ("finder", count)):
            expect_equal(lab.weirctl("set", "cluster", "wait", scope).returncode, 0, scope)
            report, timeouts = openings(lab, count)
            expect_equal((report["ok"], report["reasons"], timeouts), (count, {}, late),
                         f"openings, failures and late confirmations with wait {scope}")
        set_on_timeout(lab, "drop")
        dropped = lab.show("drop")["reasons"]["hold_timeout"]
        report, timeouts = openings(lab, count)
        expect_equal((report["reasons"], timeouts), ({"reset": count}, count), "with drop")
        expect(lab.show("drop")["reasons"]["hold_timeout"] - dropped >= count, "dropped by name")
    finally:
        set_on_timeout(lab, "forward")
        lab.impair("sync:pop-a", "off")
    lab.await_active()
    report, timeouts = openings(lab, count)
    expect_equal((report["ok"], report["reasons"], timeouts), (count, {}, 0), "without delay")


@check(families=False, used=("pop-a",))
def other_node_killed(lab):
    """Its answers have no way while it is gone; when it is active again, all is as before."""
    lab.command_lab("kill", "pop-b")
    until(lambda: lab.cluster()["peers"][0]["state"] == "down", DOWN_S, "pop-a did not notice")
    lab.command_lab("start", "pop-b")
    lab.await_active()
    for family in (4, 6):
        lab.expect_downloads(family, size(20, 200))
