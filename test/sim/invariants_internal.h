// What the files of the invariants share.
#pragma once

#include "connection.h"
#include "invariants.h"

uint32_t node_bit(unsigned node); // 0: there is no such node
// The connection a record is of, NULL: nobody's.
struct connection *record_connection(struct sim *sim, const struct flow_record *record);
bool record_is_inside(const struct flow_record *record); // its client is
bool record_is_datagrams(const struct flow_record *record);
// Of the same incarnation and generation.
bool record_is_of(const struct told *told, const struct flow_record *record);
// Of the connection before the client began anew.
bool record_is_former(struct connection *c, const struct flow_record *record);
bool record_same_translation(const struct translation *a, const struct translation *b);
