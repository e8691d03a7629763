// Updates to be sent, without end: all flows are created, then each is changed, then each is
// closed, in an order that has nothing to do with that of creation.
#pragma once

#include "engine/message.h"

#include <stdbool.h>
#include <stdint.h>

enum phase { PHASE_CREATE, PHASE_CHANGE, PHASE_CLOSE, PHASE_COUNT };

struct form {
	const char *name;
	bool ip6;
	bool full;	 // of no service: nothing can be left out
	bool timestamps; // and window scaling are translated, as for most real clients
};

struct supply {
	const struct form *form;
	uint32_t flows; // a power of two
	uint32_t tick;	// of their incarnations
	uint16_t service;
	uint16_t from, to; // node ids
};

// Update `number` (below flows) of a phase.
void supply_write(
	const struct supply *supply, enum phase phase, uint32_t number, struct message *message);
