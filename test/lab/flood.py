#!/usr/bin/python3
# Floods from random sources at the highest rate the generator makes, while legitimate clients keep
# connecting: all succeed, the flood creates no state, memory stays, and what the server hears is
# what the box says it sent.
# Proves: P1; attacks 1 and 2 of the reliability page.
# limit: quick 60 full 900
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
import floods  # noqa: E402
from labtest import *  # noqa: E402,F403


def prepare(lab):
    # As the servers are, and as the box learns it within two cookie epochs.
    lab.up("proxy", sets=["services.lab.profile.timestamps=true"])
    lab.serve_http()
    lab.count_server_syns()
    floods.prepare_floods(lab)


main(prepare)
