#include "flow/key.h"

#include <string.h>

static enum side opposite(enum side side)
{
	return side == SIDE_OUTSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

// What identifies the ends of a packet that `sender` sent.
struct ends {
	const struct addr *src, *dst;
	uint16_t sport, dport;
	uint8_t protocol;
	enum side sender;
};

// In whole words, as the key is hashed and compared in a moment.
static void key_set(struct flow_key *key, const struct ends *ends)
{
	bool from_outside = ends->sender == SIDE_OUTSIDE;
	uint64_t outer_port = from_outside ? ends->sport : ends->dport;
	uint64_t inner_port = from_outside ? ends->dport : ends->sport;
	uint64_t rest = outer_port | inner_port << 16 | (uint64_t)ends->protocol << 32;

	key->outer = from_outside ? *ends->src : *ends->dst;
	key->inner = from_outside ? *ends->dst : *ends->src;
	memcpy(&key->outer_port, &rest, sizeof(rest));
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMP6;
}

void flow_key_from_view(struct flow_key *key, const struct view *view, enum side side)
{
	struct ends ends = {
		.src = &view->src, .dst = &view->dst, .protocol = view->protocol, .sender = side};

	if (view->bits & (VIEW_TCP | VIEW_UDP)) {
		ends.sport = view->sport;
		ends.dport = view->dport;
	} else if (view->bits & VIEW_ICMP && view_is_icmp_query(view)) {
		ends.sport = view->icmp_id;
		ends.dport = view->icmp_id;
	}
	key_set(key, &ends);
}

void flow_key_from_quote(struct flow_key *key, const struct quote *quote, enum side side)
{
	struct ends ends = {.src = &quote->src,
		.dst = &quote->dst,
		.protocol = quote->protocol,
		.sender = opposite(side)};

	if (quote->bits & QUOTE_PORTS) {
		bool icmp = is_icmp(quote->protocol);

		ends.sport = icmp ? quote->icmp_id : quote->sport;
		ends.dport = icmp ? quote->icmp_id : quote->dport;
	}
	key_set(key, &ends);
}

void flow_key_tuple(struct tuple *out, const struct flow_key *key, enum side side)
{
	bool from_outside = side == SIDE_OUTSIDE;

	*out = (struct tuple){
		.src = from_outside ? key->outer : key->inner,
		.dst = from_outside ? key->inner : key->outer,
		.sport = from_outside ? key->outer_port : key->inner_port,
		.dport = from_outside ? key->inner_port : key->outer_port,
	};
}

static uint64_t word_at(const struct flow_key *key, unsigned at)
{
	uint64_t word;

	memcpy(&word, (const uint8_t *)key + at, sizeof(word));
	return word;
}

bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	uint64_t differing = 0;

	// Without a branch for each word: nearly all that are compared are equal.
	for (unsigned at = 0; at < sizeof(*a); at += 8)
		differing |= word_at(a, at) ^ word_at(b, at);
	return differing == 0;
}

static uint64_t without_top(uint64_t hash)
{
	return (hash & 0xffffffffffffu) | (hash >> 16 & 0xffff) << 48;
}

uint64_t flow_key_hash(struct siphash_key hash_key, const struct flow_key *key)
{
	return without_top(siphash13(hash_key, key, sizeof(*key)));
}

void flow_key_hashes(struct siphash_key hash_key, const struct flow_key *const keys[FLOW_KEYS_MAX],
	unsigned count, uint64_t hashes[FLOW_KEYS_MAX])
{
	const void *lanes[FLOW_KEYS_MAX];
	uint64_t all[FLOW_KEYS_MAX];

	if (count == 1) { // half the price of all lanes
		hashes[0] = flow_key_hash(hash_key, keys[0]);
		return;
	}
	for (unsigned i = 0; i < FLOW_KEYS_MAX; i++)
		lanes[i] = keys[i < count ? i : 0]; // what is asked for twice costs nothing
	siphash13_lanes(hash_key, lanes, sizeof(*keys[0]), all);
	for (unsigned i = 0; i < count; i++)
		hashes[i] = without_top(all[i]);
}
