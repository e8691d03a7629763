// What must be true when everything has healed and time is up: every connection has completed,
// byte-exactly, or ended for a reason that was seen; the nodes are one cluster with one secret;
// what they hold ends with them.
#pragma once

struct connection;
struct sim;

// One connection, whose client may now begin anew.
void outcome_connection(struct sim *sim, const struct connection *connection);
void outcome_check(struct sim *sim);
