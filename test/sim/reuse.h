// A client begins anew with the ports of a connection that has ended, while the network still
// carries segments of that, the server may be in TIME-WAIT or not know that it ended, and nodes
// hold what they knew of it. Where and how the next one goes is another: through other nodes, with
// other numbers, options and bytes. Every one is judged like the first.
#pragma once

#include <stdbool.h>

struct connection;
struct sim;

// How often, when it is made.
void reuse_choose(struct sim *sim, struct connection *connection);
// Something happened to it: where it is over, EVENT_OPEN follows, perhaps.
void reuse_consider(struct sim *sim, struct connection *connection);
// EVENT_OPEN: the former one is judged, the client is closed, and the server expects the next.
// False while segments of the former one are under way: EVENT_OPEN comes again.
bool reuse_begin(struct sim *sim, struct connection *connection);
