// MATCH and TUPLE of the console: `PROTOCOL SRC SPORT DST DPORT [in PORT]`, where a MATCH may say
// `any`. A tuple is a match in which everything is given.
#pragma once

#include "base/addr.h"
#include "cookie/tuple.h"

#include <stdbool.h>
#include <stdint.h>

#define MATCH_NAME_BYTES 64

struct match {
	uint8_t protocol; // IP protocol number, 0: any
	bool icmp;	  // the ICMP of the packet's family; protocol is 0
	struct prefix source;
	struct prefix destination;
	uint16_t source_port; // 0: any
	uint16_t destination_port;
	char in[MATCH_NAME_BYTES]; // port name, `outside` or `inside`; empty where not given
};

// Everything.
void match_init(struct match *match);

// "any", "tcp", "udp", "icmp" or a number 1..255 into match. 0 or -ERR_MALFORMED.
int match_parse_protocol(struct match *match, const char *text);

// "any" where `any` is allowed, or 0..65535. 0 or -ERR_MALFORMED, -ERR_RANGE.
int match_parse_port(uint16_t *out, const char *text, bool any_allowed);

// IP protocol number of a match whose addresses are known: `icmp` is resolved by their family.
uint8_t match_protocol(const struct match *match);

// True where a packet with this tuple fits. The reverse direction is the caller's second question.
bool match_tuple(const struct match *match, uint8_t protocol, const struct tuple *tuple);
