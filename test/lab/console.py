#!/usr/bin/python3
# The console from outside: every show command with the keys its interface names, exit statuses,
# start and stop, reload, why, capture, batch files, and a session on a terminal.
# Proves: B2.
# limit: quick 60 full 60
import os
import pty
import select
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403

KEYS = {  # command: (path to one object, its keys)
    "show status": ((), "state uptime_s version config_generation config_sha256 huge_pages"),
    "show port stats all": (("ports", 0), "name side device link rx_packets rx_bytes rx_missed "
                            "rx_errors tx_packets tx_bytes tx_refused"),
    "show drop": ((), "received generated from_peers transmitted consumed queued to_peers dropped "
                  "unexplained reasons meanings"),
    "show flow stats": ((), "total capacity memory_bytes populated_bytes created closed expired evicted "
                        "refused states queue"),
    "show flow": (("flows", 0), "protocol client client_port server server_port state mode service "
                  "d e ts_offset worker owner copy generation half idle_ms"),
    "show service": (("services", 0), "name mode from protocol to ports syn synack_sent cookie_valid cookie_bad server_syn "
                     "server_synack server_refused server_timeout profile"),
    "show rule": (("rules", -1), "name action from protocol source source_ports destination ports"),
    "show rule hits": (("rules", 0), "name action hits"),
    "show worker": (("workers", 0), "id cpu packets cycles_per_packet busy_ratio handed_over paths"),
    "show why tcp 192.0.2.10 40000 198.51.100.10 80 in outside":
        ((), "verdict reason by synack limit rule service mode offered_to others_active flow"),
}
REASONS = ("malformed bad_checksum bad_option bad_flags bad_address fragment rule_denied no_flow "
           "bad_cookie out_of_window bad_ack queue_full flow_limit prefix_limit table_full "
           "rate_limited server_timeout hold_timeout no_owner control_busy too_big tx_refused "
           "stopped")


def prepare(lab):
    lab.up("proxy")
    lab.serve_http()
    for family in (4, 6):
        lab.expect_downloads(family, 20)


@check(families=False)
def console_json(lab):
    for command, (path, keys) in KEYS.items():
        result = lab.weirctl("-j", *command.split())
        expect_equal(result.returncode, 0, f"status of {command}")
        document = json.loads(result.stdout)
        expect_equal((document["schema"], document["node"]), (1, "pop-a"), command)
        expect(command.startswith(document["command"].split()[0]), document["command"])
        found = document["data"]
        for step in path:
            found = found[step]
        missing = set(keys.split()) - set(found)
        expect(not missing, f"{command} lacks {missing}")
    drop = lab.show("drop")
    missing = set(REASONS.split()) - set(drop["reasons"])
    expect(not missing, f"reasons lack {missing}")


@check(families=False)
def console_transcript(lab):
    """Every command answers in text, and its answer holds what JSON holds."""
    for command in [*KEYS, "show port info all", "show port xstats all", "show config", "help"]:
        result = lab.weirctl(*command.split())
        expect_equal(result.returncode, 0, f"status of {command}")
        expect(len(result.stdout.splitlines()) >= 2, f"{command}: {result.stdout!r}")
    expect("forwarding" in lab.weirctl("show", "status").stdout, "state in text")


@check(families=False)
def console_statuses(lab):
    for words, status in ((["show", "status"], 0), (["show", "bogus"], 2), (["bogus"], 2),
                          (["show", "port", "info", "nowhere"], 2), (["capture", "stop"], 1),
                          (["-f", "/nonexistent"], 1), (["--bogus"], 2), (["-t", "x", "stop"], 2)):
        expect_equal(lab.weirctl(*words).returncode, status, f"status of {words}")
        if words[0] != "-f":
            expect_equal(lab.weirctl("-j", *words).returncode, status, f"status of -j {words}")
    result = lab.weirctl("-j", "show", "bogus")
    error = json.loads(result.stdout)["error"]
    expect_equal((result.returncode, set(error) >= {"code", "message", "hint"}), (2, True),
                 f"{error}")
    for words in (["show", "-j", "status"], ["show", "status", "-s", "/nonexistent"]):
        result = lab.weirctl(*words)
        expect_equal(result.returncode, 2, f"status of {words}")
        expect("options come before the command" in result.stderr, result.stderr)


@check(families=False)
def console_help_without_an_appliance(lab):
    for words, status in ((["help"], 0), (["help", "show", "drop"], 0), (["help", "bogus"], 2)):
        result = lab.run("client", f"{BUILD}/weirctl", "-s", "/nonexistent", *words)
        expect_equal(result.returncode, status, f"status of {words}")
        if status == 0:
            expect_equal(result.stdout, lab.weirctl(*words).stdout, f"text of {words}")
            expect("show drop" in result.stdout, result.stdout)


@check(families=False)
def console_meanings(lab):
    """What the names in an answer mean is a line each, and the same in help."""
    lines = lab.weirctl("show", "drop").stdout.splitlines()
    meaning = "belongs to no known connection"
    expect([line for line in lines if line.startswith("no_flow ") and line.endswith(meaning)], f"{lines}")
    expect(f"reasons.no_flow         {meaning}" in lab.weirctl("help", "show", "drop").stdout, "help")
    for words, field in (("show cluster", "secret_generation  "), ("show flow", "half  "),
                         ("show cluster peer", "differs  "), ("cluster rotate", "from_epoch  ")):
        text = lab.weirctl("help", *words.split()).stdout
        expect(f"\n      {field}" in text, text)
    expect_equal(lab.show("rule")["rules"][-1]["name"], "default", "the last rule")


@check(families=False)
def console_alone(lab):
    """Without a cluster its commands all say the same."""
    for words in (["show", "cluster"], ["show", "cluster", "peer", "pop-b"], ["cluster", "rekey"]):
        result = lab.weirctl(*words)
        expect_equal(result.returncode, 1, f"status of {words}")
        expect("this node is on its own" in result.stderr, result.stderr)


@check(families=False)
def console_silence(lab):
    """An appliance that says nothing is given up, with a reason."""
    pid = lab.pid()
    os.kill(pid, signal.SIGSTOP)
    try:
        for words in (["-t", "1"], ["-j", "-t", "1"]):
            begin = time.monotonic()
            result = lab.weirctl(*words, "show", "status")
            expect(0.9 < time.monotonic() - begin < 5, f"gave up after {time.monotonic() - begin}")
            expect_equal(result.returncode, 3, "status")
            expect("no answer for 1 s" in result.stderr, result.stderr)
    finally:
        os.kill(pid, signal.SIGCONT)
    expect_equal(lab.weirctl("show", "status").returncode, 0, "it answers again")


@check(families=False)
def console_flows(lab):
    flows = lab.show("flow", "tcp", "any", "any", SERVER[6], "80", "limit", "5")["flows"]
    expect_equal(len(flows), 5, "flows shown")
    for flow in flows:
        expect_equal((flow["server"], flow["server_port"], flow["mode"], flow["client"]),
                     (SERVER[6], 80, "proxy", CLIENT[6]), "flow")


@check(families=False)
def console_flows_in_text(lab):
    """A table that fits a terminal, one line a flow."""
    lines = lab.weirctl("show", "flow", "tcp", "any", "any", SERVER[4], "80").stdout.splitlines()
    table = [line for line in lines if line.startswith(("proto ", "tcp "))]
    expect(len(table) > 10, f"{lines}")
    expect(max(map(len, table)) <= 120, f"{max(map(len, table))} columns: {table[:2]}")
    expect(all(f"  {SERVER[4]}:80  " in line for line in table[1:]), f"{table[1]}")


@check(families=False)
def console_why(lab):
    why = lab.show("why", "tcp", CLIENT[4], "40000", SERVER[4], "80", "in", "outside")
    expect_equal((why["rule"], why["service"], why["mode"], why["by"]),
                 ("servers", "lab", "proxy", "the rule"), "why")
    flow = lab.show("flow", "limit", "1")["flows"][0]
    why = lab.show("why", "tcp", flow["client"], str(flow["client_port"]), flow["server"],
                   str(flow["server_port"]), "in", "outside")
    expect_equal((why["verdict"], why["by"]), ("allow", "the flow"), "why, of a flow")
    why = lab.show("why", "udp", CLIENT[4], "40000", SERVER[4], "53", "in", "outside")
    expect_equal((why["rule"], why["reason"], why["synack"]), ("default", "rule_denied", None), "why")
    why = lab.show("why", "tcp", SERVER[4], "80", CLIENT[4], "40000", "in", "inside")
    expect_equal((why["verdict"], why["synack"]), ("allow", "no_flow"), "why, of an answer")
    lab.weirctl("stop")
    why = lab.show("why", "tcp", CLIENT[4], "40000", SERVER[4], "80")
    lab.weirctl("start")
    expect_equal((why["verdict"], why["reason"], why["service"]), ("drop", "stopped", "lab"),
                 "why, stopped")
    text = lab.weirctl("show", "why", "esp", CLIENT[4], "1", SERVER[4], "1").stderr
    expect("its number (esp is 50)" in text, text)


def log_of(lab):
    with open(f"{lab.runtime}/log") as file:
        return file.read()


@check(families=False)
def console_limit_told(lab):
    """Who is refused by a limit is told by `show why` and by the log."""
    before, after = 'ports = "1-65535";\n\t\tfrom', 'ports = "1-65535"; flows_max = 1;\n\t\tfrom'
    lab.weirctl("clear", "flow", "all")
    words = ("why", "tcp", CLIENT[4], "40000", SERVER[4], "9310")
    listener = lab.listen(4, 9310)
    client = lab.connect(4, 9310)
    expect_equal(lab.show(*words)["limit"], None, "no limit")
    edit_config(lab, before, after)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    why = lab.show(*words)
    expect_equal((why["verdict"], why["limit"]), ("cookie", "flow_limit"), "why")
    expect("no more flows" not in log_of(lab), "a warning before anything was refused")
    lab.run("client", "curl", "-sS", "-m", "1", f"http://{SERVER[4]}/small")
    until(lambda: re.search("warning no more flows are let in: reason=flow_limit packets=[1-9]",
                            log_of(lab)), 5, "the log tells")
    edit_config(lab, after, before)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of the reload back")
    lab.expect_downloads(4, 5)
    expect_equal(log_of(lab).count("no more flows"), 1, "lines of the log")
    client.close()
    listener.close()


@check(families=False)
def console_problems(lab):
    """A port without link, and one whose interface is gone, show at once."""
    def problems():
        return lab.show("status")["problems"]

    expect_equal(problems(), [], "problems")
    lab.output("pop-a", "ip", "link", "set", "outside", "down")
    until(lambda: problems() == ["port outside has no link"], 5, "no link")
    lab.output("pop-a", "ip", "link", "set", "outside", "name", "other")
    until(lambda: [one for one in problems() if "outside is gone" in one], 5, "gone")
    expect("outside is gone" in lab.weirctl("show", "status").stdout, "in text")
    lab.output("pop-a", "ip", "link", "set", "other", "name", "outside")
    lab.output("pop-a", "ip", "link", "set", "outside", "up")
    until(lambda: problems() == [], 5, "no problems")
    until(lambda: lab.run("client", "ping", "-q", "-c", "1", "-W", "0.3", SERVER[4]).returncode == 0,
          5, "it forwards")


@check(families=False)
def console_wrong_checksums(lab):
    """Offload left on where packets come from is a problem that names itself."""
    ways = (("client", "eth0"), ("edge", "pop-a"))
    expect("checksums are wrong" not in log_of(lab), "a warning before anything was wrong")
    for host, device in ways:
        lab.output(host, "ethtool", "-K", device, "tx", "on")
    lab.download_many(4, 500, parallel=500, deadline_ms=300)
    for host, device in ways:
        lab.output(host, "ethtool", "-K", device, "tx", "off")
    told = until(lambda: lab.show("status")["problems"], 5, "a problem")
    expect(len(told) == 1 and re.match(r"port outside: \d+ of \d+ packets had wrong checksums: .*"
                                       "ethtool -K INTERFACE tx off", told[0]), f"{told}")
    expect_equal(log_of(lab).count("warning checksums are wrong: port=outside"), 1, "lines of the log")
    lab.expect_downloads(4, 20)


@check(families=False)
def console_stop_start(lab):
    before = lab.show("drop")["reasons"]["stopped"]
    expect_equal(lab.weirctl("stop").returncode, 0, "status of stop")
    expect_equal(lab.show("status")["state"], "stopped", "state")
    text = lab.run("client", "ping", "-q", "-c", "5", "-i", "0.01", "-W", "0.2", SERVER[4]).stdout
    expect(" 0 received" in text, text)
    expect(lab.show("drop")["reasons"]["stopped"] >= before + 5, "counted as stopped")
    expect_equal(lab.weirctl("start").returncode, 0, "status of start")
    text = lab.output("client", "ping", "-q", "-c", "5", "-i", "0.01", SERVER[4])
    expect("5 received" in text, text)


def edit_config(lab, old, new):
    path = f"{lab.state}/pop-a.cfg"
    with open(path) as file:
        text = file.read()
    expect(old in text, f"no {old!r} in the configuration")
    with open(path, "w") as file:
        file.write(text.replace(old, new, 1))


@check(families=False)
def console_reload(lab):
    """A good change applies and connections live on; a bad one changes nothing."""
    ping = '{ name = "ping"; protocol = "icmp"; action = "allow"; },'
    denied = ping.replace("allow", "deny")
    listener = lab.listen(4, 9300)
    client = lab.connect(4, 9300)
    server = listener.accept()[0]
    edit_config(lab, ping, denied)
    for one in (["reload", "check"], ["reload"]):
        notes = json.loads(lab.weirctl("-j", *one).stdout)["data"]["notes"]
        # What the lab gives with --set replaces a line of the file.
        expect(any(re.match(f"{lab.state}/pop-a.cfg:\\d+: limits.per_prefix_flows: note: "
                            "overridden by --set: 60000 is in force", one) for one in notes),
               f"{notes}")
    edit_config(lab, denied, ping)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    generation = lab.show("status")["config_generation"]
    edit_config(lab, ping, denied)
    checked = json.loads(lab.weirctl("-j", "reload", "check").stdout)["data"]
    status = lab.show("status")
    expect_equal((checked["applied"], checked["would_apply"]), (False, True), "reload check")
    expect_equal((checked["config_generation"], checked["config_sha256"], generation),
                 (status["config_generation"], status["config_sha256"],
                  status["config_generation"]), "in force after check")
    expect(checked["file_sha256"] != checked["config_sha256"], "the file is another")
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    expect_equal(lab.show("status")["config_sha256"], checked["file_sha256"], "in force")
    expect(lab.show("status")["config_generation"] > generation, "the generation grew")
    text = lab.run("client", "ping", "-q", "-c", "3", "-i", "0.01", "-W", "0.2", SERVER[4]).stdout
    expect(" 0 received" in text, text)
    client.sendall(b"question")
    expect_equal(receive_exactly(server, 8), b"question", "over the reload")

    generation = lab.show("status")["config_generation"]
    wrong = '{ name = "ping"; protocl = "icmp"; action = "alow"; },'
    edit_config(lab, denied, wrong)
    result = lab.weirctl("reload")
    expect_equal(result.returncode, 1, "status of a bad reload")
    told = [f"{lab.state}/pop-a.cfg:\\d+: rules.ping.{what}" for what in ("protocl", "action")]
    lines = result.stderr.splitlines()
    expect_equal(len(lines), 3, f"lines of {lines}")
    for line, pattern in zip(lines, told):
        expect(re.match(f"error: {pattern}: ", line), line)
    error = json.loads(lab.weirctl("-j", "reload").stdout)["error"]
    expect_equal(["error: " + one for one in error["details"]], lines[:2], "details")
    expect_equal(error["message"], "\n".join(error["details"]), "message")
    expect_equal(lab.show("status")["config_generation"], generation, "generation, bad reload")
    edit_config(lab, wrong, ping)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of the reload back")
    lab.output("client", "ping", "-q", "-c", "1", SERVER[4])
    for one in (client, server, listener):
        one.close()


@check(families=False)
def console_service_ports(lab):
    """One service of several port ranges: matched by each, shown as one."""
    before, after = 'ports = "1-65535";\n\t\tfrom', 'ports = "80,443,8000-8080";\n\t\tfrom'
    edit_config(lab, before, after)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    expect_equal(lab.service()["ports"], ["80", "443", "8000-8080"], "ports")
    for port, service in ((80, "lab"), (443, "lab"), (8000, "lab"), (8080, "lab"), (81, None),
                          (8081, None)):
        why = lab.show("why", "tcp", CLIENT[6], "40000", SERVER[6], str(port))
        expect_equal(why["service"], service, f"service of port {port}")
    lab.expect_downloads(4, 5)
    edit_config(lab, after, before)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of the reload back")


@check(families=False)
def console_capture(lab):
    victim = f"{lab.folder}/victim"
    with open(victim, "w") as file:
        file.write("nothing to do with captures")
    result = lab.weirctl("capture", "start", "drop", "file", victim)
    expect_equal(result.returncode, 1, "status of a capture over another file")
    expect("is no capture" in result.stderr, result.stderr)
    expect_equal(os.path.getsize(victim), 27, "bytes of the other file")
    os.mkfifo(f"{lab.folder}/fifo")
    expect_equal(lab.weirctl("capture", "start", "drop", "file", f"{lab.folder}/fifo").returncode, 1,
                 "status of a capture into a pipe")
    open(f"{lab.folder}/drop.pcapng", "w").close()  # an empty one may be written over
    for what, port in (("outside", 80), ("drop", 1)):
        path = f"{lab.folder}/{what}.pcapng"
        result = lab.weirctl("capture", "start", what, "file", path, "count", "20")
        expect_equal(result.returncode, 0, f"capture start: {result.stdout}{result.stderr}")
        if what == "outside":
            lab.expect_downloads(4, 5)
        else:
            generator = lab.start_flood("ack", 4, 0.2, rate=1000, port=port)
            generator.wait(5)
        lab.weirctl("capture", "stop")
        with open(path, "rb") as file:
            data = file.read()
        expect_equal(lab.weirctl("capture", "start", what, "file", path).returncode, 0, "again")
        lab.weirctl("capture", "stop")
        expect(data[:4] == b"\x0a\x0d\x0d\x0a" and len(data) > 1000, f"{what}: {len(data)} bytes")
    expect(b"bad_cookie" in data or b"no_flow" in data, "the reason is in the capture of drops")


@check(families=False)
def console_batch(lab):
    path = f"{lab.folder}/commands"
    with open(path, "w") as file:
        file.write("show status # and more\n\n  # nothing\nshow drop\nbogus\nshow worker\n")
    result = lab.weirctl("-f", path)
    expect_equal(result.returncode, 2, "status")
    expect("forwarding" in result.stdout and "unexplained" in result.stdout, result.stdout)
    expect("busy_ratio" not in result.stdout, "it went on after the error")
    expect_equal(result.stderr.splitlines()[:2],
                 [f"{path}:5: error: unknown word `bogus'", "  bogus"], "the error's place")
    result = lab.weirctl("-j", "-f", path)
    expect_equal((result.returncode, result.stderr), (2, f"{path}:5: error: bogus\n"), "with -j")


def tell(lab, *commands):
    """Sends commands to the console in one write and leaves without listening."""
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{lab.runtime}/console.sock")
        client.sendall(b"".join(json.dumps({"command": one}).encode() + b"\n" for one in commands))


@check(families=False)
def console_rude_clients(lab):
    """They must not use up the places of those who listen."""
    for _ in range(100):
        try:
            tell(lab, "show drop", "show flow limit 0")
        except (BrokenPipeError, ConnectionResetError):
            pass  # told that there are too many at the moment
    until(lambda: lab.run("pop-a", f"{BUILD}/weirctl", "-s", f"{lab.runtime}/console.sock", "show",
                          "status").returncode == 0, 5, "the console answers")


@check(families=False)
def console_most_clients(lab):
    """64 at once; one more is told so, and whoever leaves makes room."""
    clients = [socket.socket(socket.AF_UNIX) for _ in range(64)]
    for client in clients:
        client.connect(f"{lab.runtime}/console.sock")
        client.sendall(json.dumps({"command": "show status"}).encode() + b"\n")
        expect("forwarding" in client.recv(1 << 16).decode(), "an answer")
    with socket.socket(socket.AF_UNIX) as late:
        late.connect(f"{lab.runtime}/console.sock")
        expect("64 clients are connected" in late.recv(1 << 16).decode(), "it is told so")
    for client in clients:
        client.close()
    until(lambda: lab.run("pop-a", f"{BUILD}/weirctl", "-s", f"{lab.runtime}/console.sock", "show",
                          "status").returncode == 0, 5, "room for the next one")


@check(families=False)
def console_start_during_reload(lab):
    tell(lab, "reload", "start")
    until(lambda: lab.show("status")["state"] == "forwarding", 5, "it forwards after the reload")


@check(families=False)
def console_terminal(lab):
    """TAB completes, the answer comes, quit leaves with status 0."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.update(TERM="vt100", HOME=lab.folder)
        os.execv(f"{BUILD}/weirctl", ["weirctl", "-s", f"{lab.runtime}/console.sock"])
    text = b""

    def wait_for(word):
        nonlocal text
        end = time.monotonic() + 5
        while word not in text and time.monotonic() < end:
            if select.select([terminal], [], [], 0.1)[0]:
                with contextlib.suppress(OSError):
                    text += os.read(terminal, 4096)
        expect(word in text, f"no {word!r} in {text!r}")

    wait_for(b">")
    os.write(terminal, b"show stat\t\r")
    wait_for(b"forwarding")
    os.write(terminal, b"quit\r")
    end, done = time.monotonic() + 5, (0, 0)
    while done[0] == 0 and time.monotonic() < end:
        done = os.waitpid(pid, os.WNOHANG)
        time.sleep(0.02)
    os.close(terminal)
    if done[0] == 0:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    expect_equal(done, (pid, 0), "quit")


main(prepare)
