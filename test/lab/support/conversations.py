"""Peers that do what peers do: a server that speaks first, a request that rides on the ACK, a lost
first ACK, half-close, resets, idleness, simultaneous close, a port used again in TIME-WAIT, and
servers that are down, refuse, or take their time. Each end is a kernel socket of its namespace.
Importing it registers the checks."""
import errno
import os
import socket
import struct
import time

from labtest import *  # noqa: F403

# The server hears at 0, 0.7 and 2.1 s; the client hears of its silence at 4.9 s.
SETS = ["timeouts.server_syn_retries=2", "timeouts.server_syn_ms=700"]
SERVER_SLOW_S = 1.5
LINGER_RESET = struct.pack("ii", 1, 0)
SYN_DROPS = """
table inet slow {{
    chain arrived {{
        type filter hook prerouting priority raw;
        tcp dport {port} tcp flags & (syn | ack) == syn drop
    }}
}}
"""


def expect_reset(sock, what):
    try:
        data = sock.recv(1)
    except ConnectionResetError:
        return
    raise AssertionError(f"{what}: no reset, read {data!r}")


@check(parallel=True)
def banner(lab, family):
    with Pair(lab, family, 9100) as pair:
        pair.server.sendall(b"220 ready\r\n")
        expect_equal(receive_exactly(pair.client, 11), b"220 ready\r\n", "banner")
        pair.echo()


@check(parallel=True)
def data_with_the_ack(lab, family):
    """Deferred accept on the client's side keeps back the bare ACK, so the request carries it."""
    listener = lab.listen(family, 9101)
    client = lab.socket("client", family)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
    client.connect((SERVER[family], 9101))
    client.sendall(b"question")
    server = listener.accept()[0]
    expect_equal(receive_exactly(server, 8), b"question", "at the server")
    for one in (client, server, listener):
        one.close()


@check(parallel=True)
def first_ack_lost(lab, family):
    """One bare ACK of this connection is lost between client and box; the data proves the cookie."""
    source = 20000 + family
    rule = (f'table netdev lose{family} {{ chain in {{ type filter hook ingress device "client" '
            f"priority 0; tcp sport {source} tcp flags == ack limit rate 1/hour burst 1 packets "
            "counter drop; }; }")
    lab.output("edge", "nft", "-f", "-", text=rule)
    try:
        listener = lab.listen(family, 9102)
        client = lab.connect(family, 9102, source_port=source)
        time.sleep(0.1)
        client.sendall(b"question")
        server = listener.accept()[0]
        expect_equal(receive_exactly(server, 8), b"question", "at the server")
        server.sendall(b"answer")
        expect_equal(receive_exactly(client, 6), b"answer", "at the client")
        for one in (client, server, listener):
            one.close()
        text = lab.output("edge", "nft", "list", "table", "netdev", f"lose{family}")
        expect("packets 0" not in text, "no bare ACK was seen: the test tested nothing")
    finally:
        lab.output("edge", "nft", "delete", "table", "netdev", f"lose{family}")


@check(parallel=True)
def half_close_by_client(lab, family):
    """The client is done sending; the server answers later than the transitory timer."""
    with Pair(lab, family, 9103) as pair:
        pair.client.sendall(b"x" * 100000)
        pair.client.shutdown(socket.SHUT_WR)
        expect_equal(receive_all(pair.server)[0], 100000, "bytes at the server")
        time.sleep(lab.transitory_s + 2)
        pair.server.sendall(b"y" * 100000)
        pair.server.close()
        expect_equal(receive_all(pair.client)[0], 100000, "bytes at the client")


@check(parallel=True)
def half_close_by_server(lab, family):
    with Pair(lab, family, 9104) as pair:
        pair.server.shutdown(socket.SHUT_WR)
        expect_equal(receive_all(pair.client)[0], 0, "bytes at the client")
        time.sleep(lab.transitory_s + 2)
        pair.client.sendall(b"x" * 100000)
        pair.client.close()
        expect_equal(receive_all(pair.server)[0], 100000, "bytes at the server")


@check(parallel=True)
def reset_by_client(lab, family):
    with Pair(lab, family, 9105) as pair:
        pair.echo()
        pair.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        pair.client.close()
        expect_reset(pair.server, "server")


@check(parallel=True)
def reset_by_server(lab, family):
    with Pair(lab, family, 9106) as pair:
        pair.echo()
        pair.server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
        pair.server.close()
        expect_reset(pair.client, "client")


@check(parallel=True)
def idle(lab, family):
    with Pair(lab, family, 9107) as pair:
        pair.echo()
        time.sleep(lab.transitory_s + 2)
        pair.echo()


def keep_time_wait(lab):
    """Where two processors swap the client's last ACK and its FIN, the server acknowledges both, and
    a client that is closed by then answers the second with a RST: no end of TIME-WAIT (RFC 1337)."""
    for host in ("client", "server"):
        lab.output(host, "sysctl", "-qw", "net.ipv4.tcp_rfc1337=1")


@check(parallel=True)
def time_wait_reuse(lab, family):
    """The server closes first and keeps TIME-WAIT; the client opens from the same port at once."""
    keep_time_wait(lab)
    listener = lab.listen(family, 9108)
    source = 0
    for turn in range(20):
        client = lab.connect(family, 9108, source_port=source)
        source = client.getsockname()[1]
        client.sendall(b"question")
        server = listener.accept()[0]
        expect_equal(receive_exactly(server, 8), b"question", f"turn {turn}")
        server.close()
        expect_equal(receive_all(client)[0], 0, f"turn {turn}")
        client.close()
        # The server's end is in TIME-WAIT only after the client's FIN got there.
        until(lambda: "TIME-WAIT" in lab.output("server", "ss", "-Htan",
                                                f"( sport = 9108 and dport = {source} )"),
              2, f"turn {turn}: no TIME-WAIT at the server: the test tests nothing")
        # And the client's port is free only after the server's last ACK got there.
        until(lambda: not lab.output("client", "ss", "-Htan", f"( sport = {source} )"), 2,
              f"turn {turn}: the client's end is still there")
    listener.close()


@check(parallel=True)
def server_down(lab, family):
    """Nobody has the address."""
    seconds, error = connect_to_failure(lab, family, 80, NOBODY[family])
    expect(error in (errno.ECONNRESET, errno.ECONNREFUSED, errno.EHOSTUNREACH),
           f"{os.strerror(error)} after {seconds:.1f} s")


@check(parallel=True, used=("pop-a",))
def server_silent(lab, family):
    """The address answers ARP, the port answers nothing. A client whose SYN goes to the server
    itself gives up after its own retries; one that was answered is told."""
    port = 9110 + family
    rule = SYN_DROPS.format(port=port).replace("slow", f"silent{family}")
    lab.output("server", "nft", "-f", "-", text=rule)
    seconds, error = connect_to_failure(lab, family, port)
    expect_equal(error, errno.ECONNRESET if lab.mode == "proxy" else errno.ETIMEDOUT,
                 f"error after {seconds:.1f} s")


@check(parallel=True)
def server_refuses(lab, family):
    seconds, error = connect_to_failure(lab, family, 9109)
    expect(error in (errno.ECONNRESET, errno.ECONNREFUSED), os.strerror(error))
    expect(seconds < 2, f"only after {seconds:.1f} s")


def ask(lab, family, port):
    client = lab.connect(family, port)
    client.sendall(b"question")
    return client


@check(parallel=True)
def server_slow(lab, family):
    """The server hears no SYN for a while; a retry gets through, and the request with it: from the
    queue where the client was answered before."""
    port = 9120 + family
    name = f"slow{family}"
    listener = lab.listen(family, port)
    rule = SYN_DROPS.format(port=port).replace("slow", name)
    lab.output("server", "nft", "-f", "-", text=rule)
    try:
        asking = Background(ask, lab, family, port)
        time.sleep(SERVER_SLOW_S)
    finally:
        lab.output("server", "nft", "delete", "table", "inet", name)
    client = asking.result()
    listener.settimeout(15)
    server = listener.accept()[0]
    server.settimeout(15)
    expect_equal(receive_exactly(server, 8), b"question", "at the server")
    server.sendall(b"answer")
    expect_equal(receive_exactly(client, 6), b"answer", "at the client")
    for one in (client, server, listener):
        one.close()


@check(families=False, parallel=True)
def profile_learnt(lab):
    """What the servers' SYN/ACKs offer is announced from the next cookie epoch on."""
    if lab.mode != "proxy":
        raise Skip("mode proxy only")
    if size("quick", "full") == "quick":
        raise Skip("takes two cookie epochs: --full")
    with Pair(lab, 4, 9140):
        until(lambda: lab.service()["profile"]["timestamps"], 150, "the servers' timestamps")


@check
def simultaneous_close(lab, family):
    """Both FINs are on their way at the same time: the path is longer than the time between."""
    keep_time_wait(lab)
    lab.impair("client", "delay=20ms")
    try:
        with Pair(lab, family, 9130) as pair:
            pair.echo()
            source = pair.client.getsockname()[1]
            pair.client.shutdown(socket.SHUT_WR)
            pair.server.shutdown(socket.SHUT_WR)
            expect_equal(receive_all(pair.client)[0], 0, "bytes at the client")
            expect_equal(receive_all(pair.server)[0], 0, "bytes at the server")
        for host, port in (("client", "sport"), ("server", "dport")):
            # Only a FIN that crosses the other's leaves both ends in TIME-WAIT (through CLOSING).
            until(lambda h=host, p=port: "TIME-WAIT" in lab.output(
                h, "ss", "-Htan", f"( {p} = {source} )"), 3, f"no TIME-WAIT at the {host}")
    finally:
        lab.impair("client", "off")
