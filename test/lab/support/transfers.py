"""Real clients and servers, whatever stands between them: short connections, keep-alive, large
transfers, many at once, iperf3, loss, reordering, ping. Importing it registers the checks."""
import subprocess

from labtest import *  # noqa: F403

# As the servers are, and as a box in mode proxy learns it within two cookie epochs.
SETS = ["services.lab.profile.timestamps=true"]


def prepare_transfers(lab):
    files = lab.serve_http()
    lab.digest = random_file(f"{files}/big", size(50, 1000))
    random_file(f"{files}/medium", 4)
    lab.count_server_syns()


def counters(lab):
    """What grows by one and more with each connection."""
    found = {"created": lab.flows_created(), "syn": lab.server_syns()}
    if lab.mode == "proxy":
        found["cookie_valid"] = lab.service()["cookie_valid"]
        found["server_syn"] = lab.service()["server_syn"]
    if lab.topology == "asym":
        found["shared"] = lab.cluster("pop-a")["opening"]["shared"]
        found["synack_from_finder"] = lab.cluster("pop-a")["opening"]["synack_from_finder"]
        found["synack_to_owner"] = lab.cluster("pop-b")["opening"]["synack_to_owner"]
    return found


@check
def http(lab, family):
    before = counters(lab)
    count = size(300, 10000)
    lab.expect_downloads(family, count)
    for name, value in counters(lab).items():
        expect(value - before[name] >= count, f"{name}: {before[name]} before, now {value}")


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


def expect_ping(lab, host, address):
    """In one of three runs all are answered: while the machine stands still, replies pile up in front
    of the state of the first, and only so many are handed over for it."""
    for _ in range(3):
        text = lab.output(host, "ping", "-q", "-c", "20", "-i", "0.01", address)
        if "20 received" in text:
            return
    expect(False, text)


@check
def ping(lab, family):
    expect_ping(lab, "client", SERVER[family])


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


@check(families=False, used=())
def own_syns_of_transfers(lab):
    lab.expect_own_syns()
