// What answers to SYNs have in common (syn.c). Nobody else includes this but internal.h.
#pragma once

#include "cookie/keyring.h"
#include "pkt/answer.h"
#include "service/service.h"

#include <stdbool.h>
#include <stdint.h>

// What answers of the same terms differ in but for their numbers.
struct syn_shape {
	uint16_t options; // enum option_bit: offered, and answered
	uint16_t window;
	uint16_t mss;	// offered
	uint8_t wscale; // offered; OPTIONS_WSCALE_NONE where that is not answered
	bool ecn;
};

// What the answers to the SYNs of one service, family and port have in common in one call (syn.c).
struct syn_terms {
	const struct service *service; // NULL: nothing is known yet
	const struct epoch_keys *keys; // NULL: no answer can be made
	const struct profile *profile;
	uint16_t family;  // VIEW_IP4 or VIEW_IP6
	uint16_t options; // enum option_bit: answered to who offers them
	uint16_t mss;	  // announced
	uint8_t port;
	bool shaped;		// `shape` is one
	struct syn_shape shape; // of the SYN before, and what follows from it
	uint32_t cookie_options;
	struct answer_form form; // of IPv4
};
