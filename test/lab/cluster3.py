#!/usr/bin/python3
# Three nodes on `cluster3': the routers choose a node for each connection, and for each of its
# directions another one. In mode proxy and in mode msyn connections open and go on; a node dies and
# comes back; two nodes lose each other while the third hears both.
# Proves: P4, P5, M6, M7, M8.
# limit: quick 60 full 240
import errno
import os
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403

PATIENCE_S, SETTLED_S = 10, 15
TALK_PORT, ASK_PORT = 9600, 9610
TALKS, ASKING = size(16, 50), size(24, 100)
BLOCK_BYTES, TURN_S, TURNS_MORE = 3000, 0.02, 5
# How long an end of a broken connection tries, and how much later it must have been told.
USER_TIMEOUT_S, HANG_S = 2, 6
RESIDENT_GROWTH_KIB_MAX = 1024
SETS = ["services.lab.profile.timestamps=true", "timeouts.transitory_s=3",
        "timeouts.server_syn_retries=1", "timeouts.server_syn_ms=300"]
TCP_USER_TIMEOUT = 18


def use_mode(lab, mode):
    if lab.mode == mode:
        return
    lab.up(mode, topology="cluster3", sets=SETS)
    lab.await_active()
    random_file(f"{lab.serve_http()}/medium", 1)
    lab.broken = set()
    lab.unfinished = unfinished(lab)


def prepare(lab):
    use_mode(lab, "proxy")


def sum_of(lab, name):
    return sum(lab.cluster(node)["opening"][name] for node in lab.nodes)


def arrived(lab):
    return {(node, port): lab.port_packets(node, port)
            for node in lab.nodes for port in ("outside", "inside")}


def downloads(lab, family):
    """Both ways of connections lead through all three nodes, and most of them through two."""
    count = size(150, 3000)
    packets = arrived(lab)
    shared, handed = sum_of(lab, "shared"), sum_of(lab, "synack_to_owner")
    lab.expect_downloads(family, count)
    lab.expect_downloads(family, size(24, 200), name="medium", deadline_ms=30000)
    for (node, port), now in arrived(lab).items():
        more = now - packets[node, port]
        expect(more >= count / 3, f"only {more} packets came to {node} by its port {port}")
    for name, before in ("shared", shared), ("synack_to_owner", handed):
        more = sum_of(lab, name) - before
        expect(more >= count / 2, f"{name}: only {more} of {count} connections")


class Talk(threading.Thread):
    """A connection whose ends send each other blocks, until finish() or until an end gives up."""

    def __init__(self, lab, family, listener):
        super().__init__(daemon=True)
        self.client = lab.connect(family, TALK_PORT + family)
        self.server = listener.accept()[0]
        for one in (self.client, self.server):
            one.settimeout(HANG_S)
            one.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)
        self.port = self.client.getsockname()[1]
        self.family, self.turns, self.goes_on, self.error = family, 0, True, None
        self.start()

    def run(self):
        try:
            while self.goes_on:
                self.pass_block(self.client, self.server)
                self.pass_block(self.server, self.client)
                self.turns += 1
                time.sleep(TURN_S)
        except Exception as error:  # judged by whoever asks
            self.error = error
        for one in (self.client, self.server):
            one.close()

    @staticmethod
    def pass_block(there, here):
        block, got = os.urandom(BLOCK_BYTES), b""
        there.sendall(block)
        poll = select.poll()
        poll.register(here, select.POLLIN)
        poll.register(there, 0)  # its error alone
        while len(got) < BLOCK_BYTES:
            expect(poll.poll(HANG_S * 1000), f"{HANG_S} s without a byte or an error")
            error = there.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            part = here.recv(BLOCK_BYTES - len(got))
            expect(part, "closed")
            got += part
        expect_equal(got, block, "bytes")

    def finish(self):
        self.goes_on = False
        self.join(HANG_S + PATIENCE_S)
        expect(not self.is_alive(), "a connection hangs")


def start_talks(lab):
    talks = []
    for family in (4, 6):
        with lab.listen(family, TALK_PORT + family) as listener:
            talks += [Talk(lab, family, listener) for _ in range(TALKS)]
    return talks


def talk_ports(lab, node, state):
    """(family, the client's port) of the transfers' flows of this state at a node."""
    return {(family, flow["client_port"]) for family in (4, 6)
            for flow in lab.show("flow", "tcp", "any", "any", SERVER[family],
                                 str(TALK_PORT + family), "limit", "10000", node=node)["flows"]
            if flow["state"] == state}


def nodes_of(lab, talks):
    """For each of the transfers the nodes that have its state: those it leads through."""
    at = {node: talk_ports(lab, node, "established") for node in lab.nodes}
    return {talk: {node for node in lab.nodes if (talk.family, talk.port) in at[node]}
            for talk in talks}


def expect_going_on(talks):
    before = {talk: talk.turns for talk in talks}
    until(lambda: all(talk.error or talk.turns >= before[talk] + TURNS_MORE for talk in talks),
          PATIENCE_S, "transfers stand still")
    errors = {str(talk.error) for talk in talks if talk.error}
    expect(not errors, f"of {len(talks)} transfers that had nothing to suffer some broke: {errors}")


def expect_fates(lab, talks):
    """Others go on, too, or an end is told in time; what it had heard was right."""
    for talk in talks:
        talk.finish()
    broken = [talk for talk in talks if talk.error]
    lab.broken |= {(talk.family, talk.port) for talk in broken}
    print(f"# {len(broken)} of {len(talks)} transfers through the lost node broke")
    for error in (talk.error for talk in broken):
        expect(getattr(error, "errno", None) in (errno.ETIMEDOUT, errno.ECONNRESET),
               f"{type(error).__name__}: {error}")


def await_view(lab, views):
    def is_known():
        return all(lab.cluster(node)["view"] == view for node, view in views.items())
    until(is_known, PATIENCE_S, f"views other than {views}")


def node_killed(lab):
    """Connections that did not need it go on; new ones open without it as soon as the routers and
    the others know, and with it when it is back."""
    for node in size(["pop-b"], ["pop-b", "pop-a", "pop-c"]):
        kill_and_start(lab, node)


def kill_and_start(lab, lost):
    others = [node for node in lab.nodes if node != lost]
    view = [number for number, node in enumerate(lab.nodes) if node != lost]
    talks = start_talks(lab)
    ways = nodes_of(lab, talks)
    # Only where pop-b goes the routers leave all other connections where they were.
    spared = [talk for talk in talks
              if lost == "pop-b" and ways[talk] and lost not in ways[talk]]
    if lost == "pop-b":
        expect(len(spared) >= TALKS / 4, f"only {len(spared)} transfers avoid pop-b")
        expect(any(len(ways[talk]) == 2 for talk in spared), "none of them needs two nodes")
    resident = {node: lab.resident_kib(node) for node in others}
    try:
        lab.command_lab("kill", lost)
        await_view(lab, {node: view for node in others})
        expect_going_on(spared)
        for family in (4, 6):
            lab.expect_downloads(family, size(60, 1000))
    finally:
        lab.command_lab("start", lost)
    lab.await_active()
    expect_going_on(spared)
    for family in (4, 6):
        lab.expect_downloads(family, size(60, 1000))
    # All its flows are of connections since then.
    created = lab.show("flow", "stats", node=lost)["created"]
    expect(created >= 20, f"{lost} is idle: {created} flows")
    expect_fates(lab, [talk for talk in talks if talk not in spared])
    for talk in spared:
        talk.finish()
    for node, before in resident.items():
        growth = lab.resident_kib(node) - before
        expect(growth <= RESIDENT_GROWTH_KIB_MAX, f"memory of {node} grew by {growth} KiB")


def impaired(lab):
    """The third node's links lose and delay, to its peers and to a router."""
    lab.impair("sync:pop-c", "loss=10%")
    lab.impair("edge:pop-c", "delay=2ms")
    try:
        for family in (4, 6):
            lab.expect_downloads(family, size(40, 500), deadline_ms=30000)
    finally:
        lab.impair("sync:pop-c", "off")
        lab.impair("edge:pop-c", "off")
    lab.await_active()


def ask(lab, family):
    """One connection, open or refused: its error, or None."""
    client = lab.socket("client", family)
    client.settimeout(HANG_S)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, 1)
    client.setsockopt(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, USER_TIMEOUT_S * 1000)
    try:
        client.connect((SERVER[family], ASK_PORT + family))
        client.sendall(b"question")
        expect_equal(receive_exactly(client, 8), b"question", "echo")
        return None
    except OSError as error:
        expect(error.errno is not None, f"a hang of {HANG_S} s")
        return error.errno
    finally:
        client.close()


def echo_all(listener):
    """Sends back the first eight bytes of each connection, until the listener is shut down."""
    def echo(server):
        with contextlib.suppress(OSError, AssertionError), server:
            server.settimeout(HANG_S)
            server.sendall(receive_exactly(server, 8))
            server.recv(1)
    with contextlib.suppress(OSError):
        while True:
            Background(echo, listener.accept()[0])


def ask_many(lab):
    """Many at once; what came of each."""
    with contextlib.ExitStack() as stack:
        for family in (4, 6):
            listener = stack.enter_context(lab.listen(family, ASK_PORT + family))
            listener.settimeout(None)
            Background(echo_all, listener)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
        asking = [Background(ask, lab, family) for family in (4, 6) for _ in range(ASKING)]
        return [one.result() for one in asking]


def cut_and_heal(lab):
    """pop-a and pop-b do not hear each other, pop-c hears both: what is open goes on; new connections
    through one there and the other back are refused, the others open."""
    talks = start_talks(lab)
    lab.command_lab("cut", "pop-a", "pop-b")
    try:
        await_view(lab, {"pop-a": [0, 2], "pop-b": [1, 2], "pop-c": [0, 1, 2]})
        fates = ask_many(lab)
        opened = fates.count(None)
        print(f"# {opened} of {len(fates)} connections opened over the cut")
        expect(opened >= len(fates) / 3, f"fates: {fates}")
        expect(set(fates) <= {None, errno.ETIMEDOUT, errno.ECONNRESET}, f"fates: {fates}")
        expect_going_on(talks)
    finally:
        lab.command_lab("heal", "pop-a", "pop-b")
    lab.await_active()
    expect_going_on(talks)
    for talk in talks:
        talk.finish()
    expect_equal([one for one in ask_many(lab) if one], [], "refusals after the cut")


def unfinished(lab):
    """What must not last, by node and name: flows between two states, segments that wait, changes to
    tell. (Where one end of a broken transfer never heard of the other's, its flow is half-closed.)"""
    found = {}
    for node in lab.nodes:
        flows = lab.show("flow", "stats", node=node)
        for state in ("pending", "syn_sent", "syn_recv"):
            found[node, state] = flows["states"][state]
        found[node, "closing"] = flows["states"]["closing"] - len(
            talk_ports(lab, node, "closing") & lab.broken)
        found[node, "segments"] = flows["queue"]["segments"]
        for peer in lab.cluster(node)["peers"]:
            found[node, "dirty", peer["name"]] = peer["dirty"]
    return found


def nothing_is_left(lab):
    def left():
        return {name: value for name, value in unfinished(lab).items()
                if value > lab.unfinished[name]}
    until(lambda: not left(), SETTLED_S, f"left: {left()}")
    lab.check_conservation()


def in_mode(mode, function):
    def one(lab, *family):
        use_mode(lab, mode)
        function(lab, *family)
    one.__name__ = f"{mode}_{function.__name__}"
    return one


for one_mode in ("proxy", "msyn"):
    check(in_mode(one_mode, downloads))
    for one_check in (impaired, node_killed, cut_and_heal, nothing_is_left):
        check(in_mode(one_mode, one_check), families=False)
main(prepare)
