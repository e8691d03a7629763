// Both directions of a flow, and what ICMP quotes of it, make one key.
#include "base/check.h"
#include "flow/flow.h"
#include "flow/key.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

static const struct siphash_key hash_key = {{0x0706050403020100, 0x0f0e0d0c0b0a0908}};

static struct addr address(const char *text)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, text), 0);
	return addr;
}

static struct view tcp_view(const char *src, uint16_t sport, const char *dst, uint16_t dport)
{
	return (struct view){.bits = VIEW_IP4 | VIEW_TCP,
		.protocol = PROTOCOL_TCP,
		.sport = sport,
		.dport = dport,
		.src = address(src),
		.dst = address(dst),
		.icmp_id = 99};
}

static void both_directions_make_one_key(void **state)
{
	struct view there = tcp_view("192.0.2.10", 40000, "198.51.100.10", 80);
	struct view back = tcp_view("198.51.100.10", 80, "192.0.2.10", 40000);
	struct addr client = address("192.0.2.10");
	struct flow_key a, b;

	(void)state;
	flow_key_from_view(&a, &there, SIDE_OUTSIDE);
	flow_key_from_view(&b, &back, SIDE_INSIDE);
	assert_true(flow_key_equal(&a, &b));
	assert_true(flow_key_hash(hash_key, &a) == flow_key_hash(hash_key, &b));
	assert_true(addr_equal(&a.outer, &client));
	assert_int_equal(a.outer_port, 40000);
	assert_int_equal(a.inner_port, 80);
	assert_int_equal(a.protocol, PROTOCOL_TCP);
	assert_int_equal(a.zero[0] | a.zero[1] | a.zero[2], 0);
}

static void every_part_tells_flows_apart(void **state)
{
	struct view view = tcp_view("2001:db8:1::10", 40000, "2001:db8:2::10", 80);
	struct flow_key key, others[6];

	(void)state;
	flow_key_from_view(&key, &view, SIDE_OUTSIDE);
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		others[i] = key;
	others[0].outer.b[15] ^= 1;
	others[1].inner.b[0] ^= 1;
	others[2].outer_port ^= 1;
	others[3].inner_port ^= 1;
	others[4].protocol = PROTOCOL_UDP;
	flow_key_from_view(&others[5], &view, SIDE_INSIDE); // the same packet from the other side
	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		assert_false(flow_key_equal(&key, &others[i]));
		assert_true(flow_key_hash(hash_key, &key) != flow_key_hash(hash_key, &others[i]));
	}
}

static void hash_is_keyed(void **state)
{
	static const struct siphash_key other = {{1, 2}};
	struct view view = tcp_view("192.0.2.10", 40000, "198.51.100.10", 80);
	struct flow_key key;

	(void)state;
	flow_key_from_view(&key, &view, SIDE_OUTSIDE);
	assert_true(flow_key_hash(hash_key, &key) != flow_key_hash(other, &key));
}

static void icmp_queries_have_their_identifier(void **state)
{
	struct view request = {.bits = VIEW_IP4 | VIEW_ICMP,
		.protocol = PROTOCOL_ICMP,
		.icmp_type = 8,
		.icmp_id = 0x1234,
		.sport = 1,
		.dport = 2,
		.src = address("192.0.2.10"),
		.dst = address("198.51.100.10")};
	struct view reply = request;
	struct flow_key a, b;

	(void)state;
	reply.icmp_type = 0;
	reply.src = request.dst;
	reply.dst = request.src;
	flow_key_from_view(&a, &request, SIDE_OUTSIDE);
	flow_key_from_view(&b, &reply, SIDE_INSIDE);
	assert_true(flow_key_equal(&a, &b));
	assert_int_equal(a.outer_port, 0x1234);
	assert_int_equal(a.inner_port, 0x1234);
}

// Whatever stands where ports would be in another protocol or a later fragment.
static void no_ports_without_their_bit(void **state)
{
	struct view view = tcp_view("192.0.2.10", 40000, "198.51.100.10", 80);
	struct flow_key key;

	(void)state;
	view.bits = VIEW_IP4 | VIEW_FRAGMENT;
	flow_key_from_view(&key, &view, SIDE_OUTSIDE);
	assert_int_equal(key.outer_port, 0);
	assert_int_equal(key.inner_port, 0);
}

// An error arrives from where the quoted packet went to.
static void quote_makes_the_key_of_its_flow(void **state)
{
	struct view view = tcp_view("192.0.2.10", 40000, "198.51.100.10", 80);
	struct quote quote = {.bits = QUOTE_PORTS | QUOTE_SEQ,
		.protocol = PROTOCOL_TCP,
		.sport = 40000,
		.dport = 80,
		.src = view.src,
		.dst = view.dst};
	struct flow_key flow, quoted, wrong;

	(void)state;
	flow_key_from_view(&flow, &view, SIDE_OUTSIDE);
	flow_key_from_quote(&quoted, &quote, SIDE_INSIDE);
	assert_true(flow_key_equal(&flow, &quoted));
	flow_key_from_quote(&wrong, &quote, SIDE_OUTSIDE);
	assert_false(flow_key_equal(&flow, &wrong));
}

static void quoted_query_has_its_identifier(void **state)
{
	struct view view = {.bits = VIEW_IP6 | VIEW_ICMP,
		.protocol = PROTOCOL_ICMP6,
		.icmp_type = 128,
		.icmp_id = 7,
		.src = address("2001:db8:2::10"),
		.dst = address("2001:db8:1::10")};
	struct quote quote = {.bits = QUOTE_PORTS,
		.protocol = PROTOCOL_ICMP6,
		.icmp_id = 7,
		.sport = 0x8000,
		.dport = 0xffff,
		.src = view.src,
		.dst = view.dst};
	struct flow_key flow, quoted;

	(void)state;
	flow_key_from_view(&flow, &view, SIDE_INSIDE);
	flow_key_from_quote(&quoted, &quote, SIDE_OUTSIDE);
	assert_true(flow_key_equal(&flow, &quoted));
}

static void tuple_is_the_senders(void **state)
{
	struct view view = tcp_view("192.0.2.10", 40000, "198.51.100.10", 80);
	struct flow_key key;
	struct tuple tuple;

	(void)state;
	flow_key_from_view(&key, &view, SIDE_OUTSIDE);
	flow_key_tuple(&tuple, &key, SIDE_OUTSIDE);
	assert_true(addr_equal(&tuple.src, &view.src));
	assert_true(addr_equal(&tuple.dst, &view.dst));
	assert_int_equal(tuple.sport, 40000);
	assert_int_equal(tuple.dport, 80);
	flow_key_tuple(&tuple, &key, SIDE_INSIDE);
	assert_true(addr_equal(&tuple.src, &view.dst));
	assert_true(addr_equal(&tuple.dst, &view.src));
	assert_int_equal(tuple.sport, 80);
	assert_int_equal(tuple.dport, 40000);
}

// 2^16 flows that differ in one port only: each worker gets its share within 5 %, and within one
// worker the low bits, which choose the bucket, are as even.
static void workers_share_evenly(void **state)
{
	(void)state;
	for (unsigned workers = 1; workers <= 16; workers++) {
		struct view view = tcp_view("192.0.2.10", 0, "198.51.100.10", 80);
		unsigned count[16] = {0}, odd[16] = {0};
		unsigned share = 65536 / workers;

		for (unsigned port = 0; port < 65536; port++) {
			struct flow_key key;
			uint64_t hash;
			unsigned worker;

			view.sport = (uint16_t)port;
			flow_key_from_view(&key, &view, SIDE_OUTSIDE);
			hash = flow_key_hash(hash_key, &key);
			worker = flow_worker(hash, workers);
			assert_in_range(worker, 0, workers - 1);
			count[worker]++;
			odd[worker] += hash & 1;
		}
		for (unsigned w = 0; w < workers; w++) {
			assert_in_range(count[w], share - share / 20, share + share / 20);
			assert_in_range(odd[w], share / 2 - share / 20, share / 2 + share / 20);
		}
	}
	assert_int_equal(flow_worker(0, 3), 0);
	assert_int_equal(flow_worker(UINT64_MAX, 3), 2);
}

// What a digest keeps is enough to find the worker and the buckets, whatever the incarnation and
// however many workers.
static void digest_leads_to_the_flow(void **state)
{
	struct view view = tcp_view("192.0.2.10", 0, "198.51.100.10", 80);

	(void)state;
	for (unsigned port = 0; port < 65536; port++) {
		struct flow_key key;
		uint64_t hash, found;

		view.sport = (uint16_t)port;
		flow_key_from_view(&key, &view, SIDE_OUTSIDE);
		hash = flow_key_hash(hash_key, &key);
		found = flow_digest_hash(flow_digest(hash, port * 0x01000193u));
		assert_int_equal((uint32_t)found, (uint32_t)hash);
		assert_int_equal(found >> 48, hash >> 48);
		for (unsigned workers = 1; workers <= 16; workers++)
			assert_int_equal(flow_worker(found, workers), flow_worker(hash, workers));
	}
	// The worst hashes: a share ends between them.
	assert_int_equal(flow_worker(0x5555ffff00000000, 3), flow_worker(0x5555000000000000, 3));
}

static void digest_tells_incarnations_apart(void **state)
{
	uint64_t hash = 0x89abcdef0123456f;
	uint64_t seen[64];

	(void)state;
	assert_true(flow_digest(hash, 0) == 0xcdef0123456f);
	for (uint32_t i = 0; i < ARRAY_LEN(seen); i++) {
		// Neighbouring ticks and ISNs, as a port that is used again has them.
		seen[i] = flow_digest(hash, (1000 + i / 8) << 12 | (i % 8) << 4);
		assert_true(seen[i] >> 48 == 0);
		assert_int_equal((uint32_t)seen[i], (uint32_t)hash);
		for (uint32_t j = 0; j < i; j++)
			assert_true(seen[i] != seen[j]);
	}
}

static void directions_and_mode_names(void **state)
{
	struct flow flow = {.bits = 0};

	(void)state;
	assert_int_equal(flow_direction(&flow, SIDE_OUTSIDE), TO_SERVER);
	assert_int_equal(flow_direction(&flow, SIDE_INSIDE), TO_CLIENT);
	flow.bits = FLOW_CLIENT_INSIDE;
	assert_int_equal(flow_direction(&flow, SIDE_OUTSIDE), TO_CLIENT);
	assert_int_equal(flow_direction(&flow, SIDE_INSIDE), TO_SERVER);
	assert_string_equal(flow_mode_name(MODE_PROXY), "proxy");
	assert_string_equal(flow_mode_name(MODE_MSYN), "msyn");
	assert_string_equal(flow_mode_name(MODE_TRACK), "track");
	assert_string_equal(flow_mode_name(MODE_BYPASS), "bypass");
	assert_null(flow_mode_name((enum flow_mode)4));
}

static void several_at_once(void **state)
{
	struct flow_key keys[FLOW_KEYS_MAX];
	const struct flow_key *pointers[FLOW_KEYS_MAX];

	(void)state;
	for (unsigned i = 0; i < FLOW_KEYS_MAX; i++) {
		keys[i] = (struct flow_key){.outer_port = (uint16_t)(1000 + i), .inner_port = 80};
		pointers[i] = &keys[i];
	}
	for (unsigned count = 1; count <= FLOW_KEYS_MAX; count++) {
		uint64_t hashes[FLOW_KEYS_MAX] = {0};

		flow_key_hashes(hash_key, pointers, count, hashes);
		for (unsigned i = 0; i < FLOW_KEYS_MAX; i++)
			assert_true(
				hashes[i] == (i < count ? flow_key_hash(hash_key, &keys[i]) : 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_directions_make_one_key),
		cmocka_unit_test(every_part_tells_flows_apart),
		cmocka_unit_test(hash_is_keyed),
		cmocka_unit_test(icmp_queries_have_their_identifier),
		cmocka_unit_test(no_ports_without_their_bit),
		cmocka_unit_test(quote_makes_the_key_of_its_flow),
		cmocka_unit_test(quoted_query_has_its_identifier),
		cmocka_unit_test(tuple_is_the_senders),
		cmocka_unit_test(workers_share_evenly),
		cmocka_unit_test(digest_leads_to_the_flow),
		cmocka_unit_test(digest_tells_incarnations_apart),
		cmocka_unit_test(directions_and_mode_names),
		cmocka_unit_test(several_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
