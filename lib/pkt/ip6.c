#include "pkt/ip6.h"

#include "base/bytes.h"
#include "pkt/view.h"

enum {
	HOP_BY_HOP = 0,
	ROUTING = 43,
	FRAGMENT = 44,
	AUTHENTICATION = 51,
	DESTINATION = 60,
};

#define EXTENSION_BYTES_MIN 8

// ESP hides what follows and "no next header" has nothing behind it: both end the walk.
static bool is_extension(uint8_t type)
{
	return type == HOP_BY_HOP || type == ROUTING || type == FRAGMENT ||
	       type == AUTHENTICATION || type == DESTINATION;
}

static unsigned extension_bytes(uint8_t type, const uint8_t *header)
{
	if (type == FRAGMENT)
		return 8;
	if (type == AUTHENTICATION) // RFC 4302 2.2: in words of 4 bytes, minus 2
		return (header[1] + 2u) * 4;
	return (header[1] + 1u) * 8;
}

// A hop-by-hop header stands first (RFC 8200 4.1), and nobody needs two fragment headers: both are
// ways to make two parsers disagree.
static bool misplaced(const struct ip6_chain *chain, unsigned index)
{
	return (chain->next == HOP_BY_HOP && index > 0) ||
	       (chain->next == FRAGMENT && chain->fragment_at != 0);
}

enum ip6_walk ip6_walk(struct ip6_chain *chain, const uint8_t *data, uint16_t limit)
{
	for (unsigned index = 0; is_extension(chain->next); index++) {
		const uint8_t *header = data + chain->at;
		uint8_t type = chain->next;

		if (index == VIEW_EXTENSIONS_MAX || misplaced(chain, index))
			return IP6_WALK_BAD;
		if (limit - chain->at < EXTENSION_BYTES_MIN)
			return IP6_WALK_SHORT;
		if (extension_bytes(type, header) > (unsigned)(limit - chain->at))
			return IP6_WALK_SHORT;
		chain->at = (uint16_t)(chain->at + extension_bytes(type, header));
		chain->next = header[0];
		if (type == ROUTING && header[2] == 0)
			chain->source_route = true;
		if (type != FRAGMENT)
			continue;
		chain->fragment_at = chain->at;
		chain->fragment = be16_get(header + 2);
		if ((chain->fragment & IP6_FRAGMENT_OFFSET) != 0)
			break; // what follows is data of the middle
	}
	return IP6_WALK_WHOLE;
}
