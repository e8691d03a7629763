#!/usr/bin/python3
# What goes wrong before and around the start is told in one clear line each, and changes nothing;
# SIGTERM drains and exits 0; a killed node leaves the interfaces as they were.
# limit: quick 60 full 60
import os
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403

WEIR = os.path.join(BUILD, "weir")
BAD = """node = "x";
runtime = "{runtime}";
ports = ( {{ name = "outside"; side = "outsde"; device = "af_packet:outside"; }},
          {{ name = "inside"; side = "inside"; device = "af_packet:inside"; mttu = 9; }} );
servces = ();
flows = {{ capacity = "many"; }};
"""
WARN = """node = "x";
ports = ( { name = "outside"; side = "outside"; device = "null"; },
          { name = "inside"; side = "inside"; device = "null"; } );
services = ( { name = "web"; to = "192.0.2.0/24"; ports = "80"; } );
rules = ( { name = "all"; to = "192.0.2.0/24"; action = "deny"; },
          { name = "web"; to = "192.0.2.1"; protocol = "tcp"; ports = "80"; action = "allow"; } );
"""
CLUSTERED = """node = "pop-a";
ports = ( { name = "outside"; side = "outside"; device = "null"; },
          { name = "inside"; side = "inside"; device = "null"; },
          { name = "sync"; side = "sync"; device = "null"; } );
"""
CLUSTER = """cluster = {{ id = 0; name = "lab"; address = "203.0.113.225/28"; {proof} {more}
            peers = ( {{ name = "pop-b"; id = 1; address = "203.0.113.226"; }} ); }};
"""
NOBODY_USER = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
               "--inh-caps=-all", "--bounding-set=-all")


def prepare(lab):
    lab.up("bypass")
    lab.config = os.path.join(ROOT, "conf", "single.cfg")
    lab.other = f"{lab.folder}/other"  # a runtime folder of its own


def refused(lab, *sets, before=(), host="pop-a", config=None):
    """Runs a second weir that must end by itself with status 1; returns what it wrote."""
    if os.path.isdir(lab.other):
        shutil.rmtree(lab.other)
    words = [WEIR, "run", "-c", config or lab.config, "--set", f"runtime={lab.other}"]
    for one in sets:
        words += ["--set", one]
    result = lab.run(host, "timeout", "6", *before, *words)
    text = result.stdout + result.stderr
    expect_equal(result.returncode, 1, f"exit status ({text})")
    expect(not os.path.exists(f"{lab.other}/console.sock"), "a console was opened")
    return text


def error_lines(text):
    return [line for line in text.splitlines() if " error " in line or line.startswith("error")]


def expect_one_line(text, *words):
    lines = error_lines(text)
    expect_equal(len(lines), 1, f"number of error lines in {text}")
    for word in words:
        expect(re.search(word, lines[0]), f"no {word!r} in: {lines[0]}")


def interfaces(lab):
    """What a user would find changed, as a set of words per interface."""
    words = set()
    for name in ("outside", "inside"):
        text = lab.output("pop-a", "ip", "-d", "-o", "link", "show", name)
        text = re.sub(r"state \w+|NO-CARRIER|LOWER_UP", "", text)
        text += lab.output("pop-a", "ethtool", "-k", name).replace(": ", ":")
        words |= {f"{name} {word}" for word in re.split(r"[\s,<>]+", text)}
    return words


@check(families=False)
def unknown_keys(lab):
    path = f"{lab.folder}/bad.cfg"
    with open(path, "w") as file:
        file.write(BAD.format(runtime=lab.other))
    for command in ("check", "run"):
        result = lab.run("pop-a", WEIR, command, "-c", path)
        text = result.stdout + result.stderr
        expect_equal(result.returncode, 1, f"status of {command}")
        for line, what in ((3, r"ports\.outside\.side:.*did you mean `outside'"),
                           (4, r"ports\.inside\.mttu:.*did you mean `mtu'"),
                           (5, r"servces:.*did you mean `services'"),
                           (6, r"flows\.capacity:")):
            expect(re.search(f"^{re.escape(path)}:{line}: {what}", text, re.M),
                   f"{command}: no {what!r} at line {line} in {text}")
    expect(not os.path.exists(lab.other), "the runtime folder was made")


@check(families=False)
def syntax_error(lab):
    path = f"{lab.folder}/syntax.cfg"
    with open(path, "w") as file:
        file.write('node = "x";\nports = ( { name = ;\n')
    result = lab.run("pop-a", WEIR, "check", "-c", path)
    expect_equal(result.returncode, 1, "status")
    expect(f"{path}:2:" in result.stdout + result.stderr, result.stderr)


@check(families=False)
def warnings(lab):
    """What can never be reached is told, and is no error."""
    path = f"{lab.folder}/warn.cfg"
    with open(path, "w") as file:
        file.write(WARN)
    result = lab.run("pop-a", WEIR, "check", "-c", path)
    expect_equal(result.returncode, 0, f"status ({result.stderr})")
    expect_equal([line.rsplit(":", 1)[0] for line in result.stderr.splitlines()],
                 [f"{path}:4: services.web: warning", f"{path}:6: rules.web: warning: shadowed"],
                 "warnings")
    log = refused(lab, "ports.inside.device=af_packet:nothere", config=path)
    for what in ("4: services.web: warning: no rule", "6: rules.web: warning: shadowed"):
        expect(re.search(f" warning {re.escape(path)}:{what}", log), log)


@check(families=False)
def missing_file(lab):
    result = lab.run("pop-a", WEIR, "run", "-c", "/nonexistent.cfg")
    expect_equal(result.returncode, 1, "status")
    expect("/nonexistent.cfg" in result.stderr and result.stderr.count("\n") == 1, result.stderr)


@check(families=False)
def usage_errors(lab):
    expect_equal(lab.run("pop-a", WEIR, "-h").returncode, 0, "status of -h")
    for words in ([], ["bogus"], ["run"], ["run", "-c"]):
        expect_equal(lab.run("pop-a", WEIR, *words).returncode, 2, f"status of {words}")
    for command in ("check", "run"):
        result = lab.run("pop-a", WEIR, command, "-c", lab.config, "-c", "/nonexistent.cfg")
        expect_equal(result.returncode, 2, f"status of {command} with two files")
        expect("-c is given twice, now with: /nonexistent.cfg" in result.stderr, result.stderr)


def checked(lab, group):
    """Status, and what `weir check` writes about a file with this group `cluster` at its line 5."""
    path = f"{lab.folder}/cluster.cfg"
    with open(path, "w") as file:
        file.write(CLUSTERED + group)
    result = lab.run("pop-a", WEIR, "check", "-c", path)
    return result.returncode, (result.stdout + result.stderr).replace(f"{path}:", "")


@check(families=False)
def clusters(lab):
    """What is wrong with the group, where; and what of it nothing uses."""
    with open(os.open(f"{lab.folder}/psk", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("00" * 32)
    group = CLUSTER.format(proof='psk_file = "psk";', more='port = "sync";')
    status, text = checked(lab, group)
    expect_equal(status, 0, f"status ({text})")
    expect("ok ports=2 sync=1 services=0" in text and "warning" not in text, text)
    status, text = checked(lab, "cluster = { };\n")
    expect_equal(status, 1, "status of an empty group")
    for key in ("id", "name", "address", "port", "psk_file"):
        expect(re.search(f"^5: cluster.{key}: is missing", text, re.M), text)
    expect("\n5: cluster.peers: is empty: name at least one peer\n" in text, text)
    status, text = checked(lab, group.replace('port = "sync";', 'port = "sync"; share = "none"; '
                                              'wait = "all"; transport = "socket";'))
    expect_equal(status, 0, f"status ({text})")
    expect("ok ports=2 sync=0" in text, text)
    for what in ("4: ports.sync: warning: nothing uses it", "cluster.port: warning: nothing uses it",
                 "cluster.share: warning: with ", "cluster.wait: warning: has no effect"):
        expect(what in text, f"no {what!r} in {text}")


def readme_commands(folder):
    """The README's way to a CA and a node's certificate."""
    with open(f"{ROOT}/README.md") as file:
        lines = re.findall(r"^    (openssl req (?:.*\\\n)?.*)$", file.read(), re.M)
    expect_equal(len(lines), 2, f"commands in the README: {lines}")
    for line in lines:
        made = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True)
        expect_equal(made.returncode, 0, f"{line}: {made.stderr}")


@check(families=False)
def certificates(lab):
    """One made as the README says is good; another's is told before a peer refuses it."""
    proof = 'certificate_file = "pop-a.pem"; key_file = "pop-a.key"; ca_file = "ca.pem";'
    group = CLUSTER.format(proof=proof, more='port = "sync";')
    readme_commands(lab.folder)
    status, text = checked(lab, group)
    expect_equal((status, text.count("\n")), (0, 1), text)
    status, text = checked(lab, group.replace("id = 0", "id = 2"))
    expect_equal(status, 1, "status with another id")
    expect('5: cluster.certificate_file: ' in text and 'is not of "weir:lab:2"' in text, text)
    os.chmod(f"{lab.folder}/pop-a.key", 0o644)
    status, text = checked(lab, group)
    expect_equal(status, 1, "status with a key for all to read")
    expect(re.search("5: cluster.key_file: .*must not be open to others", text), text)


@check(families=False)
def list_for_a_short_reader(lab):
    """scripts/test --list | head: whoever has read enough gets no traceback."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as closed:
        result = subprocess.run([f"{ROOT}/test/run.py", "--only", "lint", "--list"], stdout=closed,
                                stderr=subprocess.PIPE, text=True)
    expect_equal(result.stderr, "", "errors")


def replay(lab, *words):
    return lab.run("pop-a", WEIR, "replay", "-c", lab.config, "--seed", "1", *words)


def make_capture(path, count=3):
    packets = b""
    for _ in range(count):
        packets += struct.pack("<IIII", 1, 0, 60, 60) + bytes(60)
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1) + packets)


@check(families=False)
def replay_keeps_its_input(lab):
    capture, linked, hard = (f"{lab.folder}/{name}.pcap" for name in ("in", "link", "hard"))
    config = f"{lab.folder}/replay.cfg"
    make_capture(capture)
    os.symlink(capture, linked)
    os.link(capture, hard)
    shutil.copy(lab.config, config)
    with open(capture, "rb") as file:
        before = file.read()
    for words in (["--write", capture], ["--write", linked], ["--write", hard],
                  ["--json", hard], ["-c", config, "--json", config],
                  ["--write", f"{lab.folder}/new", "--json", f"{lab.folder}/new"]):
        result = replay(lab, "--in", capture, *words)
        expect_equal(result.returncode, 2, f"status with {words}")
        expect(words[-1] in result.stderr, result.stderr)
        with open(capture, "rb") as file:
            expect_equal(file.read(), before, f"the input after {words}")
    result = replay(lab, "--in", "/nonexistent")
    expect_equal((result.returncode, result.stderr.count("/nonexistent")), (1, 1), result.stderr)
    result = replay(lab, "--in", linked, "--write", f"{lab.folder}/out.pcapng", "--json", "/dev/null")
    expect_equal(result.returncode, 0, result.stderr)


@check(families=False)
def replay_of_a_cut_capture(lab):
    """What is there is replayed; status and report say that it is not all."""
    capture = f"{lab.folder}/cut.pcap"
    for cut, truncated, status in ((0, False, 0), (10, True, 1)):
        make_capture(capture)
        os.truncate(capture, os.path.getsize(capture) - cut)
        result = replay(lab, "--in", capture)
        report = json.loads(result.stdout)
        expect_equal((result.returncode, report["truncated"], report["packets"]["read"]),
                     (status, truncated, 2 if cut else 3), f"{cut} bytes short")
        expect_equal("truncated" in result.stderr, truncated, result.stderr)


@check(families=False)
def missing_interface(lab):
    text = refused(lab, "ports.inside.device=af_packet:nothere")
    expect_one_line(text, "nothere", "ip link")


@check(families=False)
def missing_privilege(lab):
    os.chmod(lab.folder, 0o755)
    place = f"{lab.folder}/nobody"
    os.mkdir(place)
    os.chown(place, 65534, 65534)
    expect_one_line(refused(lab, f"runtime={place}/run", before=NOBODY_USER), "root|CAP_NET")
    for runtime in ("/run/weir/nobody", lab.runtime):
        expect_one_line(refused(lab, f"runtime={runtime}", before=NOBODY_USER), "denied|not permitted",
                        "as root, or give it a `runtime'")
    result = lab.run("pop-a", *NOBODY_USER, f"{BUILD}/weirctl", "-s", f"{lab.runtime}/console.sock",
                     "show", "status")
    expect_equal(result.returncode, 3, "status of weirctl")
    expect_equal(len(result.stderr.splitlines()), 2, f"lines of {result.stderr}")
    expect("Permission denied" in result.stderr and "try sudo" in result.stderr, result.stderr)


@check(families=False)
def missing_memory(lab):
    text = refused(lab, "flows.capacity=100000000", "ports.outside.device=null",
                   "ports.inside.device=null", before=("prlimit", "--as=1500000000"))
    expect_one_line(text, "flows.capacity", "memory|MiB", "lower")


@check(families=False)
def second_instance(lab):
    text = refused(lab, f"runtime={lab.runtime}")
    expect_one_line(text, "runs in", str(lab.pid()))
    expect_equal(lab.show("status")["state"], "forwarding", "state of the first")


@check(families=False)
def interface_in_use(lab):
    """Two nodes on one wire would send every frame twice."""
    text = refused(lab)
    expect_one_line(text, "outside", "use", f"pid {lab.pid()}, node pop-a")
    with open(f"{lab.other}/log") as file:  # the one thing that stays
        expect_equal(error_lines(file.read()), error_lines(text), "the log of the start that failed")
    expect_equal(os.listdir(lab.other), ["log"], "what is left of it")
    expect_equal(lab.show("status")["state"], "forwarding", "state of the first")


@check(families=False)
def interface_locks_are_private(lab):
    """Nobody else can get hold of what keeps a second node away."""
    folder = "/run/weir/.interfaces"
    expect_equal(os.stat(folder).st_mode & 0o7777, 0o700, "mode of the folder")
    space = os.stat(f"/run/netns/{lab.name}-pop-a").st_ino
    held = [name for name in os.listdir(folder) if name.startswith(f"{space}-")]
    expect_equal(len(held), 2, f"locks of the namespace in {os.listdir(folder)}")
    for name in held:
        result = lab.run("pop-a", *NOBODY_USER, "flock", "-n", f"{folder}/{name}", "true")
        expect("Permission denied" in result.stderr, f"flock by nobody: {result.stderr}")


@check(families=False)
def unreachable_daemon(lab):
    result = subprocess.run([f"{BUILD}/weirctl", "-s", "/nonexistent.sock", "show", "status"],
                            capture_output=True, text=True)
    expect_equal(result.returncode, 3, "status")
    expect("/nonexistent.sock" in result.stderr, result.stderr)


@check(families=False)
def dead_socket(lab):
    """The socket of a killed node does not stand in the way of those that run."""
    folder = f"/run/weir/{lab.name}-dead"
    os.mkdir(folder, 0o700)
    try:
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(f"{folder}/console.sock")
        result = subprocess.run([f"{BUILD}/weirctl", "show", "status"], capture_output=True,
                                text=True, env=dict(os.environ, WEIR_SOCKET=""))
        # Other labs of this machine may run, too: then it lists the choice.
        expect(folder not in result.stderr, result.stderr)
        expect("forwarding" in result.stdout or f"  {lab.runtime}/console.sock\n" in result.stderr,
               result.stdout + result.stderr)
    finally:
        shutil.rmtree(folder)


def answers(path):
    with socket.socket(socket.AF_UNIX) as client, contextlib.suppress(OSError):
        client.connect(path)
        return True


def end_by(lab, last):
    process = lab.start("pop-a", WEIR, "run", "-c", lab.config, "--set", f"runtime={lab.other}")
    until(lambda: answers(f"{lab.other}/console.sock"), 15, "the console opens")
    process.send_signal(last)
    wanted = -last if last == signal.SIGKILL else 0
    expect_equal(process.wait(10), wanted, f"exit status after {last.name}")
    # What a killed node leaves is no running node: the next start removes it, and so its end.
    expect_equal(os.path.exists(lab.other), last == signal.SIGKILL, f"{lab.other} is there")


def squat(lab):
    """Any user may bind the abstract name of an interface first."""
    code = ("import socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
            "s.bind(chr(0) + 'weir-interface-outside'); print('bound', flush=True); time.sleep(30)")
    process = lab.start("pop-a", *NOBODY_USER, "/usr/bin/python3", "-c", code)
    expect_equal(process.stdout.readline(), "bound\n", "the name is taken")
    return process


@check(families=False)
def lab_commands_that_are_wrong(lab):
    """They name what is wrong, and the lab that is up stays."""
    pid = lab.pid()
    for status, what, words in (
            (2, "--mode slow", ["up", "--mode", "slow"]),
            (2, "--mode", ["up", "single", "--mode"]),
            (2, "--device", ["up", "--device", "nic"]),
            (2, "triangle", ["up", "triangle"]),
            (1, "--set services.lab.mod=track: services.lab.mod: ",
             ["up", "single", "--set", "services.lab.mod=track"]),
            (1, "--set cluster.idd=3: cluster.idd: ", ["up", "asym", "--set", "cluster.idd=3"]),
            (1, "eal.workers", ["up", "single", "--workers", "many"]),
            (2, "nowhere", ["exec", "nowhere", "--", "true"]),
            (2, "behind --", ["exec", "client", "true"]),
            (2, "many", ["kill", "pop-a", "--route-ms", "many"]),
            (2, "loss=101%", ["impair", "client", "loss=101%"]),
            (2, "loss=1.5.5%", ["impair", "client", "loss=1.5.5%"]),
            (2, "lost=1%", ["impair", "client", "lost=1%"]),
            (2, "off", ["impair", "client", "off", "loss=1%"]),
            (2, "upp", ["upp"])):
        result = lab.lab(*words)
        expect_equal(result.returncode, status, f"status of lab {words} ({result.stderr})")
        expect(what in result.stderr, f"lab {words}: {result.stderr}")
    result = subprocess.run([lab.script, "up", "single"], env=dict(lab.env, WEIR_BUILD="/nonexistent"),
                            capture_output=True, text=True)
    expect_equal((result.returncode, "/nonexistent/weir is missing" in result.stderr), (1, True),
                 f"without a build: {result.stderr}")
    expect_equal(lab.pid(), pid, "the node")
    expect_equal(lab.show("status")["state"], "forwarding", "state")
    expect_equal(lab.run("client", "ping", "-q", "-c", "1", "-W", "1", SERVER[4]).returncode, 0, "ping")


@check(families=False)
def lab_up_without_a_build(lab):
    """It leaves nothing."""
    name = f"{lab.name[:6]}n"
    result = subprocess.run([lab.script, "up"], env=dict(lab.env, WEIR_BUILD="/nonexistent",
                                                         WEIR_LAB=name),
                            capture_output=True, text=True)
    expect_equal(result.returncode, 1, "status")
    expect_equal([one for one in os.listdir("/run/netns") if one.startswith(f"{name}-")], [],
                 "namespaces")


@check(families=False)
def test_and_bench_names(lab):
    """A test or phase that does not exist is told before anything is built."""
    for words in (["--only", "lab:nosuch"], ["--only", "lab:nosuch", "--list"]):
        result = subprocess.run([f"{ROOT}/test/run.py", *words], capture_output=True, text=True)
        expect_equal(result.returncode, 2, f"status of {words}")
        expect("nosuch" in result.stderr and "bad_input" in result.stderr, result.stderr)
        expect_equal(result.stdout, "", "output")
    result = subprocess.run([f"{ROOT}/scripts/bench", "--only", "nosuch"], capture_output=True,
                            text=True, env=dict(os.environ, WEIR_BUILD="/nonexistent"))
    expect_equal(result.returncode, 2, "status of scripts/bench")
    expect("nosuch" in result.stderr and "floods" in result.stderr, result.stderr)


@check(families=False)
def sigterm_and_kill(lab):
    """Our own child, so that its exit status is ours to read."""
    expect_equal(lab.lab("kill", "pop-a").returncode, 0, "lab kill")
    # The kernel takes a dead process's packet sockets down a moment later.
    until(lambda: not any(word.endswith(" 1") or word.endswith(" PROMISC")
                          for word in interfaces(lab)), 5, "the killed node's sockets are gone")
    before = interfaces(lab)
    try:
        shutil.rmtree(lab.other, ignore_errors=True)
        squatter = squat(lab)
        for last in (signal.SIGTERM, signal.SIGKILL, signal.SIGINT):
            end_by(lab, last)
            until(lambda: interfaces(lab) == before, 5, f"the interfaces are as before {last.name}")
        end(squatter)
    finally:
        started = lab.lab("start", "pop-a")
    expect_equal(started.returncode, 0, "status of lab start")
    until(lambda: "1 received" in lab.run("client", "ping", "-q", "-c", "1", "-W", "0.3",
                                          SERVER[4]).stdout, 5, "it forwards again")


main(prepare)
