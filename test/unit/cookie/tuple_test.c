// Proves: M3 (what the keyed hash is over).
#include "fixture.h"
#include "packet.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

static void ip4_is_one_block(void **state)
{
	const uint8_t expected[16] = {
		192, 0, 2, 10, 198, 51, 100, 10, 0x9c, 0x40, 0, 80, 0xde, 0xad, 0xbe, 0xef};
	struct tuple tuple = fixture_tuple(4);
	uint8_t bytes[TUPLE_BYTES_MAX];

	(void)state;
	assert_int_equal(tuple_bytes(bytes, &tuple, 0xdeadbeef), sizeof(expected));
	assert_memory_equal(bytes, expected, sizeof(expected));
	assert_true(tuple_is_ip4(&tuple));
}

static void ip6_has_whole_addresses(void **state)
{
	const uint8_t rest[8] = {0x9c, 0x40, 0, 80, 0, 0, 0, 1};
	struct tuple tuple = fixture_tuple(6);
	uint8_t bytes[TUPLE_BYTES_MAX];

	(void)state;
	assert_int_equal(tuple_bytes(bytes, &tuple, 1), 40);
	assert_memory_equal(bytes, tuple.src.b, 16);
	assert_memory_equal(bytes + 16, tuple.dst.b, 16);
	assert_memory_equal(bytes + 32, rest, sizeof(rest));
	assert_false(tuple_is_ip4(&tuple));
	// One mapped address does not make an IPv4 tuple: the other would lose twelve bytes.
	tuple.src = fixture_tuple(4).src;
	assert_int_equal(tuple_bytes(bytes, &tuple, 1), 40);
}

static void hash_depends_on_every_field(void **state)
{
	const struct siphash_key key = {{1, 2}};

	(void)state;
	for
		FAMILIES(family)
		{
			const struct tuple tuple = fixture_tuple(family);
			const uint64_t hash = tuple_hash(key, &tuple, 5);
			struct tuple other[5] = {tuple, tuple, tuple, tuple, tuple};

			other[0].src.b[15] ^= 1;
			other[1].dst.b[15] ^= 1;
			other[2].sport ^= 1;
			other[3].dport ^= 1;
			other[4].src = tuple.dst; // turned round
			other[4].dst = tuple.src;
			for (int i = 0; i < 5; i++)
				assert_true(tuple_hash(key, &other[i], 5) != hash);
			assert_true(tuple_hash(key, &tuple, 6) != hash);
			assert_true(tuple_hash((struct siphash_key){{1, 3}}, &tuple, 5) != hash);
			assert_true(tuple_hash(key, &tuple, 5) == hash);
		}
}

static void many_at_once_are_as_one_by_one(void **state)
{
	const struct siphash_key key = {{3, 4}};

	(void)state;
	for
		FAMILIES(family)
		{
			struct tuple_lanes lanes;

			tuple_lanes_init(&lanes, family == 4);
			for (unsigned count = 1; count <= TUPLES_MAX; count++) {
				uint64_t hashes[TUPLES_MAX];
				struct tuple tuple = fixture_tuple(family);

				while (lanes.count < count) {
					unsigned at = lanes.count;
					uint8_t bytes[TUPLE_BYTES_MAX];

					tuple.sport = (uint16_t)(1000 + at);
					tuple_bytes(bytes, &tuple, 0xfffffffe + at);
					if (at + 2 <= count)
						tuple_lanes_add_two(&lanes, bytes, 0xfffffffd + at);
					else
						tuple_lanes_add(&lanes, bytes);
				}
				assert_int_equal(lanes.count, count);
				tuple_lanes_hash(key, &lanes, hashes);
				assert_int_equal(lanes.count, 0);
				for (unsigned i = 0; i < count; i++) {
					unsigned at = i & ~1u;

					tuple.sport = (uint16_t)(1000 + at);
					assert_true(hashes[i] == tuple_hash(key, &tuple,
									 0xfffffffe + at - i % 2));
				}
			}
		}
}

// The bytes a segment has in its frame are those that are hashed.
static void lie_in_the_frame(void **state)
{
	(void)state;
	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		for (unsigned odd = 0; odd < 2; odd++) {
			const struct packet packet = {.ip6 = ip6,
				.client_port = 0x1234,
				.seq = 0x89abcdef,
				.ip_options = {"\1\1\1\1", odd ? 4 : 0},
				.extensions = {"\0", odd ? 1 : 0},
				.flags = TCP_SYN};
			uint8_t room[PACKET_ROOM_BYTES], bytes[TUPLE_BYTES_MAX];
			struct frame frame = packet_build(room, &packet);
			struct view view;
			struct tuple tuple;

			assert_int_equal(view_parse(&view, &frame), REASON_NONE);
			if (odd) {
				assert_null(view_tuple_bytes(&view));
				continue;
			}
			tuple = (struct tuple){view.src, view.dst, view.sport, view.dport};
			assert_int_equal(tuple_bytes(bytes, &tuple, view.seq), ip6 ? 40 : 16);
			assert_non_null(view_tuple_bytes(&view));
			assert_memory_equal(view_tuple_bytes(&view), bytes, ip6 ? 40 : 16);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_at_once_are_as_one_by_one),
		cmocka_unit_test(lie_in_the_frame),
		cmocka_unit_test(ip4_is_one_block),
		cmocka_unit_test(ip6_has_whole_addresses),
		cmocka_unit_test(hash_depends_on_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
