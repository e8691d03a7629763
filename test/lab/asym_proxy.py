#!/usr/bin/python3
# Two PoPs, mode proxy: clients reach the servers through pop-a, and hear them through pop-b.
# Proves: P1, P2, P3, P4, P5, M5.
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
    http_v4 http_v6 big_download_v6 big_upload_v4 loss_v4 options_in_use_v4
    syn_flood_v4
""".split()


def prepare(lab):
    lab.up("proxy", topology="asym", sets=[*transfers.SETS, *conversations.SETS])
    transfers.prepare_transfers(lab)
    floods.prepare_floods(lab)


main(prepare, quick=QUICK)
