// New flows from an old capture (--fresh): in every further loop the ends outside are other hosts,
// which rules and services judge the same way.
//
// An address outside is changed in its high bits, below what any prefix of the policy (or --inside)
// tells apart, and within its /8 (IPv4) or /32 (IPv6): so it stays what it was to every rule, and
// two hosts stay two. High bits, because hosts of one capture differ in the low ones: a loop does
// not come upon the flows of the one before it. Where these bits run out, the ports outside (from
// 1024 up) and ICMP identifiers move on as well. Servers, what is not IP, multicast and malformed
// packets stay as they are; the answers to a changed address, and errors that quote it, follow.
//
// TCP timestamps of both ends move on by the time that has passed. Checksums follow every change by
// its difference, so that a wrong one stays wrong.
#pragma once

#include "base/addr.h"
#include "pkt/frame.h"

#include <stdint.h>

#define FRESH_CACHE 1024

struct fresh {
	struct prefix *prefixes; // where anything is told apart
	unsigned prefix_count;
	uint32_t loop;	    // from 0; the first one is the capture as it is
	uint32_t passed_ms; // of the capture's time, since the first loop began
	struct {
		struct addr addr;
		uint8_t bits; // what is behind them may change; 0: not known yet
	} cache[FRESH_CACHE];
};

struct policy;

// `other` is the policy of a second node, NULL: there is none. 0, or 1 where there is no memory.
int fresh_open(struct fresh *fresh, const struct policy *policy, const struct policy *other,
	const struct prefix *inside, unsigned inside_count);
void fresh_close(struct fresh *fresh);

// Changes one frame in place; frame->port says which side it comes from.
void fresh_apply(struct fresh *fresh, struct frame *frame);
