#!/usr/bin/python3
# Two nodes on `asym`: they find each other, lose each other and find each other again; strangers are
# refused; keys and secrets change under traffic; the commands of the cluster.
# limit: quick 140 full 300
import os
import signal
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403

PATIENCE_S, TOLD_S = 10, 8
KEYS = "id max_id state view time_counter key_epoch peers opening"
PEER_KEYS = ("name id state rtt_us tx_bytes rx_bytes updates_sent updates_applied resent dirty "
             "refused")
OPENING_KEYS = ("synack_to_owner synack_from_finder shared wait_timeouts wait_us_p50 wait_us_p99")
# Of windows no kernel offers by itself.
SCALE = 12
OTHER = {"pop-a": "pop-b", "pop-b": "pop-a"}


def prepare(lab):
    lab.up("proxy", topology="asym")
    lab.serve_http()


def peer(lab, node):
    return lab.cluster(node)["peers"][0]


def console(lab, node, *words, status=0):
    result = lab.weirctl(*words, node=node)
    expect_equal(result.returncode, status,
                 f"status of {words} at {node} ({result.stdout} {result.stderr})")
    return result.stdout + result.stderr


def log_of(lab, node):
    with open(f"{lab.runtime_of(node)}/stderr.log") as file:
        return file.read().splitlines()


@check(families=False)
def both_become_active(lab):
    lab.await_active()
    for number, node in enumerate(OTHER):
        found = lab.cluster(node)
        for keys, where in ((KEYS, found), (PEER_KEYS, found["peers"][0]),
                            (OPENING_KEYS, found["opening"])):
            missing = set(keys.split()) - set(where)
            expect(not missing, f"show cluster lacks {missing}")
        expect_equal((found["id"], found["max_id"], found["peers"][0]["name"]),
                     (number, 15, OTHER[node]), node)
        expect_equal(found["key_epoch"], found["time_counter"] // 2, "epoch of the counter")
        expect_equal(lab.show("status", node=node)["state"], "forwarding", node)
    counters = [lab.cluster(node)["time_counter"] for node in OTHER]
    expect(abs(counters[0] - counters[1]) <= 1, f"counters {counters}")
    expect(all(counter > 1000 for counter in counters), f"counters {counters}")


@check
def connections_open_over_both(lab, family):
    """The way there leads through pop-a, the way back through pop-b."""
    before = lab.cluster("pop-b")["opening"]["synack_to_owner"]
    lab.expect_downloads(family, 20)
    expect(lab.cluster("pop-b")["opening"]["synack_to_owner"] >= before + 20,
           "SYN/ACKs went to their owner")
    expect(lab.cluster("pop-a")["opening"]["shared"] >= 20, "connections were shared")


@check(families=False)
def commands(lab):
    text = console(lab, "pop-a", "help", "cluster")
    expect("cluster rekey" in text and "cluster rotate" in text, text)
    text = console(lab, "pop-a", "help", "set", "cluster", "wait")
    expect("finder|all|none" in text and "until its next reload" in text, text)
    expect("pop-b" in console(lab, "pop-a", "show", "cluster"), "the peer in text")
    expect_equal(lab.show("cluster", "peer", "pop-b")["address"], "203.0.113.226", "address")
    expect("did you mean" in console(lab, "pop-a", "show", "cluster", "peer", "pop-c", status=2),
           "a hint for a peer that is not there")
    expect("finder" in console(lab, "pop-a", "set", "cluster", "wait", "finders", status=2),
           "a hint for a scope that is not there")
    generation = lab.show("status")["config_generation"]
    digest = lab.show("status")["config_sha256"]
    for scope in ("none", "all", "finder"):
        console(lab, "pop-a", "set", "cluster", "wait", scope)
        expect_equal(lab.cluster()["wait"], scope, "wait")
        expect(f'wait = "{scope}"' in console(lab, "pop-a", "show", "config"), "show config")
        lab.expect_downloads(4, 5)
    expect_equal(lab.show("status")["config_generation"], generation + 3, "generation")
    expect_equal(lab.show("status")["config_sha256"], digest, "digest of the file")
    console(lab, "pop-a", "reload")


@check(families=False)
def reload_refuses_what_needs_a_restart(lab):
    path = f"{lab.state}/pop-a.cfg"
    with open(path) as file:
        text = file.read()
    try:
        for old, new, named in (("detect_ms = 100", "detect_ms = 200", "cluster.detect_ms"),
                                ("udp_port = 47800", "udp_port = 47801", "cluster.udp_port"),
                                ("203.0.113.226", "203.0.113.227", "cluster.peers.pop-b.address")):
            expect(old in text, old)
            with open(path, "w") as file:
                file.write(text.replace(old, new, 1))
            expect(named in console(lab, "pop-a", "reload", status=1), f"{named} is named")
    finally:
        with open(path, "w") as file:
            file.write(text)
    console(lab, "pop-a", "reload")
    lab.await_active()


@check(families=False)
def p6_what_sharing_means_for_sessions(lab):
    """Proves: P6, what show cluster states."""
    row = lab.cluster("pop-b")["sessions"]
    expect(row["held_by"] == "owner and finder" and row["node_capacity"] > 0, f"{row}")
    try:
        restart_with(lab, "pop-b", "cluster.share=all")
        row = lab.cluster("pop-b")["sessions"]
        expect(row["held_by"] == "every node" and row["cluster_capacity"] == "that of one node", f"{row}")
        expect("that of one node" in console(lab, "pop-b", "show", "cluster"), "not in the text")
    finally:
        restart_with(lab, "pop-b")
    lab.await_active()


def memory_with_psk(pid, psk):
    """VmFlags of each mapping that holds the shared key's bytes."""
    found, flags = [], {}
    with open(f"/proc/{pid}/smaps") as file:
        for line in file:
            if "-" in line.split()[0] and ":" not in line.split()[0]:
                area = tuple(int(part, 16) for part in line.split()[0].split("-"))
                flags[area] = None if line.split()[1][0] == "r" else ()
            elif line.startswith("VmFlags:") and flags[area] is None:
                flags[area] = line.split()[1:]
    with open(f"/proc/{pid}/mem", "rb") as memory:
        for (start, end), seen in flags.items():
            if not seen or "io" in seen or "pf" in seen or end - start > 1 << 28:
                continue
            memory.seek(start)
            try:
                if psk in memory.read(end - start):
                    found.append(seen)
            except OSError:
                continue  # the kernel's own: vvar
    return found


@check(families=False)
def keys_are_in_no_core_dump(lab):
    with open(f"{lab.state}/psk") as file:
        psk = bytes.fromhex(file.read().split()[0])
    found = memory_with_psk(lab.pid(), psk)
    expect(found, "the key is nowhere")
    expect(all("dd" in flags for flags in found), f"{found}")


@check(families=False)
def rekey_and_rotate_under_traffic(lab):
    rekeys = lab.show("cluster", "peer", "pop-b")["rekeys"]
    generation = lab.cluster()["secret_generation"]
    refused = {node: sum(peer(lab, node)["refused"].values()) for node in OTHER}
    downloads = Background(lab.download_many, 4, size(400, 2000), 10, size(100, 200))
    for node in ("pop-a", "pop-b", "pop-a"):
        console(lab, node, "cluster", "rekey")
        rekeys += 1
        until(lambda: lab.show("cluster", "peer", "pop-b")["rekeys"] >= rekeys, PATIENCE_S,
              f"no new keys after `cluster rekey' at {node}")
    answer = json.loads(console(lab, "pop-b", "-j", "cluster", "rotate"))["data"]
    expect_equal((answer["secret_generation"], answer["peers"]), (generation + 1, 1), f"{answer}")
    expect(answer["from_epoch"] > lab.cluster()["key_epoch"], f"{answer}")
    expect(any("cluster rotate" in line for line in log_of(lab, "pop-b")), "the log tells of rotate")
    for node in OTHER:
        until(lambda n=node: lab.cluster(n)["secret_generation"] > generation, PATIENCE_S,
              f"{node} has no new secret")
    report = downloads.result(120)
    expect_equal((report["ok"], report["reasons"]), (size(400, 2000), {}), "downloads")
    for node in OTHER:
        expect_equal(sum(peer(lab, node)["refused"].values()), refused[node], f"refused by {node}")
    lab.await_active()


@check(families=False)
def cut_and_heal(lab):
    lab.command_lab("cut", "pop-a", "pop-b")
    try:
        for number, node in enumerate(OTHER):
            until(lambda n=node: peer(lab, n)["state"] == "down", PATIENCE_S,
                  f"{node} did not notice")
            expect_equal(lab.cluster(node)["view"], [number], "view")
            expect_equal(lab.cluster(node)["state"], "active", "state")
            expect_equal(lab.show("status", node=node)["state"], "forwarding", node)
            until(lambda n=node: "has not been heard for" in str(lab.show("status", node=n)["problems"]),
                  PATIENCE_S, f"{node} shows no problem")
        answer = json.loads(console(lab, "pop-a", "-j", "cluster", "rekey"))["data"]
        expect_equal((answer["peers"], answer["not_reached"]), (0, ["pop-b"]), "reached by rekey")
    finally:
        lab.command_lab("heal", "pop-a", "pop-b")
    lab.await_active()
    lab.expect_downloads(4, 10)


@check(families=False)
def much_to_tell(lab):
    """After a cut each node says all it has. What ended meanwhile has ended at both soon, however
    many flows there are, and although no packet keeps the workers awake."""
    if size("quick", "full") == "quick":
        raise Skip("takes tens of thousands of connections: --full")
    for family in (4, 6):
        lab.expect_downloads(family, 25000, parallel=50)
    pairs = [Pair(lab, family, 9700 + number * 2 + family) for family in (4, 6)
             for number in range(4)]
    lab.command_lab("cut", "pop-a", "pop-b")
    try:
        for node in OTHER:
            until(lambda n=node: peer(lab, n)["state"] == "down", PATIENCE_S,
                  f"{node} did not notice")
        for pair in pairs:
            pair.__exit__()
    finally:
        lab.command_lab("heal", "pop-a", "pop-b")
    lab.await_active()
    until(lambda: not any(lab.show("flow", "stats", node=node)["states"]["closing"]
                          for node in OTHER), TOLD_S, "connections that ended are still closing")


@check(families=False)
def cut_one_way(lab):
    lab.command_lab("cut", "pop-a", "pop-b", "--one-way")
    try:
        until(lambda: peer(lab, "pop-b")["state"] == "down", PATIENCE_S, "pop-b still hears")
        until(lambda: any("is heard, but does not hear this node" in one
                          for one in lab.show("status")["problems"]), PATIENCE_S,
              "pop-a, which is not heard, sees no problem")
    finally:
        lab.command_lab("heal", "pop-a", "pop-b", "--one-way")
    lab.await_active()


@check(families=False)
def impaired_sync_link(lab):
    lab.command_lab("impair", "sync:pop-a", "delay=20ms")
    try:
        until(lambda: peer(lab, "pop-b")["rtt_us"] >= 40000, PATIENCE_S,
              f"round trip {peer(lab, 'pop-b')['rtt_us']} us")
        lab.await_active()
        lab.command_lab("impair", "sync:pop-a", "loss=5%", "dup=20%")
        lab.await_active()
        # What the link doubled is known, and known to be no news.
        until(lambda: peer(lab, "pop-b")["refused"]["replayed"] > 0, PATIENCE_S, "no replay")
    finally:
        lab.command_lab("impair", "sync:pop-a", "off")
    lab.await_active()
    lab.expect_downloads(4, 10)


@check(families=False)
def restart(lab):
    lab.command_lab("kill", "pop-b")
    until(lambda: peer(lab, "pop-a")["state"] == "down", PATIENCE_S, "pop-a did not notice")
    lab.command_lab("start", "pop-b")
    lab.await_active()
    counters = [lab.cluster(node)["time_counter"] for node in OTHER]
    expect(abs(counters[0] - counters[1]) <= 1, f"counters {counters}")
    lab.expect_downloads(4, 10)


@check(families=False)
def orderly_end(lab):
    """A node that ends says goodbye: nobody waits for detect_ms, and the log says why."""
    os.kill(lab.pid("pop-b"), signal.SIGTERM)
    until(lambda: peer(lab, "pop-a")["state"] in ("draining", "down"), PATIENCE_S,
          "pop-a did not notice")
    until(lambda: any("weir ends" in line for line in log_of(lab, "pop-b")), PATIENCE_S,
          "pop-b does not end")
    until(lambda: "has left the cluster" in str(lab.show("status")["problems"]), PATIENCE_S,
          "pop-a does not know why pop-b is away")
    until(lambda: not os.path.exists(f"{lab.runtime_of('pop-b')}/console.sock"), PATIENCE_S,
          "the console's socket is still there")
    until(lambda: not os.path.exists(f"/proc/{lab.pid('pop-b')}"), PATIENCE_S, "a process is left")
    lab.command_lab("start", "pop-b")
    lab.await_active()


@contextlib.contextmanager
def with_sets(lab, node, *sets):
    """Meanwhile the node starts with these --set values behind those it had."""
    path = f"{lab.state}/{node}.sets"
    with open(path) as file:
        before = file.read()
    with open(path, "a") as file:
        file.write("".join(f"--set\n{one}\n" for one in sets))
    try:
        yield
    finally:
        with open(path, "w") as file:
            file.write(before)


def restart_with(lab, node, *sets):
    with with_sets(lab, node, *sets):
        lab.command_lab("kill", node)
        lab.command_lab("start", node)


def refused_join(lab, why, counter, *sets, both=False, at_pop_a=""):
    """pop-b, started with these values, and pop-a stay alone. Tried again and again, it is told once
    at each node, and one of them, or each, counts it, says why and shows the other as refused."""
    before = len(log_of(lab, "pop-a"))
    count = peer(lab, "pop-a")["refused"][counter]

    def refusals(node):
        lines = log_of(lab, node)[before if node == "pop-a" else 0:]
        return [line for line in lines if "is refused" in line]

    def counted():
        return max(peer(lab, "pop-a")["refused"][counter] - count,
                   peer(lab, "pop-b")["refused"][counter])
    try:
        restart_with(lab, "pop-b", *sets)
        until(lambda: counted() >= (1 if counter == "hello" else 3), PATIENCE_S, "not counted")
        until(lambda: any(why in line for node in OTHER for line in refusals(node)), PATIENCE_S,
              f"no line says {why!r}: {[refusals(node) for node in OTHER]}")
        if at_pop_a:
            until(lambda: any(at_pop_a in line for line in refusals("pop-a")), PATIENCE_S,
                  f"pop-a does not say {at_pop_a!r}: {refusals('pop-a')}")
        if both:
            for node in OTHER:
                until(lambda n=node: peer(lab, n)["state"] == "refused", PATIENCE_S,
                      f"state {peer(lab, node)['state']} at {node}")
                until(lambda n=node: any(why in line for line in refusals(n)), PATIENCE_S,
                      f"{node} does not say {why!r}: {refusals(node)}")
                row = lab.show("cluster", "peer", OTHER[node], node=node)
                expect(row["refused"][counter] > 0 and why in row["error"], f"{row}")
                text = console(lab, node, "show", "cluster")
                expect("refused" in text and "bad_auth" in text, text)
        for node in OTHER:
            expect(len(refusals(node)) <= 1, f"{len(refusals(node))} lines: {refusals(node)[:3]}")
            view = lab.cluster(node)["view"]
            expect_equal(view, [lab.cluster(node)["id"]], f"view of {node}")
            expect(peer(lab, node)["state"] != "active", f"{node} accepts the other")
    finally:
        lab.command_lab("kill", "pop-b")
        lab.command_lab("start", "pop-b")
    lab.await_active()


def error_of(lab, node):
    return lab.show("cluster", "peer", OTHER[node], node=node)["error"]


@check(families=False)
def who_never_hears_a_peer_says_so(lab):
    """pop-a speaks from another port than pop-b knows, and hears nothing at it: each founds a
    cluster of its own, and both say what is wrong, once."""
    with with_sets(lab, "pop-a", "cluster.udp_port=47801", "cluster.peers.pop-b.udp_port=47800"):
        for node in OTHER:
            lab.command_lab("kill", node)
        for node in OTHER:
            lab.command_lab("start", node)
    try:
        for number, node in enumerate(OTHER):
            text = f"peer {OTHER[node]} at 203.0.113.{226 - number}:47800 has not answered since the start ("
            expect_equal(peer(lab, node)["state"], "down", node)
            until(lambda n=node: error_of(lab, n), PATIENCE_S, f"{node} sees no error")
            expect(error_of(lab, node).startswith(text), error_of(lab, node))
            problems = lab.show("status", node=node)["problems"]
            expect(len(problems) == 1 and problems[0].startswith(text), f"{problems}")
            until(lambda n=node: any(text in line for line in log_of(lab, n)), PATIENCE_S,
                  f"no line of {node} says {text!r}")
            lines = log_of(lab, node)
            expect_equal(sum("a cluster of its own: no peer answered" in one for one in lines), 1,
                         f"{node} founded alone")
            expect_equal(sum(text in one for one in lines), 1, f"lines {text!r} of {node}")
            expect(not any("is refused" in one for one in lines), f"{node} was not refused")
        for node, cause in (("pop-a", "this node sends, and nothing comes back"),
                            ("pop-b", "its datagrams come from UDP port 47801, not 47800")):
            expect(f"): {cause}" in error_of(lab, node), error_of(lab, node))
        strange = "datagrams from 203.0.113.225:47801, which is no configured peer"
        expect_equal([sum(strange in one for one in log_of(lab, node)) for node in OTHER], [0, 1],
                     "lines about strangers")
    finally:
        restart_with(lab, "pop-a")
    lab.await_active()
    for node in OTHER:
        until(lambda n=node: error_of(lab, n) is None, PATIENCE_S, f"error of {node}")
        expect_equal(lab.show("status", node=node)["problems"], [], node)


@check(families=False)
def a_wrong_address_is_told_by_both(lab):
    """pop-b has another address than pop-a knows."""
    with with_sets(lab, "pop-b", "cluster.address=203.0.113.230/28"):
        for node in OTHER:
            lab.command_lab("kill", node)
        for node in OTHER:
            lab.command_lab("start", node)
    try:
        for node, cause in (("pop-a", "nobody has that address (no answer to ARP)"),
                            ("pop-b", "it looks for 203.0.113.226, this node's cluster.address "
                                      "is 203.0.113.230")):
            until(lambda n=node, c=cause: f"): {c}" in str(lab.show("status", node=n)["problems"]),
                  PATIENCE_S, f"{node} does not say why: {error_of(lab, node)}")
    finally:
        restart_with(lab, "pop-b")
    lab.await_active()


def profile_of(lab, node):
    return lab.show("service", node=node)["services"][0]["profile"]


@check(families=False)
def learnt_at_one_announced_by_both(lab):
    """pop-b sees the server's new window scale; both announce it from the same epoch on."""
    if size("quick", "full") == "quick":
        raise Skip("takes two cookie epochs: --full")
    buffers = lab.output("server", "sysctl", "-n", "net.ipv4.tcp_rmem").split()
    route = lab.output("edge", "ip", "route", "show", "198.51.100.0/24").split()
    seen = set()

    def is_learnt():
        lab.expect_downloads(4, 5)
        before = lab.cluster()["key_epoch"]
        both = [profile_of(lab, node) for node in OTHER]
        if before == lab.cluster("pop-b")["key_epoch"] == lab.cluster()["key_epoch"]:
            expect_equal(both[0], both[1], f"profiles in epoch {before}")
            seen.add(both[0]["wscale"])
        return SCALE in seen

    lab.output("edge", "ip", "route", "replace", "198.51.100.0/24", "via", "203.0.113.34")
    lab.output("server", "sysctl", "-w",
               f"net.ipv4.tcp_rmem={buffers[0]} {buffers[1]} {32768 << SCALE}")
    try:
        until(is_learnt, 100, f"scale {SCALE} is not announced: {seen}")
        expect(seen - {SCALE}, "what was announced before was seen, too")
        # SYNs enter at pop-a again, with the scale that pop-b learnt.
        lab.output("edge", "ip", "route", "replace", *route)
        lab.expect_downloads(4, 20)
    finally:
        lab.output("edge", "ip", "route", "replace", *route)
        lab.output("server", "sysctl", "-w", f"net.ipv4.tcp_rmem={' '.join(buffers)}")


@check(families=False)
def another_key_is_refused(lab):
    with open(os.open(f"{lab.state}/other-psk", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("00" * 32)
    refused_join(lab, "has another pre-shared key", "bad_auth", "cluster.psk_file=other-psk",
                 both=True)


@check(families=False)
def reload_tells_of_another_key(lab):
    """It is not read, which nobody would know otherwise. The rest of a reload goes on."""
    path = f"{lab.state}/psk"
    with open(path) as file:
        text = file.read()
    note = f"cluster.psk_file: the content of {path} was changed: needs a restart"
    try:
        with open(path, "w") as file:
            file.write("00" * 32)
        for words in (["reload", "check"], ["reload"]):
            expect(note in console(lab, "pop-a", *words), f"{words} does not say it")
        expect_equal(sum(note in line for line in log_of(lab, "pop-a")), 1, "lines")
    finally:
        with open(path, "w") as file:
            file.write(text)
    expect("psk_file" not in console(lab, "pop-a", "reload"), "it is as it was, and is told")
    lab.await_active()


@check(families=False)
def check_opens_the_files_of_keys(lab):
    path = f"{lab.state}/pop-a.cfg"
    with open(path) as file:
        line = file.read().split("psk_file")[0].count("\n") + 1
    with open(os.open(f"{lab.state}/short-psk", os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
        file.write("0123")
    with open(os.open(f"{lab.state}/open-psk", os.O_CREAT | os.O_WRONLY, 0o644), "w") as file:
        file.write("00" * 32)

    def checked(text):
        other = f"{lab.state}/checked.cfg"
        with open(path) as source, open(other, "w") as file:
            file.write(source.read().replace('psk_file = "psk";', text))
        result = lab.run("pop-a", f"{BUILD}/weir", "check", "-c", other)
        return result.returncode, [one.removeprefix(f"{other}:") for one in
                                   result.stderr.splitlines() if "warning" not in one]

    expect_equal(checked('psk_file = "psk";'), (0, []), "the configuration as it is")
    for name, why in (("absent", "No such file"), ("short-psk", "is too short"),
                      ("open-psk", "must not be open to others")):
        status, errors = checked(f'psk_file = "{name}";')
        expect_equal((status, len(errors)), (1, 1), f"status and errors with {name}: {errors}")
        expect(errors[0].startswith(f"{line}: cluster.psk_file: ") and why in errors[0]
               and f"{lab.state}/{name}" in errors[0], errors[0])
    status, errors = checked('certificate_file = "psk";\nkey_file = "absent";\nca_file = "psk";')
    expect_equal((status, [one.split(": ")[:2] for one in errors]),
                 (1, [[f"{line + 1}", "cluster.key_file"]]), f"a key that is not there: {errors}")
    status, errors = checked('certificate_file = "psk";\nkey_file = "psk";\nca_file = "psk";')
    expect_equal((status, [one.split(": ")[:2] for one in errors]),
                 (1, [[f"{line}", "cluster.certificate_file"]]), f"no certificate: {errors}")


@check(families=False)
def services_that_differ(lab):
    """One node reloads another service: both say so until it is undone."""
    path = f"{lab.state}/pop-b.cfg"
    with open(path) as file:
        text = file.read()
    what = "service lab: ports/prefixes differ"

    def said(node):
        return [line for line in log_of(lab, node) if what in line]

    def told():
        return [(lab.show("cluster", "peer", other, node=node)["differs"] or "",
                 " ".join(lab.show("status", node=node)["problems"]))
                for node, other in OTHER.items()]
    try:
        with open(path, "w") as file:
            file.write(text.replace('ports = "1-65535"', 'ports = "1-65534"', 1))
        console(lab, "pop-b", "reload")
        until(lambda: all(differs == what and what in problems for differs, problems in told()),
              PATIENCE_S, "it is told at both")
        until(lambda: all(said(node) for node in OTHER), PATIENCE_S, "the logs say it")
    finally:
        with open(path, "w") as file:
            file.write(text)
    console(lab, "pop-b", "reload")
    until(lambda: told() == [("", "")] * 2, PATIENCE_S, "it is over at both")
    for node in OTHER:
        lines = said(node)
        expect(len(lines) == 1 and " warning " in lines[0] and OTHER[node] in lines[0],
               f"log of {node}: {lines}")


@check(families=False)
def peers_are_compared_by_name(lab):
    path = f"{lab.state}/pop-a.cfg"
    with open(path) as file:
        text = file.read()
    peers = 'peers = ( { name = "pop-b"; id = 1; address = "203.0.113.226"; } );'
    other = '{ name = "pop-z"; id = 7; address = "203.0.113.230"; }'
    expect(peers in text, "the peers of conf/pop-a.cfg")
    try:
        for changed, notes in (
                (text.replace("peers = (", f"peers = ( {other},"),
                 ["cluster.peers: peer pop-z was added: needs a restart"]),
                (text.replace(peers, f"peers = ( {other} );"),
                 ["cluster.peers: peer pop-b was removed: needs a restart",
                  "cluster.peers: peer pop-z was added: needs a restart"]),
                (text.replace('name = "pop-b"; id = 1;', 'name = "pop-b"; id = 3;'),
                 ["cluster.peers.pop-b.id: 1 -> 3 needs a restart"]),
                (text.split("cluster = {")[0] + text.split("copies = 1;\n};")[1],
                 ["the group cluster was removed: needs a restart"])):
            with open(path, "w") as file:
                file.write(changed)
            said = console(lab, "pop-a", "reload", "check", status=1)
            for note in notes:
                expect(note in said, f"no {note!r} in {said}")
            expect_equal(said.count("needs a restart"), len(notes), said)
    finally:
        with open(path, "w") as file:
            file.write(text)


@check(families=False)
def another_cluster_is_refused(lab):
    refused_join(lab, "belongs to another cluster than other", "bad_auth", "cluster.name=other",
                 at_pop_a="belongs to another cluster than lab")


@check(families=False)
def another_reason_of_a_refusal_is_told(lab):
    """pop-b comes back with one mistake, is gone, and comes back with another."""
    if size("quick", "full") == "quick":
        raise Skip("waits for the pace of such lines: --full")
    before = len(log_of(lab, "pop-a"))

    def told(why):
        return [line for line in log_of(lab, "pop-a")[before:] if f"is refused: {why}" in line]
    try:
        for sets, why in ((["cluster.max_id=31"], "has cluster.max_id = 31"),
                          (["cluster.max_id=63"], "has cluster.max_id = 63")):
            restart_with(lab, "pop-b", *sets)
            until(lambda w=why: told(w) and w in (error_of(lab, "pop-a") or ""), 20,
                  f"{why} is not told: {error_of(lab, 'pop-a')}")
            expect(any(why in one for one in lab.show("status")["problems"]), "problems")
        lab.command_lab("kill", "pop-b")
        until(lambda: "has not been heard" in (error_of(lab, "pop-a") or ""), PATIENCE_S, "error")
        expect_equal((len(told("has cluster.max_id")), told("the peer does not answer")), (2, []),
                     "lines")
    finally:
        lab.command_lab("start", "pop-b")
    lab.await_active()
    expect_equal(error_of(lab, "pop-a"), None, "error of an active peer")


@check(families=False)
def an_id_in_use_is_refused(lab):
    """pop-b believes to be what pop-a is."""
    refused_join(lab, "says its id is 0, which is configured as 1", "bad_auth",
                 "cluster.id=0", "cluster.peers.pop-a.id=1")


@check(families=False)
def an_id_that_is_not_expected(lab):
    """pop-a knows why; pop-b, which has the mistake, knows where to read it."""
    sends = "sends, but does not go on to agree on keys"
    try:
        restart_with(lab, "pop-b", "cluster.id=2")
        until(lambda: sends in (error_of(lab, "pop-b") or ""), PATIENCE_S, "pop-b does not know")
        expect("says its id is 2, which is configured as 1" in (error_of(lab, "pop-a") or ""),
               f"{error_of(lab, 'pop-a')}")
    finally:
        restart_with(lab, "pop-b")
    lab.await_active()


@check(families=False)
def another_highest_id_is_refused(lab):
    refused_join(lab, "has cluster.max_id = 31", "hello", "cluster.max_id=31")


@check(families=False)
def an_id_above_the_highest_is_refused(lab):
    """By the node's own check: it does not start."""
    with with_sets(lab, "pop-b", "cluster.id=16"):
        lab.command_lab("kill", "pop-b")
        result = lab.lab("start", "pop-b")
    expect_equal(result.returncode, 1, "status of the start")
    expect("cluster.id" in result.stderr and "max_id" in result.stderr, result.stderr)
    lab.command_lab("start", "pop-b")
    lab.await_active()


def make_certificate(lab, stem, identity, ca=None):
    """STEM.pem and STEM.key in the lab's folder; without a CA it is one."""
    path = f"{lab.state}/{stem}"
    extension = ["-CA", f"{ca}.pem", "-CAkey", f"{ca}.key", "-addext",
                 f"subjectAltName=URI:{identity}", "-addext",
                 "basicConstraints=critical,CA:FALSE"] if ca else []
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", f"/CN={stem}", *extension, "-keyout", f"{path}.key",
         "-out", f"{path}.pem"], text=True, stdin=subprocess.DEVNULL, capture_output=True)
    expect_equal(made.returncode, 0, f"openssl ({made.stderr.strip()})")
    return path


def proof(stem):
    """The values that make a node use this certificate, and no pre-shared key."""
    return ["cluster.psk_file=", f"cluster.certificate_file={stem}.pem",
            f"cluster.key_file={stem}.key", "cluster.ca_file=ca.pem"]


@check(families=False)
def certificates(lab):
    """In place of a pre-shared key; whom another CA vouches for, or who is somebody else, is
    refused."""
    ca, other = make_certificate(lab, "ca", ""), make_certificate(lab, "other-ca", "")
    for number, node in enumerate(OTHER):
        make_certificate(lab, node, f"weir:lab:{number}", ca)
    make_certificate(lab, "of-another-ca", "weir:lab:1", other)
    make_certificate(lab, "of-another-node", "weir:lab:2", ca)
    make_certificate(lab, "of-another-cluster", "weir:other:1", ca)
    try:
        with contextlib.ExitStack() as stack:
            for node in OTHER:
                stack.enter_context(with_sets(lab, node, *proof(node)))
            for node in OTHER:
                restart_with(lab, node)
            lab.await_active()
            for family in (4, 6):
                lab.expect_downloads(family, 20)
            console(lab, "pop-b", "cluster", "rekey")
            until(lambda: lab.show("cluster", "peer", "pop-b")["rekeys"] >= 1, PATIENCE_S,
                  "no new keys")
            refused_join(lab, "the peer's certificate is refused: it is signed by a CA that is not in "
                         "this node's cluster.ca_file", "bad_auth", *proof("of-another-ca"))
            for stem in size(["of-another-node"],
                             ["of-another-node", "of-another-cluster", "pop-a"]):
                refused_join(lab, 'certificate is not of "weir:lab:1"', "bad_auth", *proof(stem))
            if size("quick", "full") == "full":
                refused_join(lab, "give both the same", "bad_auth", "cluster.certificate_file=", "cluster.key_file=",
                             "cluster.ca_file=", "cluster.psk_file=psk")
    finally:
        for node in OTHER:
            restart_with(lab, node)
    lab.await_active()
    lab.expect_downloads(4, 10)


@check(families=False)
def a_socket_needs_its_address(lab):
    """A node does not start with transport = "socket" and an address the system does not have."""
    with with_sets(lab, "pop-b", "cluster.transport=socket", "cluster.address=198.51.100.99"):
        lab.command_lab("kill", "pop-b")
        result = lab.lab("start", "pop-b")
    try:
        expect_equal(result.returncode, 1, "status of the start")
        expect("cluster.address: 198.51.100.99 is on no interface" in result.stderr, result.stderr)
    finally:
        lab.command_lab("start", "pop-b")
    lab.await_active()


@check(families=False)
def sockets_of_the_system(lab):
    """The same over UDP sockets, on addresses the system owns."""
    addresses = {"pop-a": "198.51.100.21", "pop-b": "198.51.100.22"}
    try:
        for node in OTHER:
            restart_with(lab, node, "cluster.transport=socket",
                         f"cluster.address={addresses[node]}",
                         f"cluster.peers.{OTHER[node]}.address={addresses[OTHER[node]]}")
        lab.await_active()
        lab.expect_downloads(4, 20)
        # Strangers are counted and not listened to.
        expect_equal(lab.cluster()["transport"]["kind"], "socket", "transport")
        with lab.inside("server"):
            stranger = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        stranger.sendto(b"hello", (addresses["pop-a"], 47800))
        stranger.close()
        until(lambda: lab.cluster()["transport"]["foreign"] == 1, PATIENCE_S, "no stranger counted")
        until(lambda: any("is no configured peer" in line for line in log_of(lab, "pop-a")),
              PATIENCE_S, "the log does not tell of the stranger")
    finally:
        for node in OTHER:
            restart_with(lab, node)
    lab.await_active()


main(prepare, follow_ways=False)
