#!/usr/bin/python3
# Two PoPs, mode msyn: clients reach the servers through pop-a, and hear them through pop-b.
# Proves: M2, M5, M6, M7, M8, M9.
# limit: quick 60 full 1200
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
import transfers  # noqa: E402,I001 (the order is that of the checks)
import floods  # noqa: E402
import conversations  # noqa: E402
import sync_link  # noqa: E402,F401
from labtest import *  # noqa: E402,F403

QUICK = """
    http_v4 http_v6
""".split()


def prepare(lab):
    lab.up("msyn", topology="asym", sets=[*transfers.SETS, *conversations.SETS,
                                                 f"flows.capacity={floods.CAPACITY}"])
    transfers.prepare_transfers(lab)
    floods.prepare_floods(lab)


main(prepare, quick=QUICK)
