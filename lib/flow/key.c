#include "flow/key.h"

#include <string.h>

static enum side opposite(enum side side)
{
	return side == SIDE_OUTSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

// Key of a packet that `sender` sent.
static void key_set(struct flow_key *key, const struct tuple *t, uint8_t protocol, enum side sender)
{
	bool from_outside = sender == SIDE_OUTSIDE;

	*key = (struct flow_key){
		.outer = from_outside ? t->src : t->dst,
		.inner = from_outside ? t->dst : t->src,
		.outer_port = from_outside ? t->sport : t->dport,
		.inner_port = from_outside ? t->dport : t->sport,
		.protocol = protocol,
	};
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == PROTOCOL_ICMP || protocol == PROTOCOL_ICMP6;
}

void flow_key_from_view(struct flow_key *key, const struct view *view, enum side side)
{
	struct tuple t = {.src = view->src, .dst = view->dst};

	if (view->bits & (VIEW_TCP | VIEW_UDP)) {
		t.sport = view->sport;
		t.dport = view->dport;
	} else if (view->bits & VIEW_ICMP && view_is_icmp_query(view)) {
		t.sport = view->icmp_id;
		t.dport = view->icmp_id;
	}
	key_set(key, &t, view->protocol, side);
}

void flow_key_from_quote(struct flow_key *key, const struct quote *quote, enum side side)
{
	struct tuple t = {.src = quote->src, .dst = quote->dst};

	if (quote->bits & QUOTE_PORTS) {
		bool icmp = is_icmp(quote->protocol);

		t.sport = icmp ? quote->icmp_id : quote->sport;
		t.dport = icmp ? quote->icmp_id : quote->dport;
	}
	key_set(key, &t, quote->protocol, opposite(side));
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

bool flow_key_equal(const struct flow_key *a, const struct flow_key *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
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

	for (unsigned i = 0; i < FLOW_KEYS_MAX; i++)
		lanes[i] = keys[i < count ? i : 0]; // what is asked for twice costs nothing
	siphash13_lanes(hash_key, lanes, sizeof(*keys[0]), all);
	for (unsigned i = 0; i < count; i++)
		hashes[i] = without_top(all[i]);
}
