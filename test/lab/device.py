#!/usr/bin/python3
# af_xdp, where the box sees frames as they were on the wire: traffic, fragments, and what it leaves
# on the interface when it ends or is killed.
# Proves: B4.
# limit: quick 60 full 120
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
from labtest import *  # noqa: E402,F403


def prepare(lab):
    lab.up("proxy", options=["--device", "af_xdp"])
    lab.serve_http()


def has_program(lab):
    return "prog/xdp" in lab.output("pop-a", "ip", "-d", "link", "show", "outside")


@check
def af_xdp_http(lab, family):
    lab.expect_downloads(family, size(300, 10000))


@check
def fragments_dropped(lab, family):
    before = lab.show("drop")["reasons"]["fragment"]
    lab.run("client", "ping", "-q", "-c", "3", "-i", "0.01", "-W", "0.2", "-s", "3000",
            SERVER[family])
    until(lambda: lab.show("drop")["reasons"]["fragment"] - before == 9, 2,
          "three echo requests of three fragments counted")


@check(families=False)
def program_replaced_after_kill(lab):
    lab.lab("kill", "pop-a")
    result = lab.lab("start", "pop-a")
    expect_equal(result.returncode, 0, f"status of start ({result.stderr})")
    lab.expect_downloads(4, 20)


@check(families=False)
def af_xdp_conservation(lab):
    lab.check_conservation()


@check(families=False)
def program_detached_at_exit(lab):
    expect(has_program(lab), "no program is attached: the test tests nothing")
    os.kill(lab.pid(), signal.SIGTERM)
    until(lambda: not has_program(lab), 5, "the program is detached")


main(prepare, conservation=False)
