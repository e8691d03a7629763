// Proves: P5, M8 (later packets pass with translation only), M9, TCP.md 2.3-2.8, 2.13, 4.6, 10.
#include "base/check.h"
#include "pkt/edit.h"
#include "pkt/options.h"
#include "pkt/view.h"
#include "seq/translation.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#define ETHERNET_BYTES 14
#define NOP	       1
#define SACK	       5
#define TIMESTAMPS     8

// A segment of either family, and what a caller has of it.
struct segment {
	uint8_t bytes[160];
	struct frame frame;
	struct view view;
	struct options options;
};

struct fields {
	uint32_t seq;
	uint32_t ack;
	uint8_t flags;
	uint16_t window;
	uint8_t tos;
	const uint8_t *options; // a multiple of four bytes
	unsigned options_len;
};

static void fill_ip(uint8_t *ip, int family, uint16_t tcp_len, uint8_t tos)
{
	static const uint8_t ip4[8] = {192, 0, 2, 10, 198, 51, 100, 10};

	if (family == 4) {
		ip[0] = 0x45;
		ip[1] = tos;
		be16_put(ip + 2, (uint16_t)(20 + tcp_len));
		ip[8] = 64;
		ip[9] = PROTOCOL_TCP;
		memcpy(ip + 12, ip4, sizeof(ip4));
	} else {
		be32_put(ip, 6u << 28 | (uint32_t)tos << 20);
		be16_put(ip + 4, tcp_len);
		ip[6] = PROTOCOL_TCP;
		ip[7] = 64;
		memcpy(ip + 8, "\x20\x01\x0d\xb8\0\1\0\0\0\0\0\0\0\0\0\x10", 16);
		memcpy(ip + 24, "\x20\x01\x0d\xb8\0\2\0\0\0\0\0\0\0\0\0\x10", 16);
	}
}

static void parse(struct segment *s)
{
	assert_int_equal(view_parse(&s->view, &s->frame), REASON_NONE);
	assert_true(s->view.bits & VIEW_TCP);
	edit_checksums(&s->view);
	assert_int_equal(options_parse(&s->options, &s->view), 0);
}

// Into the caller's segment: the view points into it.
static void build(struct segment *s, int family, const struct fields *fields)
{
	unsigned l4 = ETHERNET_BYTES + (family == 4 ? 20 : 40);
	unsigned tcp_len = 20 + fields->options_len + 3; // three bytes of payload
	uint8_t *tcp = s->bytes + l4;

	memset(s, 0, sizeof(*s));
	be16_put(s->bytes + 12, family == 4 ? 0x0800 : 0x86dd);
	fill_ip(s->bytes + ETHERNET_BYTES, family, (uint16_t)tcp_len, fields->tos);
	be16_put(tcp, 40000);
	be16_put(tcp + 2, 80);
	be32_put(tcp + 4, fields->seq);
	be32_put(tcp + 8, fields->ack);
	tcp[12] = (uint8_t)((5 + fields->options_len / 4) << 4);
	tcp[13] = fields->flags;
	be16_put(tcp + 14, fields->window);
	if (fields->options_len != 0)
		memcpy(tcp + 20, fields->options, fields->options_len);
	memcpy(tcp + 20 + fields->options_len, "abc", 3);
	s->frame = (struct frame){.data = s->bytes, .len = (uint16_t)(l4 + tcp_len)};
	parse(s);
}

static void apply(struct segment *s, const struct translation *t, enum direction dir)
{
	translation_apply(t, dir, &s->view, &s->options);
	// Checksums follow every edit, and the payload is nobody's business.
	assert_int_equal(view_verify(&s->view, &s->frame), REASON_NONE);
	assert_memory_equal(s->bytes + s->view.payload, "abc", 3);
	parse(s);
}

#define FAMILIES(family) (int family = 4; family <= 6; family += 2)

static void t2_3_syn_windows_are_never_rescaled(void **state)
{
	const struct translation t = {
		.bits = TRANSLATE_WINDOW, .to_client = {0, 7}, .to_server = {7, 0}};
	static const uint8_t flags[] = {TCP_SYN, TCP_SYN | TCP_ACK};
	struct segment s;

	(void)state;
	for
		FAMILIES(family)
	for (unsigned i = 0; i < 4; i++) {
		const struct fields fields = {.flags = flags[i / 2], .window = 1000};

		build(&s, family, &fields);
		apply(&s, &t, i % 2 ? TO_CLIENT : TO_SERVER);
		assert_int_equal(s.view.window, 1000);
	}
}

static void t2_4_each_direction_has_its_own_shifts(void **state)
{
	struct translation t = {.bits = TRANSLATE_WINDOW, .to_client = {2, 7}, .to_server = {3, 0}};
	const struct fields fields = {.flags = TCP_ACK, .window = 1000};
	struct segment s;

	(void)state;
	for
		FAMILIES(family)
		{
			build(&s, family, &fields);
			apply(&s, &t, TO_CLIENT);
			assert_int_equal(s.view.window, 1000 * 4 / 128);
			build(&s, family, &fields);
			apply(&s, &t, TO_SERVER);
			assert_int_equal(s.view.window, 8000);
			t.bits = 0;
			build(&s, family, &fields);
			apply(&s, &t, TO_SERVER);
			assert_int_equal(s.view.window, 1000);
			t.bits = TRANSLATE_WINDOW;
		}
}

static uint32_t block_edge(const struct segment *s, unsigned i)
{
	return be32_get(s->bytes + s->options.sack_at + 4 * i);
}

// Puts `lead` NOPs and a SACK option with these edges into `out`; returns the length.
static unsigned sack_option(uint8_t out[40], unsigned lead, const uint32_t *edges, unsigned blocks)
{
	unsigned at = lead;

	memset(out, NOP, 40);
	out[at++] = SACK;
	out[at++] = (uint8_t)(2 + 8 * blocks);
	for (unsigned i = 0; i < 2 * blocks; i++, at += 4)
		be32_put(out + at, edges[i]);
	return (at + 3) & ~3u;
}

static void t2_6_sack_edges(void **state)
{
	// A DSACK below the acknowledgement, a block across the wrap, and two more.
	static const uint32_t edges[8] = {900, 950, 0xfffffff0, 16, 5000, 6000, 0, 0x80000000};
	const struct translation t = {.d = 0xfffffff9, .e = 0xffffc133};
	uint8_t options[40];
	struct segment s;

	(void)state;
	for
		FAMILIES(family)
	for (unsigned i = 0; i < 4 * 4 * 2; i++) {
		unsigned blocks = i / 8 + 1, dir = i % 2;
		unsigned len = sack_option(options, i / 2 % 4, edges, blocks);
		const struct fields fields = {
			.ack = 1000, .flags = TCP_ACK, .options = options, .options_len = len};

		build(&s, family, &fields);
		apply(&s, &t, dir ? TO_CLIENT : TO_SERVER);
		assert_int_equal(s.options.sack_count, blocks);
		for (unsigned k = 0; k < 2 * blocks; k++)
			assert_int_equal(
				block_edge(&s, k), (uint32_t)(edges[k] - (dir ? t.e : t.d)));
	}
}

// TCP.md 2.6, all of its numbers.
static void t2_6_worked_example(void **state)
{
	const uint32_t isn_c = 0xfffffff0, msyn = 0xffffc123, isn_s = 5, cookie = 0xfffffffe;
	const struct translation t = {.d = cookie - isn_s, .e = msyn - isn_c};
	const struct {
		enum direction dir;
		uint32_t seq, ack, seq_out, ack_out;
	} rows[] = {
		{TO_SERVER, 0xfffffff1, 0xffffffff, 0xffffc124, 6},
		{TO_SERVER, 0x00000010, 0xffffffff, 0xffffc143, 6},
		{TO_CLIENT, 6, 0xffffc124, 0xffffffff, 0xfffffff1},
	};
	struct segment s;

	(void)state;
	assert_int_equal(t.e, 0xffffc133);
	assert_int_equal(t.d, 0xfffffff9);
	for
		FAMILIES(family)
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		const struct fields fields = {
			.seq = rows[i].seq, .ack = rows[i].ack, .flags = TCP_ACK};

		build(&s, family, &fields);
		apply(&s, &t, rows[i].dir);
		assert_int_equal(s.view.seq, rows[i].seq_out);
		assert_int_equal(s.view.ack, rows[i].ack_out);
	}
}

static void t2_6_client_numbers(void **state)
{
	const struct translation t = {.d = 0xfffffff9, .e = 0xffffc133};

	(void)state;
	assert_int_equal(translation_client_seq(&t, TO_SERVER, 0xfffffff1), 0xfffffff1);
	assert_int_equal(translation_client_ack(&t, TO_SERVER, 0xffffffff), 0xffffffff);
	assert_int_equal(translation_client_seq(&t, TO_CLIENT, 6), 0xffffffff);
	assert_int_equal(translation_client_ack(&t, TO_CLIENT, 0xffffc124), 0xfffffff1);
}

// A segment without ACK (a RST, a SYN) has an acknowledgement field that means nothing.
static void t2_6_ack_clear_keeps_the_field(void **state)
{
	const struct translation t = {.d = 100, .e = 1000};
	static const uint8_t flags[] = {TCP_RST, TCP_SYN, TCP_RST | TCP_ACK};
	struct segment s;

	(void)state;
	for
		FAMILIES(family)
	for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
		const struct fields fields = {.seq = 7, .ack = 77, .flags = flags[i]};
		bool valid = flags[i] & TCP_ACK;

		build(&s, family, &fields);
		apply(&s, &t, TO_SERVER);
		assert_int_equal(s.view.seq, 1007);
		assert_int_equal(s.view.ack, valid ? (uint32_t)(77 - 100) : 77);
		build(&s, family, &fields);
		apply(&s, &t, TO_CLIENT);
		assert_int_equal(s.view.seq, 107);
		assert_int_equal(s.view.ack, valid ? (uint32_t)(77 - 1000) : 77);
	}
}

static void t2_5_sack_stripped_to_server_only(void **state)
{
	static const uint32_t edges[4] = {10, 20, 30, 40};
	const struct translation t = {.d = 3, .e = 4, .bits = TRANSLATE_SACK_STRIP};
	uint8_t options[40], nops[40];
	struct segment s;

	(void)state;
	memset(nops, NOP, sizeof(nops));
	for
		FAMILIES(family)
	for (unsigned lead = 0; lead < 4; lead++) {
		unsigned len = sack_option(options, lead, edges, 2);
		const struct fields fields = {
			.flags = TCP_ACK, .options = options, .options_len = len};

		build(&s, family, &fields);
		assert_true(s.options.bits & OPTION_SACK);
		apply(&s, &t, TO_SERVER);
		assert_false(s.options.bits & OPTION_SACK);
		assert_memory_equal(s.bytes + s.view.l4 + 20, nops, len);
		build(&s, family, &fields);
		apply(&s, &t, TO_CLIENT);
		assert_int_equal(block_edge(&s, 3), 36);
	}
}

// Into 16 bytes: NOPs in front, then timestamps; `lead` 0..3 gives every alignment.
static void timestamps_option(uint8_t out[16], unsigned lead, uint32_t tsval, uint32_t tsecr)
{
	memset(out, NOP, 16);
	out[lead] = TIMESTAMPS;
	out[lead + 1] = 10;
	be32_put(out + lead + 2, tsval);
	be32_put(out + lead + 6, tsecr);
}

static void t2_7_timestamps(void **state)
{
	const struct translation t = {.bits = TRANSLATE_TIMESTAMPS, .ts_offset = 0xfffffff0};
	uint8_t options[16];
	struct segment s;

	(void)state;
	for
		FAMILIES(family)
	for (unsigned lead = 0; lead < 4; lead++) {
		const struct fields fields = {
			.flags = TCP_ACK, .options = options, .options_len = 16};

		timestamps_option(options, lead, 0x20, 5);
		build(&s, family, &fields);
		apply(&s, &t, TO_CLIENT);
		assert_int_equal(s.options.tsval, 0x10);
		assert_int_equal(s.options.tsecr, 5);
		build(&s, family, &fields);
		apply(&s, &t, TO_SERVER);
		assert_int_equal(s.options.tsval, 0x20);
		assert_int_equal(s.options.tsecr, 0x15);
	}
}

// The server's clock behind ours by 1 and by 2^31 - 1 (TCP.md 10): what the client sees goes on
// from our SYN/ACK, and what it echoes reaches the server as the server's own.
static void t2_7_server_clock_behind_ours(void **state)
{
	static const uint32_t behind[] = {1, 0x7fffffff};
	const uint32_t ours = 0x80000010;
	uint8_t options[16];
	struct segment s;

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(behind); i++) {
		const struct translation t = {.bits = TRANSLATE_TIMESTAMPS, .ts_offset = behind[i]};
		const struct fields fields = {
			.flags = TCP_ACK, .options = options, .options_len = 16};

		timestamps_option(options, 2, ours - behind[i] + 1, 0);
		build(&s, 4, &fields);
		apply(&s, &t, TO_CLIENT);
		assert_int_equal(s.options.tsval, ours + 1);
		timestamps_option(options, 2, 9, ours + 1);
		build(&s, 4, &fields);
		apply(&s, &t, TO_SERVER);
		assert_int_equal(s.options.tsecr, ours - behind[i] + 1);
	}
}

static void t2_7_tsecr_with_ack_clear_untouched(void **state)
{
	const struct translation t = {.bits = TRANSLATE_TIMESTAMPS, .ts_offset = 50};
	struct fields fields = {.flags = TCP_RST, .options_len = 16};
	uint8_t options[16];
	struct segment s;

	(void)state;
	timestamps_option(options, 2, 9, 0);
	fields.options = options;
	for
		FAMILIES(family)
		{
			fields.flags = TCP_RST;
			build(&s, family, &fields);
			apply(&s, &t, TO_SERVER);
			assert_int_equal(s.options.tsecr, 0);
			fields.flags = TCP_RST | TCP_ACK;
			build(&s, family, &fields);
			apply(&s, &t, TO_SERVER);
			assert_int_equal(s.options.tsecr, (uint32_t)-50);
		}
}

static void t2_7_not_negotiated_untouched(void **state)
{
	const struct translation t = {.ts_offset = 50, .d = 1};
	uint8_t options[16];
	const struct fields fields = {.flags = TCP_ACK, .options = options, .options_len = 16};
	struct segment s;

	(void)state;
	timestamps_option(options, 2, 9, 8);
	for (int dir = 0; dir < 2; dir++) {
		build(&s, 4, &fields);
		apply(&s, &t, dir ? TO_CLIENT : TO_SERVER);
		assert_int_equal(s.options.tsval, 9);
		assert_int_equal(s.options.tsecr, 8);
	}
}

static uint8_t tos_of(const struct segment *s)
{
	const uint8_t *ip = s->bytes + ETHERNET_BYTES;

	return s->view.bits & VIEW_IP4 ? ip[1] : (uint8_t)(be16_get(ip) >> 4);
}

static void t2_8_ecn_cleared_to_server_only(void **state)
{
	const struct translation t = {.bits = TRANSLATE_ECN_STRIP};
	struct segment s;

	(void)state;
	for
		FAMILIES(family)
	for (unsigned ecn = 0; ecn < 4; ecn++) {
		const struct fields fields = {.flags = TCP_ACK, .tos = (uint8_t)(0xb8 | ecn)};

		build(&s, family, &fields);
		apply(&s, &t, TO_SERVER);
		assert_int_equal(tos_of(&s), 0xb8);
		build(&s, family, &fields);
		apply(&s, &t, TO_CLIENT);
		assert_int_equal(tos_of(&s), 0xb8 | ecn);
	}
}

// Without parsed options (they are malformed) the header is translated and they are left alone.
static void header_only_without_options(void **state)
{
	static const uint32_t edges[2] = {10, 20};
	const struct translation t = {.d = 3, .e = 4, .bits = TRANSLATE_SACK_STRIP};
	uint8_t options[40];
	const struct fields fields = {.seq = 1,
		.ack = 2,
		.flags = TCP_ACK,
		.options = options,
		.options_len = sack_option(options, 2, edges, 1)};
	struct segment s;

	(void)state;
	build(&s, 4, &fields);
	translation_apply(&t, TO_SERVER, &s.view, NULL);
	assert_int_equal(s.view.seq, 5);
	assert_int_equal(s.view.ack, (uint32_t)-1);
	assert_memory_equal(s.bytes + s.view.l4 + 20, options, fields.options_len);
}

static void identity(void **state)
{
	const struct translation same[] = {
		{0},
		{.ts_offset = 5}, // not negotiated
		{.bits = TRANSLATE_TIMESTAMPS},
		{.to_client = {1, 2}}, // no TRANSLATE_WINDOW
		{.bits = TRANSLATE_WINDOW, .to_client = {7, 7}, .to_server = {3, 3}},
	};
	const struct translation other[] = {
		{.d = 1},
		{.e = 1},
		{.bits = TRANSLATE_TIMESTAMPS, .ts_offset = 1},
		{.bits = TRANSLATE_SACK_STRIP},
		{.bits = TRANSLATE_ECN_STRIP},
		{.bits = TRANSLATE_WINDOW, .to_client = {7, 6}},
		{.bits = TRANSLATE_WINDOW, .to_server = {0, 1}},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(same); i++)
		assert_true(translation_is_identity(&same[i]));
	for (unsigned i = 0; i < ARRAY_LEN(other); i++)
		assert_false(translation_is_identity(&other[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t2_3_syn_windows_are_never_rescaled),
		cmocka_unit_test(t2_4_each_direction_has_its_own_shifts),
		cmocka_unit_test(t2_5_sack_stripped_to_server_only),
		cmocka_unit_test(t2_6_sack_edges),
		cmocka_unit_test(t2_6_worked_example),
		cmocka_unit_test(t2_6_client_numbers),
		cmocka_unit_test(t2_6_ack_clear_keeps_the_field),
		cmocka_unit_test(t2_7_timestamps),
		cmocka_unit_test(t2_7_server_clock_behind_ours),
		cmocka_unit_test(t2_7_tsecr_with_ack_clear_untouched),
		cmocka_unit_test(t2_7_not_negotiated_untouched),
		cmocka_unit_test(t2_8_ecn_cleared_to_server_only),
		cmocka_unit_test(header_only_without_options),
		cmocka_unit_test(identity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
