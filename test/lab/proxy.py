#!/usr/bin/python3
# Real clients and servers through the SYN proxy: short connections, keep-alive, large transfers,
# many at once, iperf3, loss, reordering, ping.
# Proves: P1, P2, P3, P4 (one node), B4.
# limit: quick 60 full 900
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403


def prepare(lab):
    # As the servers are, and as the box learns it within two cookie epochs.
    lab.up("proxy", sets=["services.lab.profile.timestamps=true"])
    files = lab.serve_http()
    lab.digest = random_file(f"{files}/big", size(50, 1000))
    random_file(f"{files}/medium", 4)
    lab.count_server_syns()


@check
def proxy_http(lab, family):
    before = lab.service()
    count = size(300, 10000)
    lab.expect_downloads(family, count)
    after = lab.service()
    expect_equal(after["cookie_valid"] - before["cookie_valid"] >= count, True, "valid cookies")
    expect(after["server_syn"] - before["server_syn"] >= count, "SYNs to the server")


@check
def keepalive(lab, family):
    url = f"http://{target(SERVER[family], 80)}/small"
    text = lab.output("client", "curl", "-s", "-g", "-m", "10", "-w",
                      "%{http_code} %{num_connects}\n", *["-o", "/dev/null", url] * 20)
    expect_equal(text.split("\n")[:-1], ["200 1"] + ["200 0"] * 19, "answers and connections")


@check
def parallel(lab, family):
    lab.expect_downloads(family, size(400, 2000), parallel=200, deadline_ms=10000)


@check
def big_download(lab, family):
    url = f"http://{target(SERVER[family], 80)}/big"
    digest = lab.output("client", "sh", "-c", f"curl -s -g -m 300 '{url}' | sha256sum",
                        timeout=300)
    expect_equal(digest.split()[0], lab.digest, "SHA-256")


@check
def big_upload(lab, family):
    listener = lab.listen(family, 9000)
    server = Background(lambda: receive_all(listener.accept()[0]))
    with lab.connect(family, 9000) as client, open(f"{lab.folder}/files/big", "rb") as file:
        client.settimeout(60)
        client.sendfile(file)
    total, digest = server.result(300)
    expect_equal((total, digest), (size(50, 1000) << 20, lab.digest), "bytes and SHA-256")


def iperf3(lab, family, *words):
    server = lab.start("server", "iperf3", "-s", "-1", "-p", "5201")
    until(lambda: ":5201" in lab.output("server", "ss", "-Hltn"), 5, "iperf3 does not listen")
    text = lab.output("client", "iperf3", "-c", SERVER[family], "-p", "5201", "-J", "-t",
                      str(size(1, 10)), *words, timeout=60)
    server.wait(10)
    rate = json.loads(text)["end"]["sum_received"]["bits_per_second"]
    expect(rate > 1e7, f"{rate / 1e6:.0f} Mbit/s")


@check
def iperf3_up(lab, family):
    iperf3(lab, family)


@check
def iperf3_down(lab, family):
    iperf3(lab, family, "-R")


@check
def options_in_use(lab, family):
    listener = lab.listen(family, 9001)
    with lab.connect(family, 9001) as client:
        server = listener.accept()[0]
        client.sendall(b"x" * 1000)
        receive_exactly(server, 1000)
        for host in ("client", "server"):
            text = lab.output(host, "ss", "-Htoin", "( sport = 9001 or dport = 9001 )")
            expect(" ts " in text and " sack " in text and "wscale:" in text, f"{host}: {text}")
        server.close()


def sack_recoveries(lab):
    text = lab.output("server", "nstat", "-asz", "TcpExtTCPSackRecovery")
    return int(text.split()[-2])


def impaired(lab, family, *what):
    """Downloads succeed over an impaired link, and SACK repaired what was lost."""
    lab.impair("client", *what)
    try:
        lab.expect_downloads(family, size(100, 1000), deadline_ms=30000)
        url = f"http://{target(SERVER[family], 80)}/medium"
        lab.output("client", "curl", "-s", "-f", "-g", "-m", "60", "-o", f"{lab.folder}/out", url)
        same = subprocess.run(["cmp", f"{lab.folder}/out", f"{lab.folder}/files/medium"])
        expect_equal(same.returncode, 0, "comparison")
    finally:
        lab.impair("client", "off")


@check
def loss(lab, family):
    before = sack_recoveries(lab)
    impaired(lab, family, "loss=1%")
    expect(sack_recoveries(lab) > before, "the server never used SACK to repair a loss")


@check
def reorder(lab, family):
    impaired(lab, family, "delay=1ms", "reorder=5%")


@check
def duplicates(lab, family):
    impaired(lab, family, "dup=5%")


@check
def ping(lab, family):
    text = lab.output("client", "ping", "-q", "-c", "20", "-i", "0.01", SERVER[family])
    expect("20 received" in text, text)


@check
def path_mtu(lab, family):
    """The last link carries less than both ends believe. The router's error quotes a segment in the
    client's numbers: the server believes it only if the box translated the quotation."""
    url = f"http://{target(SERVER[family], 80)}/medium"
    ip = ("ip", "-6") if family == 6 else ("ip",)
    lab.output("edge", "ip", "link", "set", "client", "mtu", "1380")
    try:
        lab.output("client", "curl", "-s", "-f", "-g", "-m", "15", "-o", f"{lab.folder}/out", url)
        route = lab.output("server", *ip, "route", "get", CLIENT[family])
        expect("mtu 1380" in route, f"the server's route: {route}")
    finally:
        lab.output("edge", "ip", "link", "set", "client", "mtu", "1500")
        lab.output("server", *ip, "route", "flush", "cache")


@check(families=False)
def server_syns_equal(lab):
    expect_equal(lab.server_syns(), lab.service()["server_syn"], "SYNs at the server")


main(prepare)
