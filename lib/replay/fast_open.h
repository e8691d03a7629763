// Data in a SYN (RFC 7413): the box does not take it, but the captured server may have. Then the
// captured client did not send it again, and has to now.
#pragma once

#include "replay/connections.h"
#include "replay/segment.h"

enum fast_open {
	FAST_OPEN_WAIT, // not known yet whether it is needed
	FAST_OPEN_NOT,
	FAST_OPEN_NOW,
};

// `segment` is the captured SYN with data.
enum fast_open fast_open_decide(const struct connection *connection, const struct segment *segment);

// Makes the SYN the first data segment as the captured client would have sent it: it is rewritten
// for this run like any other then.
void fast_open_make(const struct connection *connection, struct segment *segment);
