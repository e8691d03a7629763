"""What the lab tests share: the lab, sockets inside its namespaces, servers, floods, and checks.

A test file registers checks, functions that raise when something is wrong, and calls main(). Each
check prints one line, `ok NAME`, `not ok NAME: why` or `skip NAME: why`; the last check of every
file is packet conservation. `FILE --list` prints the names, `FILE NAME...` runs only those.

Checks that hold for every topology and mode are in transfers.py, conversations.py and floods.py; a
file of its own brings up the lab they run in. On `asym' every check also asserts that packets to
the servers entered pop-a only, and those to the clients pop-b only.

Sizes: WEIR_TEST_SIZE is quick (default) or full; size(quick, full) chooses.
"""
import atexit
import concurrent.futures
import contextlib
import ctypes
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.environ.get("WEIR_BUILD", os.path.join(ROOT, "build"))
SERVER = {4: "198.51.100.10", 6: "2001:db8:2::10"}
CLIENT = {4: "192.0.2.10", 6: "2001:db8:1::10"}
NODES = {"single": ["pop-a"], "asym": ["pop-a", "pop-b"], "cluster3": ["pop-a", "pop-b", "pop-c"]}
# On `asym' the one client whose packets pass pop-a both ways.
SYMMETRIC = {4: "192.0.2.11", 6: "2001:db8:1::11"}
NOBODY = {4: "198.51.100.99", 6: "2001:db8:2::99"}
FLOOD_PREFIX = {4: "198.18.0.0/15", 6: "2001:db8:bad::/48"}
PROGRAM_TIMEOUT_S = 60

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """The check cannot run here; its text says why."""


def size(quick, full):
    return full if os.environ.get("WEIR_TEST_SIZE", "quick") == "full" else quick


def expect(condition, why):
    if not condition:
        raise AssertionError(why)


def expect_equal(got, wanted, what):
    if got != wanted:
        raise AssertionError(f"{what}: got {got!r}, expected {wanted!r}")


def until(predicate, seconds, what):
    """Polls until predicate() is true and returns its value; raises after `seconds` with `what`,
    which may be a function that says it then."""
    end = time.monotonic() + seconds
    while True:
        value = predicate()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"after {seconds} s: {what() if callable(what) else what}")
        time.sleep(0.02)


def target(address, port):
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


class Lab:
    """One lab under one prefix. Everything it starts ends with close()."""

    def __init__(self, name=None):
        self.name = name or os.environ.get("WEIR_LAB", "weirtest")
        self.env = dict(os.environ, WEIR_LAB=self.name, WEIR_BUILD=BUILD)
        self.script = os.path.join(ROOT, "scripts", "lab")
        self.state = f"/run/weir-lab/{self.name}"
        self.nodes = ["pop-a"]
        self.mode = self.topology = None
        self.transitory_s = 5  # as scripts/lab sets it
        self.runtime = self.runtime_of("pop-a")
        self.folder = tempfile.mkdtemp(prefix=f"{self.name}-")
        self.processes = []
        self.next_port = 1
        atexit.register(self.close)

    # --- the lab's own commands ---

    def lab(self, *words, timeout=PROGRAM_TIMEOUT_S):
        return subprocess.run([self.script, *words], env=self.env, text=True, timeout=timeout,
                              stdin=subprocess.DEVNULL, capture_output=True)

    def up(self, mode="proxy", sets=(), options=(), topology="single"):
        words = ["up", topology, "--mode", mode, *options]
        self.mode, self.topology = mode, topology
        self.nodes = NODES[topology]
        # All clients of the lab share one prefix.
        for one in ("limits.per_prefix_flows=60000", *sets):
            words += ["--set", one]
        result = self.lab(*words)
        expect_equal(result.returncode, 0, f"lab up ({result.stderr.strip()})")
        if topology == "asym":
            self.prepare_ways()

    def command_lab(self, *words):
        result = self.lab(*words)
        expect_equal(result.returncode, 0, f"lab {' '.join(words)} ({result.stderr.strip()})")

    def impair(self, link, *what):
        self.command_lab("impair", link, *what)

    def close(self):
        for process in self.processes:
            end(process)
        self.processes = []
        if os.path.isdir(self.folder):
            shutil.rmtree(self.folder)
        self.lab("down")

    # --- programs in a namespace ---

    def command(self, host, words):
        return ["nsenter", f"--net=/run/netns/{self.name}-{host}", "--", *map(str, words)]

    def run(self, host, *words, timeout=PROGRAM_TIMEOUT_S, text=None):
        return subprocess.run(self.command(host, words), text=True, timeout=timeout, input=text,
                              stdin=subprocess.DEVNULL if text is None else None,
                              capture_output=True)

    def output(self, host, *words, **keys):
        result = self.run(host, *words, **keys)
        expect_equal(result.returncode, 0, f"{' '.join(map(str, words))}: {result.stderr.strip()}")
        return result.stdout

    def start(self, host, *words):
        process = subprocess.Popen(self.command(host, words), text=True, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.processes.append(process)
        return process

    # --- sockets in a namespace: a thread enters it, and what it opens there stays there ---

    @contextlib.contextmanager
    def inside(self, host):
        with open("/proc/thread-self/ns/net") as home, \
                open(f"/run/netns/{self.name}-{host}") as there:
            _setns(there)
            try:
                yield
            finally:
                _setns(home)

    def socket(self, host, family):
        with self.inside(host):
            new = socket.socket(socket.AF_INET6 if family == 6 else socket.AF_INET,
                                socket.SOCK_STREAM)
        new.settimeout(15)
        return new

    def listen(self, family, port):
        server = self.socket("server", family)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((SERVER[family], port))
        server.listen(128)
        return server

    def connect(self, family, port, address=None, source_port=0, timeout=15,
                source=None):
        client = self.socket("client", family)
        client.settimeout(timeout)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((source or CLIENT[family], source_port))
        client.connect((address or SERVER[family], port))
        return client

    # --- the node ---

    def runtime_of(self, node):
        return f"/run/weir/{self.name}-{node}"

    def weirctl(self, *words, timeout=10, node="pop-a"):
        return subprocess.run([os.path.join(BUILD, "weirctl"), "-s",
                               f"{self.runtime_of(node)}/console.sock", *words],
                              text=True, timeout=timeout, stdin=subprocess.DEVNULL,
                              capture_output=True)

    def show(self, *words, node="pop-a"):
        result = self.weirctl("-j", "show", *words, node=node)
        expect_equal(result.returncode, 0, f"show {' '.join(words)}: {result.stdout} {result.stderr}")
        return json.loads(result.stdout)["data"]

    def port_packets(self, node, name):
        """Packets that entered the node by this port."""
        ports = self.show("port", "stats", "all", node=node)["ports"]
        return next(port["rx_packets"] for port in ports if port["name"] == name)

    def cluster(self, node="pop-a"):
        return self.show("cluster", node=node)

    def await_active(self):
        """Until all nodes are active, and know it of each other."""
        view = list(range(len(self.nodes)))

        def all_are():
            found = [self.cluster(node) for node in self.nodes]
            return all((one["state"], one["view"]) == ("active", view) and
                       all(peer["state"] == "active" for peer in one["peers"]) for one in found)
        until(all_are, 10, "the nodes are not active")

    def flows_created(self):
        return self.show("flow", "stats")["created"]

    def flood_flows(self, family, node="pop-a"):
        """Flows whose client is a flood's."""
        return self.show("flow", "any", FLOOD_PREFIX[family], "any", "any", "any", "limit", "0",
                         node=node)["flows"]

    def service(self):
        return self.show("service")["services"][0]

    def pid(self, node="pop-a"):
        with open(f"{self.state}/{node}.pid") as file:
            return int(file.readline())

    def resident_kib(self, node="pop-a"):
        with open(f"/proc/{self.pid(node)}/status") as file:
            return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))

    def log_tail(self):
        for node in self.nodes:
            with contextlib.suppress(OSError), \
                    open(f"{self.runtime_of(node)}/stderr.log") as file:
                yield from file.read().splitlines()[-15:]

    def check_conservation(self):
        for node in self.nodes:
            self.check_conservation_of(node)

    def check_conservation_of(self, node):
        """received + generated = transmitted + consumed + queued + dropped, once it is quiet."""
        until(lambda: self.show("drop", node=node)["unexplained"] == 0, 5,
              f"packets of {node} unexplained: {self.show('drop', node=node)}")
        drop = self.show("drop", node=node)
        expect(drop["received"] > 0, "nothing was received: the test tested nothing")
        expect_equal(drop["received"] + drop["generated"] + drop.get("from_peers", 0),
                     drop["transmitted"] + drop["consumed"] + drop["queued"] + drop["dropped"] +
                     drop.get("to_peers", 0), "conservation")
        expect_equal(sum(drop["reasons"].values()), drop["dropped"], "sum of the drop reasons")
        flows = self.show("flow", "stats", node=node)
        expect_equal(sum(flows["states"].values()), flows["total"], f"sum of {flows['states']}")

    # --- the two ways of `asym': client, edge, pop-a, core, server; and back through pop-b ---

    def prepare_ways(self):
        """Counts what the routers send the wrong way, apart from their talk with neighbours and
        from what goes to the symmetric client."""
        for words in (f"address add {SYMMETRIC[4]}/24 dev eth0",
                      f"address add {SYMMETRIC[6]}/64 dev eth0 nodad preferred_lft 0"):
            self.output("client", "ip", *words.split())
        self.output("core", "ip", "route", "add", SYMMETRIC[4], "via", "203.0.113.17")
        self.output("core", "ip", "route", "add", SYMMETRIC[6], "via", "2001:db8:77:1::1")
        for router, node in (("core", "pop-a"), ("edge", "pop-b")):
            self.output(router, "nft", "-f", "-", text=COUNT_WAY.format(node=node))
        self.wrong_at_start = self.wrong_packets()

    def wrong_packets(self):
        return {"pop-a": self.port_packets("pop-a", "inside"),
                "pop-b": self.port_packets("pop-b", "outside")}

    def right_packets(self):
        return {"pop-a": self.port_packets("pop-a", "outside"),
                "pop-b": self.port_packets("pop-b", "inside")}

    def way_counters(self, router):
        text = self.output(router, "nft", "-j", "list", "counters", "table", "netdev", "ways")
        return {one["counter"]["name"]: one["counter"]["packets"]
                for one in json.loads(text)["nftables"] if "counter" in one}

    def expect_right_ways(self, before, used):
        """Since right_packets() was `before' the ways of the nodes `used' were, and none in the wrong
        direction: a pop received there only what was meant to go there."""
        wrong, right = self.wrong_packets(), self.right_packets()
        for router, node in (("core", "pop-a"), ("edge", "pop-b")):
            counters = self.way_counters(router)
            expect_equal(counters["strays"], 0, f"packets that {router} sent through {node}")
            received = wrong[node] - self.wrong_at_start[node]
            expect(received <= counters["meant"],
                   f"{node} received {received} packets the wrong way")
        for node in used:
            expect(right[node] > before[node], f"nothing went through {node}")

    # --- peers ---

    def serve_http(self):
        """nginx in the server's namespace; returns the folder it serves."""
        files = os.path.join(self.folder, "files")
        os.makedirs(files, exist_ok=True)
        with open(os.path.join(files, "small"), "wb") as file:
            file.write(os.urandom(1500))
        config = os.path.join(self.folder, "nginx.conf")
        with open(config, "w") as file:
            file.write(NGINX_CONFIG.format(folder=self.folder, files=files))
        self.start("server", "nginx", "-c", config)

        def answers():
            with contextlib.suppress(OSError), self.inside("server"):
                socket.create_connection((SERVER[4], 80), 1).close()
                return True
        until(answers, 5, "nginx does not listen")
        return files

    def download_many(self, family, count, parallel=20, rate=0, deadline_ms=5000, name="small"):
        """`count` HTTP downloads by one process, one connection each; what connect reports."""
        result = self.run("client", f"{BUILD}/test/lab/connect", "--target",
                          target(SERVER[family], 80), "--count", count, "--parallel", parallel,
                          "--rate", rate, "--path", f"/{name}", "--deadline-ms", deadline_ms,
                          "--source-port", self.take_ports(count), "--body",
                          f"{self.folder}/files/{name}", timeout=600)
        expect(result.stdout, f"connect: {result.stderr}")
        return json.loads(result.stdout)

    def take_ports(self, count):
        """The first of `count` source ports that no connection of this lab has used."""
        self.next_port += count
        return self.next_port - count

    def expect_downloads(self, family, count, **keys):
        report = self.download_many(family, count, **keys)
        expect_equal((report["ok"], report["reasons"]), (count, {}), "downloads")
        return report

    def start_flood(self, kind, family, seconds, rate="max", port=80):
        link = self.output("edge", "ip", "-o", "link", "show", "client")
        mac = re.search(r"link/ether (\S+)", link).group(1)
        return self.start("client", f"{BUILD}/test/bench/flood", f"--{kind}", "--rate", rate,
                          "--seconds", seconds, "--interface", "eth0", "--gateway-mac", mac,
                          target(SERVER[family], port))

    def count_server_syns(self):
        """From now on the SYNs that arrive at the server are counted; see server_syns()."""
        self.output("server", "nft", "-f", "-", text=COUNT_SYNS)

    def expect_own_syns(self):
        """The server hears the SYNs that weir sends, and no other."""
        if self.mode != "proxy":
            raise Skip("mode proxy only")
        expect_equal(self.server_syns(), self.service()["server_syn"], "SYNs at the server")

    def server_syns(self):
        text = self.output("server", "nft", "-j", "list", "counter", "inet", "count", "syn")
        return next(one["counter"]["packets"] for one in json.loads(text)["nftables"]
                    if "counter" in one)


NGINX_CONFIG = """
user root;
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    sendfile on;
    default_type application/octet-stream;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
    server {{
        listen 80 backlog=4096;
        listen [::]:80 backlog=4096;
        root {files};
    }}
}}
"""

COUNT_SYNS = """
table inet count {
    counter syn { }
    chain arrived {
        type filter hook prerouting priority raw;
        tcp flags & (syn | ack) == syn counter name syn
    }
}
"""

COUNT_WAY = """
table netdev ways {{
    counter meant {{ }}
    counter strays {{ }}
    chain sent {{
        type filter hook egress device "{node}" priority 0;
        ip daddr 192.0.2.11 counter name meant accept
        ip6 daddr 2001:db8:1::11 counter name meant accept
        meta protocol arp counter name meant accept
        icmpv6 type {{ nd-neighbor-solicit, nd-neighbor-advert, mld-listener-report,
            mld2-listener-report }} counter name meant accept
        counter name strays
    }}
}}
"""


def _setns(file):
    if _libc.setns(file.fileno(), CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout:
        process.stdout.close()


def receive_exactly(sock, count):
    data, at = bytearray(count), 0
    with memoryview(data) as room:
        while at < count:
            got = sock.recv_into(room[at:])
            if got == 0:
                raise AssertionError(f"closed after {at} of {count} bytes")
            at += got
    return bytes(data)


def receive_all(sock):
    """Reads to the end; returns the number of bytes and their SHA-256."""
    digest, total = hashlib.sha256(), 0
    while True:
        part = sock.recv(1 << 20)
        if not part:
            return total, digest.hexdigest()
        digest.update(part)
        total += len(part)


def random_file(path, mib):
    """A file that does not compress, quickly; returns its SHA-256."""
    digest = hashlib.sha256()
    with open(path, "wb") as file:
        for _ in range(mib):
            block = os.urandom(1 << 20)
            digest.update(block)
            file.write(block)
    return digest.hexdigest()


class Pair:
    """A connection through the box: .client, .server, both ends ours."""

    def __init__(self, lab, family, port, source=None):
        self.listener = lab.listen(family, port)
        self.client = lab.connect(family, port, source=source)
        self.server, self.peer = self.listener.accept()
        self.server.settimeout(15)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for one in (self.client, self.server, self.listener):
            one.close()

    def echo(self):
        self.client.sendall(b"question")
        expect_equal(receive_exactly(self.server, 8), b"question", "at the server")
        self.server.sendall(b"answer")
        expect_equal(receive_exactly(self.client, 6), b"answer", "at the client")


def connect_to_failure(lab, family, port, address=None, syn_retries=2):
    """Connects and sends; returns (seconds until the failure, its errno)."""
    start = time.monotonic()
    client = lab.socket("client", family)
    client.settimeout(20)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, syn_retries)
    try:
        client.connect((address or SERVER[family], port))
        client.sendall(b"question")
        if client.recv(1) == b"":
            raise AssertionError("closed as if all were well")
        raise AssertionError("somebody answered")
    except OSError as error:
        expect(error.errno is not None, "a hang of 20 s")
        return time.monotonic() - start, error.errno
    finally:
        client.close()


class Background(threading.Thread):
    """Runs a function beside the check; result() gives its value or raises what it raised."""

    def __init__(self, function, *arguments):
        super().__init__(daemon=True)
        self.call, self.value, self.error = (function, arguments), None, None
        self.start()

    def run(self):
        try:
            self.value = self.call[0](*self.call[1])
        except BaseException as error:  # handed to whoever asks for the result
            self.error = error

    def result(self, seconds=60):
        self.join(seconds)
        expect(not self.is_alive(), f"no end within {seconds} s")
        if self.error:
            raise self.error
        return self.value


# --- checks ---

class Check:
    def __init__(self, name, function, parallel=False, used=("pop-a", "pop-b")):
        self.name, self.function = name, function
        self.parallel, self.used = parallel, used

    def __call__(self, lab):
        if lab.topology != "asym" or not _follow_ways:
            return self.function(lab)
        before = lab.right_packets()
        self.function(lab)
        lab.expect_right_ways(before, self.used)


_checks = []
_follow_ways = True


def check(function=None, *, families=True, parallel=False, used=("pop-a", "pop-b")):
    """Registers a check: called with (lab, family) for each family, or with (lab) alone.

    Neighbouring `parallel` checks run at the same time: they wait more than they work.
    used: the nodes that must have got packets, on `asym'."""
    def register(func):
        if families:
            for family in (4, 6):
                _checks.append(Check(f"{func.__name__}_v{family}",
                                     lambda lab, f=family: func(lab, f), parallel, used))
        else:
            _checks.append(Check(func.__name__, func, parallel, used))
        return func
    return register(function) if function else register


def _run_one(lab, one):
    start = time.monotonic()
    try:
        one(lab)
        line, good = f"ok {one.name}", True
    except Skip as error:
        line, good = f"skip {one.name}: {error}", True
    except Exception as error:
        line, good = f"not ok {one.name}: {type(error).__name__}: {error}".replace("\n", " "), False
        if os.environ.get("WEIR_TEST_TRACE"):
            traceback.print_exc()
    return f"{line} ({time.monotonic() - start:.1f} s)", good


def _run_chosen(lab, chosen):
    good = True
    with concurrent.futures.ThreadPoolExecutor(64) as pool:
        at = 0
        while at < len(chosen):
            last = at + 1
            while chosen[at].parallel and last < len(chosen) and chosen[last].parallel:
                last += 1
            for line, one in pool.map(lambda item: _run_one(lab, item), chosen[at:last]):
                print(line, flush=True)
                good = good and one
            at = last
    return good


def _choose(stem, conservation, quick, wanted):
    chosen = list(_checks)
    names = {one.name for one in chosen}
    unknown = wanted - names - {re.sub("_v[46]$", "", one) for one in names}
    expect(not unknown, f"no such checks: {unknown}")
    if quick is not None and not wanted and size("quick", "full") == "quick":
        unknown = set(quick) - {one.name for one in chosen}
        expect(not unknown, f"no such checks: {unknown}")
        chosen = [one for one in chosen if one.name in quick]
    if wanted:
        chosen = [one for one in chosen
                  if one.name in wanted or re.sub("_v[46]$", "", one.name) in wanted]
    if conservation:
        chosen.append(Check(f"{stem}_conservation", lambda lab: lab.check_conservation(), used=()))
    return chosen


def main(prepare, conservation=True, quick=None, follow_ways=True):
    """Runs the checks named on the command line, or all, in a lab that prepare(lab) brings up.

    quick: names of the checks of the quick size, where those are not all."""
    global _follow_ways
    _follow_ways = follow_ways
    stem = os.path.splitext(os.path.basename(sys.argv[0]))[0]
    listing = sys.argv[1:] == ["--list"]
    wanted = {one for one in sys.argv[1:] if not one.endswith("_conservation")}
    chosen = _choose(stem, conservation, quick, set() if listing else wanted)
    if listing:
        print("\n".join(one.name for one in chosen))
        return
    if os.geteuid() != 0:
        print("network namespaces need root: skipped")
        sys.exit(77)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    lab = Lab()
    good = False
    try:
        prepare(lab)
        good = _run_chosen(lab, chosen)
    except Exception as error:
        print(f"not ok {os.path.basename(sys.argv[0])} preparation: {error}".replace("\n", " "))
    if not good:
        for line in lab.log_tail():
            print(f"# {line}")
    sys.exit(0 if good else 1)
