#!/usr/bin/python3
# Two PoPs, mode proxy: clients reach the servers through pop-a, and hear them through pop-b.
# Proves: P1, P2, P3, P4, P5, M5.
# limit: quick 60 full 1200
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "support"))
import transfers  # noqa: E402,I001 (the order is that of the checks)
import crossing  # noqa: E402
import floods  # noqa: E402
import conversations  # noqa: E402
import sync_link  # noqa: E402,F401
from labtest import *  # noqa: E402,F403

QUICK = """
    http_v4 http_v6 keepalive_v6 parallel_v4 big_download_v6 big_upload_v4 options_in_use_v4
    loss_v4 reorder_v6 path_mtu_v4 own_syns_of_transfers
    ping_v4 ping_v6 ping_from_inside_v6 udp_from_outside_v4 udp_kept_in_v6 udp_to_a_closed_port_v4
    udp_from_inside_v6 tcp_from_inside_v4 http_from_inside_v6
    syn_flood_v4 mixed_flood_v6 own_syns_beside_floods
    banner_v4 data_with_the_ack_v6 first_ack_lost_v4 half_close_by_client_v6 half_close_by_server_v4
    reset_by_client_v4 reset_by_server_v6 idle_v4 time_wait_reuse_v6 server_down_v4 server_silent_v6
    server_refuses_v6 server_slow_v4 simultaneous_close_v6
    sync_loss sync_delay sync_reorder sync_cut long_segments_before_their_state waits
    other_node_killed
""".split()


def prepare(lab):
    lab.transitory_s = 3
    lab.up("proxy", topology="asym", sets=[
        *transfers.SETS, *conversations.SETS, f"timeouts.transitory_s={lab.transitory_s}"])
    transfers.prepare_transfers(lab)
    floods.prepare_floods(lab)
    crossing.prepare_crossing(lab)


main(prepare, quick=QUICK)
