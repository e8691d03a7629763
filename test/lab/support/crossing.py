"""What no cookie leads to its owner, over two PoPs of which each sees one direction: pings, datagrams
and connections from either side. Importing it registers the checks."""
import contextlib
import errno

from labtest import *  # noqa: F403
from transfers import expect_ping  # its own checks are registered where it is imported first

ANSWERED, KEPT_IN, CLOSED, INSIDE, UNASKED = 5300, 5301, 5302, 5310, 5311
PORT = 9600
# Datagrams to these ports come in; what one of them answers no rule lets out.
RULES = f"""
	{{ name = "datagrams"; from = "outside"; protocol = "udp"; ports = "{ANSWERED}-{CLOSED}";
		action = "allow"; }},
	{{ name = "kept_in"; from = "inside"; protocol = "udp"; source_ports = "{KEPT_IN}";
		action = "deny"; }},
"""


def prepare_crossing(lab):
    for node in lab.nodes:
        path = f"{lab.state}/{node}.cfg"
        with open(path) as file:
            text = file.read()
        expect('\t{ name = "ping";' in text, "no rule `ping' in the configuration")
        with open(path, "w") as file:
            file.write(text.replace('\t{ name = "ping";', RULES + '\t{ name = "ping";', 1))
        result = lab.weirctl("reload", node=node)
        expect_equal(result.returncode, 0, f"reload of {node} ({result.stdout} {result.stderr})")
    serve_outside(lab)


def serve_outside(lab):
    """nginx in the client's namespace, with the files of the server's."""
    folder = os.path.join(lab.folder, "outside")
    os.mkdir(folder)
    with open(os.path.join(folder, "nginx.conf"), "w") as file:
        file.write(NGINX_CONFIG.format(folder=folder, files=f"{lab.folder}/files"))
    lab.start("client", "nginx", "-c", file.name)
    until(lambda: ":80 " in lab.output("client", "ss", "-Hltn"), 5, "nginx does not listen")


def opening(lab, node):
    return lab.cluster(node)["opening"]


def handed(lab, node):
    return lab.show("drop", node=node)["to_peers"]


@check
def ping_from_outside(lab, family):
    before = handed(lab, "pop-b"), opening(lab, "pop-a")["shared"]
    expect_ping(lab, "client", SERVER[family])
    # The first reply asks; by then the next ones may be on their way.
    asked = handed(lab, "pop-b") - before[0]
    expect(1 <= asked <= 10, f"{asked} replies were handed over")
    expect(opening(lab, "pop-a")["shared"] > before[1], "the owner did not share it")


@check
def ping_from_inside(lab, family):
    before = opening(lab, "pop-b")
    expect_ping(lab, "server", CLIENT[family])
    after = opening(lab, "pop-b")
    expect(after["shared"] > before["shared"], "it was not told of")
    expect_equal(after["wait_timeouts"], before["wait_timeouts"], "late confirmations")


@contextlib.contextmanager
def datagrams(lab, family, host, port):
    """A UDP socket of a host's own address."""
    kind = socket.AF_INET6 if family == 6 else socket.AF_INET
    with lab.inside(host):
        one = socket.socket(kind, socket.SOCK_DGRAM)
    one.settimeout(3)
    one.bind(((SERVER if host == "server" else CLIENT)[family], port))
    with one:
        yield one


def exchange(asker, other, where):
    """Questions and answers, several of each."""
    for turn in range(5):
        asker.sendto(b"question %d" % turn, where)
        text, source = other.recvfrom(100)
        expect_equal(text, b"question %d" % turn, "question")
        other.sendto(b"answer %d" % turn, source)
        expect_equal(asker.recv(100), b"answer %d" % turn, "answer")


@check
def udp_from_outside(lab, family):
    """The rules let the answers out by themselves: nobody is told or asked."""
    before = handed(lab, "pop-b"), opening(lab, "pop-a")["shared"], opening(lab, "pop-b")["shared"]
    with datagrams(lab, family, "client", 0) as asker, \
            datagrams(lab, family, "server", ANSWERED) as other:
        exchange(asker, other, (SERVER[family], ANSWERED))
    expect_equal((handed(lab, "pop-b"), opening(lab, "pop-a")["shared"],
                  opening(lab, "pop-b")["shared"]), before, "handed over, and shared")


@check
def udp_kept_in(lab, family):
    """No rule lets the answers out: the state does, and only for them."""
    before = opening(lab, "pop-a")["shared"]
    with datagrams(lab, family, "client", 0) as asker, \
            datagrams(lab, family, "server", KEPT_IN) as other:
        exchange(asker, other, (SERVER[family], KEPT_IN))
        expect_equal(opening(lab, "pop-a")["shared"], before + 1, "shared")
        with datagrams(lab, family, "client", UNASKED) as stranger:
            stranger.settimeout(0.2)
            other.sendto(b"unasked", (CLIENT[family], UNASKED))
            try:
                raise AssertionError(f"an unasked datagram arrived: {stranger.recv(100)}")
            except TimeoutError:
                pass


@check
def udp_to_a_closed_port(lab, family):
    """The server's host says by ICMP that nobody listens; the client hears it."""
    with datagrams(lab, family, "client", 0) as asker:
        asker.connect((SERVER[family], CLOSED))
        for _ in range(2):
            asker.send(b"question")
            try:
                raise AssertionError(f"somebody answered: {asker.recv(100)}")
            except OSError as error:
                expect_equal(error.errno, errno.ECONNREFUSED, "error")


@check
def udp_from_inside(lab, family):
    before = opening(lab, "pop-b")
    with datagrams(lab, family, "server", 0) as asker, \
            datagrams(lab, family, "client", INSIDE) as other:
        exchange(asker, other, (CLIENT[family], INSIDE))
        denied = lab.show("drop")["reasons"]["rule_denied"]
        other.sendto(b"unasked", (SERVER[family], UNASKED))
        until(lambda: lab.show("drop")["reasons"]["rule_denied"] > denied, 3, "not denied")
    after = opening(lab, "pop-b")
    expect_equal((after["shared"], after["wait_timeouts"]),
                 (before["shared"] + 1, before["wait_timeouts"]), "shared, and late confirmations")


@check
def tcp_from_inside(lab, family):
    """A client of the inside loads from a server outside, and each closes once as the first."""
    data = os.urandom(size(2, 200) << 20)
    with lab.inside("client"):
        listener = socket.create_server((CLIENT[family], PORT),
                                        family=socket.AF_INET6 if family == 6 else socket.AF_INET)
    with listener:
        for first in ("client", "server"):
            inside = lab.socket("server", family)
            inside.connect((CLIENT[family], PORT))
            outside = listener.accept()[0]
            outside.settimeout(size(15, 120))
            inside.sendall(b"question")
            expect_equal(receive_exactly(outside, 8), b"question", "question")
            if first == "client":
                inside.shutdown(socket.SHUT_WR)
                expect_equal(outside.recv(1), b"", "end of the questions")
            sending = Background(outside.sendall, data)
            expect(receive_exactly(inside, len(data)) == data, "other data arrived")
            sending.result()
            outside.close()
            expect_equal(inside.recv(1), b"", "end of the answers")
            inside.close()
        refused = lab.socket("server", family)
        try:
            refused.connect((CLIENT[family], PORT + 1))
            raise AssertionError("a closed port accepted a connection")
        except ConnectionRefusedError:
            refused.close()


@check
def http_from_inside(lab, family):
    before = opening(lab, "pop-b")
    count = size(50, 1000)
    url = f"http://{target(CLIENT[family], 80)}/small"
    text = lab.output("server", "curl", "-s", "-g", "-m", "60", "-H", "Connection: close", "-w",
                      "%{http_code} %{num_connects}\n", *["-o", "/dev/null", url] * count)
    expect_equal(text.split("\n")[:-1], ["200 1"] * count, "answers and connections")
    after = opening(lab, "pop-b")
    expect_equal((after["shared"], after["wait_timeouts"]),
                 (before["shared"] + count, before["wait_timeouts"]),
                 "shared, and late confirmations")
