#include "weir/replay/fresh.h"

#include "flow/key.h"
#include "pkt/checksum.h"
#include "pkt/edit.h"
#include "pkt/options.h"
#include "pkt/quote.h"
#include "policy/policy.h"

#include <stdlib.h>
#include <string.h>

#define BITS_MIN4    (96 + 8) // counted in the 16-byte form
#define BITS_MIN6    32
#define LOOP_BITS    20	  // of the loop's number that go into an address at most
#define PORT_LOW     1024 // ports below mean something
#define PORT_BLOCK   1024
#define PORT_BLOCKS  63
#define IP4_CHECKSUM 10
#define IP4_SOURCE   12
#define IP6_SOURCE   8
#define QUERY_ID     4
#define TCP_SUM	     16
#define UDP_SUM	     6

static void take_prefix(struct fresh *fresh, const struct prefix *prefix)
{
	for (unsigned i = 0; i < fresh->prefix_count; i++)
		if (fresh->prefixes[i].bits == prefix->bits &&
			addr_equal(&fresh->prefixes[i].addr, &prefix->addr))
			return;
	fresh->prefixes[fresh->prefix_count++] = *prefix;
}

static size_t count_prefixes(const struct policy *policy)
{
	size_t count = 2 * (size_t)policy->row_count;

	for (unsigned i = 0; i < policy->service_count; i++)
		count += policy->services[i].to_count;
	return count;
}

static void take_policy(struct fresh *fresh, const struct policy *policy)
{
	for (unsigned i = 0; i < policy->row_count; i++) {
		take_prefix(fresh, &policy->rows[i].src);
		take_prefix(fresh, &policy->rows[i].dst);
	}
	for (unsigned i = 0; i < policy->service_count; i++)
		for (unsigned k = 0; k < policy->services[i].to_count; k++)
			take_prefix(fresh, &policy->services[i].to[k]);
}

int fresh_open(struct fresh *fresh, const struct policy *policy, const struct policy *other,
	const struct prefix *inside, unsigned inside_count)
{
	size_t most = count_prefixes(policy) + inside_count;

	*fresh = (struct fresh){0};
	if (other != NULL)
		most += count_prefixes(other);
	fresh->prefixes = calloc(most + 1, sizeof(*fresh->prefixes));
	if (fresh->prefixes == NULL)
		return 1;
	for (unsigned i = 0; i < inside_count; i++)
		take_prefix(fresh, &inside[i]);
	take_policy(fresh, policy);
	if (other != NULL)
		take_policy(fresh, other);
	return 0;
}

void fresh_close(struct fresh *fresh)
{
	free(fresh->prefixes);
	fresh->prefixes = NULL;
}

static unsigned common_bits(const struct addr *a, const struct addr *b)
{
	for (unsigned i = 0; i < ADDR_BYTES; i++)
		if (a->b[i] != b->b[i])
			return 8 * i + (unsigned)__builtin_clz((unsigned)(a->b[i] ^ b->b[i])) - 24;
	return 8 * ADDR_BYTES;
}

// 128 for what is no host's address: none of it may change.
static unsigned find_bits(const struct fresh *fresh, const struct addr *addr)
{
	unsigned bits = addr_is_ip4(addr) ? BITS_MIN4 : BITS_MIN6;
	uint8_t first = addr->b[12];

	if (addr_is_ip4(addr) ? first == 0 || first == 127 || first >= 224 : addr->b[0] == 0xff)
		return 128;
	for (unsigned i = 0; i < fresh->prefix_count; i++) {
		const struct prefix *prefix = &fresh->prefixes[i];
		unsigned common = common_bits(addr, &prefix->addr);
		unsigned needed = common >= prefix->bits ? prefix->bits : common + 1;

		if (needed > bits)
			bits = needed;
	}
	return bits;
}

static unsigned fixed_bits(struct fresh *fresh, const struct addr *addr)
{
	uint32_t low, middle;
	unsigned at;

	memcpy(&low, addr->b + 12, sizeof(low));
	memcpy(&middle, addr->b + 4, sizeof(middle));
	at = ((low ^ middle) * 0x9e3779b1u) % FRESH_CACHE;
	if (fresh->cache[at].bits == 0 || !addr_equal(&fresh->cache[at].addr, addr)) {
		fresh->cache[at].addr = *addr;
		fresh->cache[at].bits = (uint8_t)find_bits(fresh, addr);
	}
	return fresh->cache[at].bits;
}

// How many bits of the loop's number an address takes.
static unsigned loop_bits(unsigned fixed)
{
	unsigned free_bits = 128 - fixed;

	return free_bits < LOOP_BITS ? free_bits : LOOP_BITS;
}

// The loop's lowest bit changes the highest one that may.
static struct addr other_addr(const struct fresh *fresh, const struct addr *addr, unsigned fixed)
{
	struct addr other = *addr;

	for (unsigned i = 0; i < loop_bits(fixed); i++)
		if (fresh->loop >> i & 1)
			other.b[(fixed + i) / 8] ^= (uint8_t)(0x80 >> (fixed + i) % 8);
	return other;
}

static uint16_t other_port(const struct fresh *fresh, uint16_t port, unsigned fixed)
{
	uint32_t rounds = fresh->loop >> loop_bits(fixed);

	if (port < PORT_LOW)
		return port;
	return (uint16_t)(PORT_LOW + (port - PORT_LOW + rounds % PORT_BLOCKS * PORT_BLOCK) %
					     (PORT_BLOCK * PORT_BLOCKS));
}

// Of an identifier no value means anything.
static uint16_t other_id(struct fresh *fresh, uint16_t id, const struct addr *addr)
{
	return (uint16_t)(id + (fresh->loop >> loop_bits(fixed_bits(fresh, addr))));
}

// --- changes ---

// A word of the packet, and the checksums it is in (offsets; 0: none).
struct change {
	uint8_t *data;
	unsigned ip_sum;    // of the IPv4 header it stands in
	unsigned upper_sum; // of the upper layer, pseudo-header included
	unsigned outer_sum; // of the ICMP error that all of this is quoted in
	bool udp;
};

static void put(const struct change *change, unsigned at, uint16_t value)
{
	uint8_t *sum = change->data + change->outer_sum;
	uint16_t from = be16_get(change->data + at);

	if (change->outer_sum != 0)
		be16_put(sum, checksum_update16(be16_get(sum), from, value));
	be16_put(change->data + at, value);
}

static void mend(const struct change *change, unsigned sum_at, uint16_t from, uint16_t to, bool udp)
{
	uint16_t sum;

	if (sum_at == 0 || (udp && be16_get(change->data + sum_at) == 0))
		return; // a UDP checksum of 0 is none
	sum = checksum_update16(be16_get(change->data + sum_at), from, to);
	put(change, sum_at, udp && sum == 0 ? 0xffff : sum);
}

static void change_word(const struct change *change, unsigned at, uint16_t value, bool in_ip)
{
	uint16_t from = be16_get(change->data + at);

	put(change, at, value);
	if (in_ip)
		mend(change, change->ip_sum, from, value, false);
	mend(change, change->upper_sum, from, value, change->udp);
}

static void change_addr(const struct change *change, unsigned at, const struct addr *to)
{
	unsigned skip = addr_is_ip4(to) ? 12 : 0;

	for (unsigned i = skip; i < ADDR_BYTES; i += 2)
		change_word(change, at + i - skip, be16_get(to->b + i), true);
}

// An address at `l3` (source, or the one behind it) and a port at `port_at` (0: none).
static void change_end(struct fresh *fresh, const struct change *change, const struct addr *addr,
	unsigned addr_at, unsigned port_at)
{
	unsigned fixed = fixed_bits(fresh, addr);
	struct addr other = other_addr(fresh, addr, fixed);

	change_addr(change, addr_at, &other);
	if (port_at != 0)
		change_word(change, port_at,
			other_port(fresh, be16_get(change->data + port_at), fixed), false);
}

static unsigned address_at(unsigned l3, bool ip4, bool source)
{
	if (ip4)
		return l3 + IP4_SOURCE + (source ? 0 : 4);
	return l3 + IP6_SOURCE + (source ? 0 : 16);
}

// IPv4's ICMP has no pseudo-header: an address is not in its checksum, an identifier is.
static void change_packet(struct fresh *fresh, const struct view *view, bool source)
{
	bool ip4 = view->bits & VIEW_IP4, icmp = view->bits & VIEW_ICMP;
	const struct addr *addr = source ? &view->src : &view->dst;
	unsigned sum = view->bits & (VIEW_TCP | VIEW_UDP | VIEW_ICMP) ? view_checksum_at(view) : 0;
	struct change change = {.data = view->data,
		.ip_sum = ip4 ? view->l3 + IP4_CHECKSUM : 0,
		.upper_sum = ip4 && icmp ? 0 : sum,
		.udp = view->bits & VIEW_UDP};
	unsigned port = view->bits & (VIEW_TCP | VIEW_UDP) ? view->l4 + (source ? 0u : 2u) : 0;
	unsigned id = view->l4 + QUERY_ID;

	change_end(fresh, &change, addr, address_at(view->l3, ip4, source), port);
	if (!icmp || !view_is_icmp_query(view))
		return;
	change.upper_sum = sum;
	change_word(&change, id, other_id(fresh, be16_get(view->data + id), addr), false);
}

// What an error quotes went the other way.
static void change_quote(struct fresh *fresh, const struct view *view, bool source)
{
	struct quote quote;
	struct change change = {.data = view->data, .outer_sum = view_checksum_at(view)};
	unsigned port = 0;
	bool ip4 = view->bits & VIEW_IP4;

	if (quote_parse(&quote, view) != 0)
		return;
	change.ip_sum = ip4 ? quote.l3 + IP4_CHECKSUM : 0;
	change.udp = quote.protocol == PROTOCOL_UDP;
	if (quote.bits & QUOTE_CHECKSUM)
		change.upper_sum = quote.l4 + (change.udp ? UDP_SUM : TCP_SUM);
	if ((quote.bits & QUOTE_PORTS) &&
		(quote.protocol == PROTOCOL_TCP || quote.protocol == PROTOCOL_UDP))
		port = quote.l4 + (source ? 0u : 2u);
	change_end(fresh, &change, source ? &quote.src : &quote.dst,
		address_at(quote.l3, ip4, source), port);
}

static void move_timestamps(const struct fresh *fresh, struct view *view)
{
	struct options options;

	if (!(view->bits & VIEW_TCP) || options_parse(&options, view) != 0 ||
		!(options.bits & OPTION_TIMESTAMPS))
		return;
	edit_tcp32(view, options.timestamps_at, options.tsval + fresh->passed_ms);
	if (options.tsecr != 0)
		edit_tcp32(view, (uint16_t)(options.timestamps_at + 4),
			options.tsecr + fresh->passed_ms);
}

void fresh_apply(struct fresh *fresh, struct frame *frame)
{
	bool source = frame->port == SIDE_OUTSIDE;
	struct view view;

	if (fresh->loop == 0 || view_parse(&view, frame) != REASON_NONE || view.bits == 0)
		return;
	move_timestamps(fresh, &view);
	if (view_is_icmp_error(&view) && !(view.bits & VIEW_FRAGMENT))
		change_quote(fresh, &view, !source);
	change_packet(fresh, &view, source);
}
