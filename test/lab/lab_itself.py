#!/usr/bin/python3
# scripts/lab does what its interface says: exit statuses, links that lose, duplicate and delay,
# a killed node that starts again, and nothing left behind.
# limit: quick 30 full 30
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403


def prepare(lab):
    lab.up("bypass")


def ping(lab, family, count=100):
    text = lab.run("client", "ping", "-q", "-c", str(count), "-i", "0.002", "-W", "0.3",
                   SERVER[family]).stdout
    received = int(re.search(r"(\d+) received", text).group(1))
    twice = re.search(r"\+(\d+) duplicates", text)
    times = re.search(r"rtt min/avg/max/mdev = ([\d.]+)/", text)
    return received, int(twice.group(1)) if twice else 0, float(times.group(1)) if times else 0


@check(families=False)
def exec_status(lab):
    expect_equal(lab.lab("exec", "client", "--", "sh", "-c", "exit 7").returncode, 7, "status")
    expect_equal(lab.lab("exec", "nowhere", "--", "true").returncode, 2, "unknown host")


@check(families=False)
def refusals(lab):
    for words in (["up", "ring"], ["cut", "pop-a", "pop-b"],
                  ["heal", "pop-a", "pop-b"], ["cut", "pop-a", "pop-a"], ["cut", "pop-a"],
                  ["impair", "nothing", "off"], ["impair", "sync:pop-b", "off"],
                  ["impair", "client", "loss=many"], ["unknown"], []):
        result = lab.lab(*words)
        expect_equal(result.returncode, 2, f"status of lab {' '.join(words)}")
        expect(result.stderr, f"lab {' '.join(words)} says nothing")
    expect_equal(ping(lab, 4, 5)[0], 5, "answers: the lab still stands")


@check
def impair_loss(lab, family):
    for link in ("client", "server", "edge:pop-a", "core:pop-a")[:4 if family == 4 else 1]:
        lab.impair(link, "loss=30%")
        received = ping(lab, family)[0]
        lab.impair(link, "off")
        expect(20 <= received <= 80, f"{link}: {received} of 100 came back through 30 % loss twice")
        expect_equal(ping(lab, family, 10)[0], 10, f"answers over {link} after `off'")


@check
def impair_dup(lab, family):
    lab.impair("client", "dup=50%")
    received, twice, _ = ping(lab, family)
    lab.impair("client", "off")
    expect(received == 100 and twice >= 50, f"{received} answers and {twice} duplicates")


@check
def impair_delay(lab, family):
    lab.impair("client", "delay=15ms")
    received, _, fastest = ping(lab, family, 20)
    lab.impair("client", "off")
    expect(received == 20 and 30 <= fastest < 60, f"{received} answers, the fastest {fastest} ms")


@check(families=False)
def kill_and_start(lab):
    lab.lab("kill", "pop-a")
    expect_equal(ping(lab, 4, 5)[0], 0, "answers without a node")
    expect_equal(lab.lab("kill", "pop-a").returncode, 0, "status of a second kill")
    result = lab.lab("start", "pop-a")
    expect_equal(result.returncode, 0, f"status of start ({result.stderr})")
    for family in (4, 6):
        until(lambda f=family: ping(lab, f, 3)[0] == 3, 5, "answers after the start")


def runs(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as file:
            return file.read() != ""  # a zombie has none
    except FileNotFoundError:
        return False


@check(families=False)
def down_leaves_nothing(lab):
    pid = lab.pid()
    stray = lab.start("client", "sleep", "60")
    for _ in range(2):
        expect_equal(lab.lab("down").returncode, 0, "status of down")
    expect(stray.poll() is not None, "a process of the lab survived")
    names = [name for name in os.listdir("/run/netns") if name.startswith(f"{lab.name}-")]
    expect_equal(names, [], "namespaces")
    expect(not runs(pid), "the node still runs")
    for path in (lab.state, lab.runtime):
        expect(not os.path.exists(path), f"{path} is still there")


main(prepare, conservation=False)
