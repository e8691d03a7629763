#!/usr/bin/python3
# Reload under load: rules come and go, few (searched one by one) and many (compiled), while
# connections open, carry data and stay. None fails, none is reset, and what was open stays open; a
# file with a mistake changes nothing.
# Proves: C7, B4.
# limit: quick 40 full 120
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403

RELOADS = 20
UNRELATED = (0, 1, 30, 3, 200)  # rules before those that matter: 16 rows are the most for a list
COUNT_RESETS = """
table inet resets {
    counter rst { }
    chain arrived {
        type filter hook prerouting priority raw;
        tcp flags & rst == rst counter name rst
    }
}
"""


def prepare(lab):
    # A fixed profile: no probe that learns what the server can, and is reset.
    lab.up("proxy", sets=["services.lab.profile.timestamps=true"])
    lab.serve_http()
    lab.path = f"{lab.state}/pop-a.cfg"
    with open(lab.path) as file:
        lab.text = file.read()
    for host in ("client", "server"):
        lab.output(host, "nft", "-f", "-", text=COUNT_RESETS)


def resets(lab):
    return [one["counter"]["packets"] for host in ("client", "server") for one in
            json.loads(lab.output(host, "nft", "-j", "list", "counter", "inet", "resets",
                                  "rst"))["nftables"] if "counter" in one]


def write(lab, unrelated, text=None):
    rules = "".join(f'{{ name = "other{i}"; to = [ "203.0.113.{i}/32", "2001:db8:de::{i:x}/128" ];'
                    f' protocol = "{"tcp" if i % 2 else "udp"}"; ports = "{i + 1}";'
                    f' action = "deny"; }},\n' for i in range(unrelated))
    with open(lab.path, "w") as file:
        file.write((text or lab.text).replace("rules = (\n", f"rules = (\n{rules}"))


class Open:
    """A connection that lives through everything."""

    def __init__(self, lab, family, port):
        self.listener = lab.listen(family, port)
        self.client = lab.connect(family, port)
        self.server = self.listener.accept()[0]
        self.server.settimeout(15)

    def echo(self):
        for one, other in ((self.client, self.server), (self.server, self.client)):
            one.sendall(b"alive")
            expect_equal(receive_exactly(other, 5), b"alive", "what arrived")

    def close(self):
        for one in (self.client, self.server, self.listener):
            one.close()


def identity(lab, family):
    """What must not change of the flows that stay."""
    flows = lab.show("flow", "tcp", "any", "any", SERVER[family], "9600")["flows"]
    return sorted((flow["client_port"], flow["state"], flow["mode"], flow["service"], flow["d"],
                   flow["generation"]) for flow in flows)


def times_compiled(lab):
    with open(f"{lab.runtime}/stderr.log") as file:
        return file.read().count("the rules are compiled")


def check_reloads(lab, family, count):
    before, hits = lab.show("status")["config_generation"], resets(lab)
    lasting = Open(lab, family, 9600)
    lasting.echo()
    flows = identity(lab, family)
    expect_equal([flow[1] for flow in flows], ["established"], "states")
    load = Background(lab.download_many, family, count, 20, size(600, 1000))
    compiled = times_compiled(lab)
    for turn in range(RELOADS):
        created = lab.flows_created()
        unrelated = UNRELATED[turn % len(UNRELATED)]
        write(lab, unrelated)
        result = lab.weirctl("reload")
        expect_equal(result.returncode, 0, f"status of reload {turn}: {result.stdout}")
        expect_equal(len(lab.show("rule", "hits")["rules"]), unrelated + 4, "rules in force")
        lasting.echo()
        until(lambda: lab.flows_created() >= created + 10, 5, "connections open after the reload")
    expect(load.is_alive(), "the load ended before the reloads: the test tests too little")
    report = load.result()
    expect_equal((report["ok"], report["reasons"]), (count, {}), "downloads")
    expect_equal(lab.show("status")["config_generation"], before + RELOADS, "generation")
    expect_equal(times_compiled(lab) - compiled, RELOADS * 2 // len(UNRELATED), "compilations")
    lasting.echo()
    expect_equal(identity(lab, family), flows, "flows that were open before")
    expect_equal(resets(lab), hits, "resets that reached client and server")
    lasting.close()


@check
def reload_under_load(lab, family):
    check_reloads(lab, family, size(800, 6000))


@check
def mistake_under_load(lab, family):
    """Twenty files with a mistake each: told, refused, and nothing is different."""
    write(lab, 30)
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    before, hits = lab.show("status"), resets(lab)
    rules = [rule["name"] for rule in lab.show("rule", "hits")["rules"]]
    lasting = Open(lab, family, 9600)
    flows = identity(lab, family)
    count = size(200, 2000)
    load = Background(lab.download_many, family, count, 20, size(600, 1000))
    for turn in range(RELOADS):
        good, bad = (('"servers"', '"other3"'), ('action = "allow"', 'action = "alow"'),
                     ("198.51.100.0/24", "198.51.100.1/24"), ("ports = (", "ports = ((")
                     )[turn % 4]
        write(lab, 30, lab.text.replace(good, bad, 1))
        expect_equal(lab.weirctl("reload").returncode, 1, f"status of bad reload {turn}")
        lasting.echo()
    report = load.result()
    expect_equal((report["ok"], report["reasons"]), (count, {}), "downloads")
    after = lab.show("status")
    for key in ("config_generation", "config_sha256", "state"):
        expect_equal(after[key], before[key], key)
    expect_equal([rule["name"] for rule in lab.show("rule", "hits")["rules"]], rules, "rules")
    expect_equal(identity(lab, family), flows, "flows that were open before")
    expect_equal(resets(lab), hits, "resets that reached client and server")
    lasting.close()


@check(families=False)
def reload_takes_effect(lab):
    """What the reloads above did not touch, one can: the test would see a rule that denies."""
    write(lab, 30, lab.text.replace('action = "allow"', 'action = "deny"', 1))
    expect_equal(lab.weirctl("reload").returncode, 0, "status of reload")
    try:
        lab.connect(4, 80, timeout=0.5).close()
    except TimeoutError:
        pass
    else:
        raise AssertionError("a denied connection was opened")
    finally:
        write(lab, 0)
        os.kill(lab.pid(), signal.SIGHUP)  # the other way to ask for it
    until(lambda: lab.show("rule", "hits")["rules"][0]["action"] == "allow", 5, "SIGHUP reloads")
    lab.expect_downloads(4, 20)


main(prepare)
