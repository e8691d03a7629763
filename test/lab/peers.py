#!/usr/bin/python3
# Peers that do what peers do, through the SYN proxy: see support/conversations.py.
# Proves: P2, P4 (one node); never a hang.
# limit: quick 60 full 120
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
import conversations  # noqa: E402
from labtest import *  # noqa: E402,F403


def prepare(lab):
    lab.up("proxy", sets=conversations.SETS)


main(prepare)
