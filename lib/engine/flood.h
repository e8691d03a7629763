// SYNs that are like one before (flood.c). Nobody else includes this but internal.h.
#pragma once

#include "cookie/keyring.h"
#include "cookie/tuple.h"
#include "pkt/answer.h"
#include "pkt/stencil.h"
#include "rule/scope.h"
#include "service/service.h"

#include <stdbool.h>
#include <stdint.h>

#define FLOOD_KINDS 8

// SYNs of one cut, to one service, with the same options: all that their answers have in common.
struct flood_kind {
	struct stencil stencil;
	struct rule_scope scope;
	struct answer_form form;
	const struct service *service;
	uint32_t epoch;
	uint32_t cookie_options;
	uint16_t window;	// of `form`
	uint16_t timestamps_at; // of TSval in the SYN; 0: its answer has none
};

// Of one call.
#define FLOOD_BLOCKS (ENGINE_BATCH_MAX / SIPHASH_LANES)

struct flood {
	struct flood_kind kinds[FLOOD_KINDS];
	struct flood_mark {
		uint64_t about, to, to_covered; // its stencil's; without a kind about is 0
	} marks[FLOOD_KINDS];			// by which each kind is looked for
	unsigned next;				// whose place the next one takes
	uint64_t steps;		       // of learning: rows of the rules, prefixes of the services
	uint64_t learn_ns;	       // no earlier is another kind learnt
	const struct epoch_keys *keys; // of this call; NULL: no frame is taken
	struct flood_kind *kind_of[ENGINE_BATCH_MAX]; // of each frame, NULL: it is none
	unsigned taken, answered;		      // of them, in their order
	uint32_t taken_of[FLOOD_KINDS];		      // of each kind
	uint64_t words[FLOOD_BLOCKS][TUPLE_WORDS_IP4][SIPHASH_LANES]; // what their cookies hash
	uint64_t hashes[ENGINE_BATCH_MAX];
};
_Static_assert(FLOOD_BLOCKS % 2 == 0, "hashed two by two");
