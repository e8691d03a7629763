// Defects found in other implementations, by the row of TCP.md section 10: t10_N is row N of its
// table. Rows 13 (state behind the packet it belongs to) and 15 (a slow peer) need two nodes.
// Proves: P1, P2, P5, M8.
#include "harness.h"

#include "base/bytes.h"
#include "base/check.h"
#include "base/error.h"
#include "cookie/keyring.h"
#include "pkt/craft.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MSS	     "\x02\x04\x05\xb4"
#define SACK_OK	     "\x04\x02"
#define TS	     "\x08\x0a\x00\x00\x10\x00\x00\x00\x00\x00"
#define WSCALE7	     "\x01\x03\x03\x07"
#define ISN_C	     1000u
#define ISN_S	     5000u
#define HOP_BY_HOP   "\x00"
#define FRAGMENT     "\x2c"
#define VLAN	     0x8100
#define QINQ	     0x88a8
#define SECRET_BYTES 16 // 128 bits
#define TICK_NS	     16000000000ULL
#define NONE                                                                                       \
	(struct bytes)                                                                             \
	{                                                                                          \
		0                                                                                  \
	}

static struct node *new_node(void)
{
	struct node *node = node_make();

	node_go(node);
	return node;
}

static struct packet plain_syn(struct bytes options)
{
	return (struct packet){.flags = TCP_SYN, .seq = ISN_C, .window = 1000, .options = options};
}

// Answers a proxied handshake and leaves it established.
static void establish(struct node *node, struct handshake *handshake, const struct packet *syn,
	struct bytes options)
{
	handshake_open(node, handshake, syn);
	assert_int_equal(node->sent_count, 1);
	handshake_answer(node, handshake, ISN_S, options);
	assert_int_equal(node_state(node, TCP_ESTABLISHED), 1);
}

static struct packet from_server(const struct handshake *handshake)
{
	struct packet packet = handshake->syn;

	packet.from_server = true;
	packet.flags = TCP_ACK;
	packet.seq = ISN_S + 1;
	packet.ack = handshake->syn.seq + 1;
	packet.window = 100;
	packet.options = NONE;
	return packet;
}

static void next_tick(struct node *node)
{
	node->now_ns += TICK_NS;
	node->tick++;
	node_epoch(node, node->tick / KEYRING_TICKS_PER_EPOCH + 1);
}

// The keys do not depend on one word of the secret, and each epoch has its own.
static void t10_1_keys(void **state)
{
	uint8_t secret[SECRET_BYTES] = {0};
	struct epoch_keys first, other;

	(void)state;
	assert_int_equal(keyring_derive(&first, secret, sizeof(secret) - 1, 7), -ERR_RANGE);
	assert_int_equal(keyring_derive(&first, secret, sizeof(secret), 7), 0);
	for (unsigned bit = 0; bit < 8 * sizeof(secret); bit++) {
		secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
		assert_int_equal(keyring_derive(&other, secret, sizeof(secret), 7), 0);
		assert_memory_not_equal(&first.cookie, &other.cookie, sizeof(first.cookie));
		secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(keyring_derive(&other, secret, sizeof(secret), 8), 0);
	assert_memory_not_equal(&first.cookie, &other.cookie, sizeof(first.cookie));
}

// A cookie is good in its own epoch and for one period more, not for ever.
static void t10_1_rotation(void **state)
{
	(void)state;
	for (unsigned ticks = 0; ticks <= 5; ticks++) {
		struct node *node = new_node();
		struct packet packet = plain_syn((struct bytes)BYTES(MSS));

		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_REPLY);
		packet.flags = TCP_ACK;
		packet.seq++;
		packet.ack = node->sent[0].view.seq + 1;
		packet.options = NONE;
		for (unsigned i = 0; i < ticks; i++)
			next_tick(node);
		// An epoch is two ticks: the previous key holds for the first half of the next.
		assert_int_equal(node_offer(node, OUTSIDE, &packet),
			ticks <= 2 ? VERDICT_CONSUME : VERDICT_DROP);
		assert_true(node_end(node));
	}
}

// The SYN/ACK is made anew: nothing of the SYN comes back in it but what it answers.
static void t10_2_nothing_is_reflected(void **state)
{
	static const struct bytes kinds[] = {BYTES("\x1e\x0c\x00\x81\x01\x02\x03\x04\x05\x06\x07"
						   "\x08"),
		BYTES("\x22\x0a\x01\x02\x03\x04\x05\x06\x07\x08"), BYTES("\xfe\x04\xe2\xd4"),
		BYTES("\x13\x12"
		      "0123456789abcdef"),
		BYTES("\x1d\x10\x01\x02"
		      "0123456789ab"),
		BYTES("\x1c\x04\x00\x10"), BYTES("\xfd\x03\x00"), BYTES("\x0e\x03\x00")};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		struct node *node = new_node();
		uint8_t options[40] = {2, 4, 5, 0xb4};
		struct packet syn =
			plain_syn((struct bytes){options, (uint16_t)(4 + kinds[i].len)});
		const struct sent *synack = &node->sent[0];

		memcpy(options + 4, kinds[i].data, kinds[i].len);
		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
		assert_int_equal(synack->view.payload - synack->view.l4, 24);
		assert_memory_equal(synack->frame.data + synack->view.l4 + 20, MSS, 4);
		assert_true(packet_good(&synack->frame));
		assert_true(node_end(node));
	}
}

// Shift 0, absent, 14, 15 and 255: through the cookie to the server's SYN.
static void t10_3_shifts(void **state)
{
	static const struct {
		struct bytes options;
		uint8_t shift;
	} rows[] = {{BYTES(MSS), OPTIONS_WSCALE_NONE}, {BYTES(MSS "\x03\x03\x00"), 0},
		{BYTES(MSS "\x03\x03\x0e"), 14}, {BYTES(MSS "\x03\x03\x0f"), 14},
		{BYTES(MSS "\x03\x03\xff"), 14}};

	(void)state;
	for (unsigned timestamps = 0; timestamps < 2; timestamps++) {
		for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
			struct node *node = new_node();
			uint8_t options[40];
			struct packet syn = plain_syn(rows[i].options);
			struct handshake handshake;
			uint16_t offered = rows[i].shift == OPTIONS_WSCALE_NONE ? 0 : OPTION_WSCALE;

			if (timestamps) {
				memcpy(options, TS, 10);
				memcpy(options + 10, rows[i].options.data, rows[i].options.len);
				syn.options.data = options;
				syn.options.len = (uint16_t)(rows[i].options.len + 10);
			}
			handshake_open(node, &handshake, &syn);
			assert_int_equal(handshake.synack.options.bits & OPTION_WSCALE, offered);
			assert_int_equal(node->sent[0].options.bits & OPTION_WSCALE, offered);
			assert_int_equal(node->sent[0].options.wscale, rows[i].shift);
			assert_true(node_end(node));
		}
	}
}

// Each option is answered only where it was offered.
static void t10_4_only_what_was_offered(void **state)
{
	static const struct bytes parts[] = {
		BYTES(MSS), BYTES(WSCALE7), BYTES("\x01\x01" SACK_OK), BYTES("\x01\x01" TS)};
	static const uint16_t bits[] = {
		OPTION_MSS, OPTION_WSCALE, OPTION_SACK_OK, OPTION_TIMESTAMPS};

	(void)state;
	for (unsigned offer = 0; offer < 16; offer++) {
		struct node *node = new_node();
		uint8_t options[40];
		struct packet syn = plain_syn((struct bytes){options, 0});
		uint16_t expected = 0;

		for (unsigned i = 0; i < 4; i++) {
			if (!(offer & 1 << i))
				continue;
			memcpy(options + syn.options.len, parts[i].data, parts[i].len);
			syn.options.len = (uint16_t)(syn.options.len + parts[i].len);
			expected |= bits[i];
		}
		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
		assert_int_equal(node->sent[0].options.bits, expected);
		assert_true(node_end(node));
	}
}

// The server scales by 0 where we announced 7: a small window does not become none.
static void t10_5_small_windows(void **state)
{
	static const uint16_t windows[][2] = {
		{0, 0}, {1, 1}, {127, 1}, {128, 1}, {255, 1}, {256, 2}, {65535, 511}};
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = plain_syn((struct bytes)BYTES(MSS WSCALE7)), packet;

	(void)state;
	establish(node, &handshake, &syn, (struct bytes)BYTES(MSS "\x01\x03\x03\x00"));
	for (unsigned i = 0; i < ARRAY_LEN(windows); i++) {
		packet = from_server(&handshake);
		packet.window = windows[i][0];
		assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
		assert_int_equal(node->sent[0].view.window, windows[i][1]);
		assert_true(packet_good(&node->sent[0].frame));
	}
	assert_true(node_end(node));
}

// Offers a SYN whose last option byte is the last byte of its memory.
static enum verdict_kind offer_exact(struct node *node, struct bytes options)
{
	struct packet syn = plain_syn(options);
	struct frame frame = packet_build_exact(&syn);
	enum verdict_kind kind = node_offer_frame(node, frame);

	free(frame.data);
	return kind;
}

// Options end at the header, wherever one of them claims to end.
static void t10_6_option_walk(void **state)
{
	static const uint8_t whole[] = MSS SACK_OK TS WSCALE7;
	static const uint8_t lengths[] = {0, 1, 255};
	uint8_t options[sizeof(whole) - 1 + 4];
	struct node *node = new_node();
	uint64_t bad = 0;

	(void)state;
	for (unsigned i = 0; i < sizeof(lengths); i++) {
		for (unsigned at = 0; at <= 36; at += 4) {
			uint8_t walk[40];

			memset(walk, 1, sizeof(walk));
			walk[at] = 254;
			walk[at + 1] = lengths[i];
			assert_int_equal(
				offer_exact(node, (struct bytes){walk, (uint16_t)(at + 4)}),
				VERDICT_DROP);
			assert_int_equal(node->verdict.reason, REASON_bad_option);
			bad++;
		}
	}
	// Cut at every offset, behind so many NOPs that the header's end is the cut.
	for (unsigned cut = 0; cut < sizeof(whole); cut++) {
		unsigned pad = (4 - cut % 4) % 4;
		bool inside = cut % 20 != 0 && cut != 4 && cut != 6 && cut != 16 && cut != 17;

		memset(options, 1, sizeof(options));
		memcpy(options + pad, whole, cut);
		assert_int_equal(offer_exact(node, (struct bytes){options, (uint16_t)(pad + cut)}),
			inside ? VERDICT_DROP : VERDICT_REPLY);
		bad += inside;
	}
	assert_int_equal(node_dropped(node, REASON_bad_option), bad);
	assert_int_equal(node_dropped_all(node), bad);
	assert_true(node_end(node));
}

// Wherever the server's clock is, the client's view of it never runs back.
static void t10_7_server_clock(void **state)
{
	static const uint32_t behind[] = {1, 0x7fffffff, 0x80000000u, 0xffffffffu};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(behind); i++) {
		struct node *node = new_node();
		struct handshake handshake;
		struct packet syn = plain_syn((struct bytes)BYTES(MSS TS)), packet;
		uint8_t options[12] = {1, 1, 8, 10};
		uint32_t announced, clock;

		handshake_open(node, &handshake, &syn);
		announced = handshake.synack.options.tsval;
		clock = announced - behind[i];
		be32_put(options + 4, clock);
		handshake_answer(node, &handshake, ISN_S, (struct bytes){options, 12});
		for (uint32_t later = 0; later < 1000; later += 333) {
			be32_put(options + 4, clock + later);
			packet = from_server(&handshake);
			packet.options = (struct bytes){options, 12};
			assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
			assert_int_equal(node->sent[0].options.tsval, announced + later);
		}
		assert_true(node_end(node));
	}
}

// After so much data exactly one number resets: a header counted as data would move it.
static void check_bookkeeping(const struct packet *syn)
{
	for (int off = -1; off <= 1; off++) {
		struct node *node = new_node();
		struct handshake handshake;
		struct packet packet;

		establish(node, &handshake, syn, (struct bytes)BYTES(MSS));
		packet = handshake.ack;
		packet.payload = (struct bytes)BYTES("data!");
		assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
		assert_true(packet_good(&node->sent[0].frame));
		packet.payload = NONE;
		packet.flags = TCP_RST;
		packet.seq += 5 + (uint32_t)off;
		packet.ack = 0;
		node_offer(node, OUTSIDE, &packet);
		assert_int_equal(node_state(node, TCP_ESTABLISHED), off != 0);
		assert_true(node_end(node));
	}
}

static void t10_8_header_lengths(void **state)
{
	struct packet rows[] = {plain_syn((struct bytes)BYTES(MSS)),
		plain_syn((struct bytes)BYTES(MSS)), plain_syn((struct bytes)BYTES(MSS)),
		plain_syn((struct bytes)BYTES(MSS))};

	(void)state;
	rows[1].ip6 = true;
	rows[2].ip_options = (struct bytes)BYTES("\x94\x04\x00\x00"); // router alert
	rows[3].ip6 = true;
	rows[3].extensions = (struct bytes)BYTES(HOP_BY_HOP);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		check_bookkeeping(&rows[i]);
}

// What a device says of one checksum says nothing of the other, and nothing of what we send.
static void t10_9_one_checksum_does_not_vouch_for_the_other(void **state)
{
	static const struct {
		uint8_t flags;
		bool break_ip, break_tcp, good;
	} rows[] = {
		{FRAME_L4_GOOD, true, false, false},
		{FRAME_L3_GOOD, false, true, false},
		{FRAME_L4_GOOD | FRAME_L3_BAD, false, false, false},
		{FRAME_L3_GOOD | FRAME_L4_BAD, false, false, false},
		{FRAME_L4_GOOD, false, false, true},
		{FRAME_L3_GOOD, false, false, true},
		{FRAME_L3_GOOD | FRAME_L4_GOOD, false, false, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct node *node = new_node();
		struct packet syn = plain_syn((struct bytes)BYTES(MSS));
		uint8_t room[PACKET_ROOM_BYTES];
		struct frame frame = packet_build(room, &syn);

		frame.flags = rows[i].flags;
		frame.data[14 + 10] ^= rows[i].break_ip;
		frame.data[34 + 16] ^= rows[i].break_tcp;
		node_offer_frame(node, frame);
		assert_int_equal(node->verdict.kind, rows[i].good ? VERDICT_REPLY : VERDICT_DROP);
		assert_int_equal(node_dropped(node, REASON_bad_checksum), !rows[i].good);
		if (rows[i].good)
			assert_true(packet_good(&node->sent[0].frame));
		assert_true(node_end(node));
	}
}

// The lab measures downloads over a lossy link; here, that each side's blocks reach the other.
static void t10_10_sack_survives(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = plain_syn((struct bytes)BYTES(MSS SACK_OK)), packet;
	uint8_t options[12] = {1, 1, 5, 10};
	const uint8_t *at;

	(void)state;
	handshake_open(node, &handshake, &syn);
	assert_true(handshake.synack.options.bits & OPTION_SACK_OK);
	assert_true(node->sent[0].options.bits & OPTION_SACK_OK);
	handshake_answer(node, &handshake, ISN_S, (struct bytes)BYTES(MSS SACK_OK));
	packet = handshake.ack;
	be32_put(options + 4, handshake.cookie + 101);
	be32_put(options + 8, handshake.cookie + 201);
	packet.options = (struct bytes){options, 12};
	assert_int_equal(node_offer(node, OUTSIDE, &packet), VERDICT_FORWARD);
	assert_int_equal(node->sent[0].options.sack_count, 1);
	at = node->sent[0].frame.data + node->sent[0].options.sack_at;
	assert_int_equal(be32_get(at), ISN_S + 101);
	assert_int_equal(be32_get(at + 4), ISN_S + 201);
	packet = from_server(&handshake);
	packet.options = (struct bytes){options, 12};
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_FORWARD);
	at = node->sent[0].frame.data + node->sent[0].options.sack_at;
	assert_int_equal(be32_get(at), handshake.cookie + 101); // the client's own numbers
	assert_true(node_end(node));
}

// However a SYN is wrapped: a protected address answers it with a cookie, another is denied, and
// nothing gets past.
static void t10_11_no_way_round(void **state)
{
	static const struct packet rows[] = {
		{.tags = {VLAN}},
		{.tags = {QINQ, VLAN}},
		{.tags = {QINQ, QINQ, VLAN}},
		{.dont_fragment = true},
		{.dont_fragment = false},
		{.ip_options = BYTES("\x94\x04\x00\x00")},
		{.ip6 = true, .extensions = BYTES(HOP_BY_HOP)},
		{.ip6 = true, .extensions = BYTES(HOP_BY_HOP "\x3c")},
		{.ip6 = true, .extensions = BYTES(FRAGMENT)}, // atomic
		{.ip6 = true, .tags = {QINQ, VLAN}, .extensions = BYTES(HOP_BY_HOP FRAGMENT)},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct node *node = new_node();
		struct packet syn = rows[i];

		syn.flags = TCP_SYN;
		syn.window = 1000;
		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_REPLY);
		assert_int_equal(node->sent[0].port, OUTSIDE);
		assert_int_equal(node->sent[0].view.tcp_flags, TCP_SYN | TCP_ACK);
		syn.server = syn.ip6 ? "2001:db8:3::1" : "203.0.113.9";
		assert_int_equal(node_offer(node, OUTSIDE, &syn), VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_rule_denied);
		assert_int_equal(engine_flow_count(node->engine), 0);
		assert_true(node_end(node));
	}
}

// A segment that does not fit its buffer is not sent half: the frame stays, the drop is counted.
static void t10_12_failed_rewrite_is_a_drop(void **state)
{
	struct node *node = new_node();
	struct handshake handshake;
	struct packet syn = plain_syn((struct bytes)BYTES(MSS TS)), packet;
	struct frame frame;

	(void)state;
	establish(node, &handshake, &syn, (struct bytes)BYTES("\x01\x01" TS));
	// The server repeats its SYN/ACK, now bare: our ACK needs twelve bytes more than it has.
	packet = from_server(&handshake);
	packet.flags = TCP_SYN | TCP_ACK;
	packet.seq = ISN_S;
	frame = packet_build_exact(&packet);
	frame.port = INSIDE;
	assert_int_equal(node_offer_frame(node, frame), VERDICT_DROP);
	assert_int_equal(node->verdict.reason, REASON_control_busy);
	assert_int_equal(node->sent_count, 0);
	assert_int_equal(node_dropped(node, REASON_control_busy), 1);
	free(frame.data);
	// With room it is answered.
	assert_int_equal(node_offer(node, INSIDE, &packet), VERDICT_REPLY);
	assert_true(packet_good(&node->sent[0].frame));
	assert_true(node_end(node));
}

// Lengths that lie, at every place that has one.
static void t10_14_lying_lengths(void **state)
{
	static const struct {
		bool ip6;
		uint16_t at; // offset in the frame
		uint8_t value;
		enum reason reason;
	} rows[] = {
		{false, 14, 0x44, REASON_malformed},	  // an IPv4 header of 16 bytes
		{false, 14, 0x4f, REASON_malformed},	  // of 60, more than there are
		{false, 16, 0xff, REASON_malformed},	  // total length
		{false, 17, 39, REASON_malformed},	  // ends inside the TCP header
		{false, 34 + 12, 0x40, REASON_malformed}, // data offset
		{false, 34 + 12, 0xf0, REASON_malformed},
		{false, 34 + 21, 0xff, REASON_bad_option},
		{true, 18, 0xff, REASON_malformed}, // payload length
		{true, 54 + 12, 0xf0, REASON_malformed},
		{true, 54 + 21, 0, REASON_bad_option},
	};
	struct node *node = new_node();

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct packet syn = plain_syn((struct bytes)BYTES(MSS));
		struct frame frame;

		syn.ip6 = rows[i].ip6;
		frame = packet_build_exact(&syn);
		frame.data[rows[i].at] = rows[i].value;
		frame.flags = FRAME_L3_GOOD | FRAME_L4_GOOD; // so that only the length is wrong
		assert_int_equal(node_offer_frame(node, frame), VERDICT_DROP);
		if (node->verdict.reason != rows[i].reason)
			fail_msg("row %u: %s", i, reason_name(node->verdict.reason));
		free(frame.data);
	}
	assert_true(node_end(node));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t10_1_keys),
		cmocka_unit_test(t10_1_rotation),
		cmocka_unit_test(t10_2_nothing_is_reflected),
		cmocka_unit_test(t10_3_shifts),
		cmocka_unit_test(t10_4_only_what_was_offered),
		cmocka_unit_test(t10_5_small_windows),
		cmocka_unit_test(t10_6_option_walk),
		cmocka_unit_test(t10_7_server_clock),
		cmocka_unit_test(t10_8_header_lengths),
		cmocka_unit_test(t10_9_one_checksum_does_not_vouch_for_the_other),
		cmocka_unit_test(t10_10_sack_survives),
		cmocka_unit_test(t10_11_no_way_round),
		cmocka_unit_test(t10_12_failed_rewrite_is_a_drop),
		cmocka_unit_test(t10_14_lying_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
