#!/usr/bin/python3
# Real clients and servers through the SYN proxy: short connections, keep-alive, large transfers,
# many at once, iperf3, loss, reordering, ping.
# Proves: P1, P2, P3, P4 (one node), B4.
# limit: quick 60 full 900
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
import transfers  # noqa: E402
from labtest import *  # noqa: E402,F403


def prepare(lab):
    lab.up("proxy", sets=transfers.SETS)
    transfers.prepare_transfers(lab)


main(prepare)
