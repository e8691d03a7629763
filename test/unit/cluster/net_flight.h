// Private to net.c.
#pragma once

#include "net.h"

// Lost where there are NET_FLIGHTS_MAX.
void flight_start(struct net *net, const struct net_flight *flight);
// Takes the earliest one; there is one.
struct net_flight flight_end(struct net *net);
