#!/usr/bin/python3
# Two PoPs, mode track: clients reach the servers through pop-a, and hear them through pop-b. No
# cookie names the node that has the state.
# Proves: C1, C5.
# limit: quick 60 full 1200
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
import transfers  # noqa: E402,I001 (the order is that of the checks)
import crossing  # noqa: E402
import conversations  # noqa: E402
import sync_link  # noqa: E402,F401
from labtest import *  # noqa: E402,F403

QUICK = """
    http_v4 http_v6 keepalive_v6 parallel_v4 big_download_v6 big_upload_v4 options_in_use_v4
    loss_v4 reorder_v6 ping_v4 ping_v6 path_mtu_v6
    ping_from_outside_v4 ping_from_outside_v6 ping_from_inside_v4 ping_from_inside_v6
    udp_from_outside_v4 udp_from_outside_v6 udp_kept_in_v4 udp_kept_in_v6 udp_to_a_closed_port_v4
    udp_to_a_closed_port_v6 udp_from_inside_v4 udp_from_inside_v6 tcp_from_inside_v4
    tcp_from_inside_v6 http_from_inside_v4 http_from_inside_v6
    banner_v4 first_ack_lost_v6 half_close_by_client_v4 half_close_by_server_v6
    reset_by_client_v6 reset_by_server_v4 idle_v6 time_wait_reuse_v4 server_down_v6
    server_refuses_v4 server_slow_v6 simultaneous_close_v4
    sync_loss sync_delay sync_cut other_node_killed
""".split()


def prepare(lab):
    lab.transitory_s = 3
    lab.up("track", topology="asym", sets=[
        *transfers.SETS, *conversations.SETS, f"timeouts.transitory_s={lab.transitory_s}"])
    transfers.prepare_transfers(lab)
    crossing.prepare_crossing(lab)


main(prepare, quick=QUICK)
