// Packets quoted in ICMP errors. TCP.md 5.1.
#include "base/error.h"
#include "packet.h"
#include "pkt/quote.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

// An ICMP error whose quote is a packet of the default flow, cut to `bytes` behind its IP header.
struct error_frame {
	uint8_t room[PACKET_ROOM_BYTES];
	uint8_t inner_room[PACKET_ROOM_BYTES];
	struct frame frame;
	struct view view;
	struct view inner;
};

static const struct packet segment = {
	.flags = TCP_ACK | TCP_PSH,
	.seq = 0xfffffff0,
	.ack = 0x01020304,
	.window = 500,
	.options = BYTES("\x01\x01\x08\x0a"
			 "\xff\xff\xff\xfe\x00\x00\x00\x09"),
	.payload = BYTES("some data"),
};

// "Fragmentation needed" or "packet too big", with an MTU of 1400.
static struct packet too_big(bool ip6, bool from_server)
{
	return (struct packet){.ip6 = ip6,
		.from_server = from_server,
		.protocol = PROTOCOL_ICMP,
		.type = ip6 ? 2 : 3,
		.code = ip6 ? 0 : 4,
		.rest = 1400};
}

static void build(struct error_frame *error, const struct packet *outer, const struct packet *inner,
	unsigned upper_bytes)
{
	struct frame quoted = packet_build(error->inner_room, inner);
	struct packet packet = *outer;
	unsigned bytes;

	error->inner = packet_view(&quoted);
	bytes = error->inner.l4 - error->inner.l3 + upper_bytes;
	if (bytes > (unsigned)(error->inner.end - error->inner.l3))
		bytes = (unsigned)(error->inner.end - error->inner.l3);
	packet.payload = (struct bytes){quoted.data + error->inner.l3, (uint16_t)bytes};
	error->frame = packet_build(error->room, &packet);
	error->view = packet_view(&error->frame);
}

static void build_tcp(struct error_frame *error, bool ip6, unsigned upper_bytes)
{
	struct packet outer = too_big(ip6, true), inner = segment;

	inner.ip6 = ip6;
	build(error, &outer, &inner, upper_bytes);
}

static void t5_1_bits_follow_bytes(void **state)
{
	struct error_frame error;
	struct quote quote;

	(void)state;
	for (unsigned i = 0; i < 2 * 50; i++) {
		unsigned bytes = i / 2;
		uint16_t bits = QUOTE_PORTS | QUOTE_SEQ;

		build_tcp(&error, i & 1, bytes);
		if (bytes < 8) {
			assert_int_equal(quote_parse(&quote, &error.view), -ERR_MALFORMED);
			continue;
		}
		bits |= bytes >= 12 ? QUOTE_ACK : 0;
		bits |= bytes >= 18 ? QUOTE_CHECKSUM : 0;
		bits |= bytes >= 32 ? QUOTE_TIMESTAMPS : 0;
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		assert_int_equal(quote.bits, bits);
		assert_int_equal(quote.tcp_flags, bytes >= 14 ? TCP_ACK | TCP_PSH : 0);
		assert_int_equal(quote.seq, 0xfffffff0);
		assert_int_equal(quote.ack, bytes >= 12 ? 0x01020304 : 0);
	}
}

static void t5_1_fields(void **state)
{
	struct error_frame error;
	struct quote quote;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		build_tcp(&error, ip6, 60);
		assert_true(view_is_icmp_error(&error.view));
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		assert_int_equal(quote.protocol, PROTOCOL_TCP);
		assert_int_equal(quote.sport, 40000);
		assert_int_equal(quote.dport, 80);
		assert_true(addr_equal(&quote.src, &error.inner.src));
		assert_true(addr_equal(&quote.dst, &error.inner.dst));
		assert_int_equal(quote.mtu, 1400);
		assert_int_equal(quote.l3, error.view.payload);
		assert_int_equal(quote.l4, quote.l3 + (ip6 ? 40 : 20));
		assert_int_equal(be32_get(error.view.data + quote.timestamps_at), 0xfffffffe);
	}
}

static void mtu_only_where_stated(void **state)
{
	struct packet outer = too_big(false, true);
	struct error_frame error;
	struct quote quote;

	(void)state;
	outer.code = 1;
	build(&error, &outer, &segment, 8);
	assert_int_equal(quote_parse(&quote, &error.view), 0);
	assert_int_equal(quote.mtu, 0);
	outer.type = 11;
	outer.code = 4;
	build(&error, &outer, &segment, 8);
	assert_int_equal(quote_parse(&quote, &error.view), 0);
	assert_int_equal(quote.mtu, 0);
}

static void udp_and_icmp(void **state)
{
	struct error_frame error;
	struct quote quote;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet outer = too_big(ip6, true);
		struct packet inner = {.ip6 = ip6, .protocol = PROTOCOL_UDP, .server_port = 53};

		build(&error, &outer, &inner, 8);
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		assert_int_equal(quote.protocol, PROTOCOL_UDP);
		assert_int_equal(quote.bits, QUOTE_PORTS | QUOTE_CHECKSUM);
		assert_int_equal(quote.dport, 53);

		inner = (struct packet){.ip6 = ip6,
			.protocol = PROTOCOL_ICMP,
			.type = ip6 ? 128 : 8,
			.rest = 0x12345678};
		build(&error, &outer, &inner, 8);
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		assert_int_equal(quote.bits, QUOTE_PORTS);
		assert_int_equal(quote.icmp_id, 0x1234);

		// An error about an error has no flow to be about.
		inner.type = 3;
		build(&error, &outer, &inner, 8);
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		assert_int_equal(quote.bits, 0);
	}
}

static void quoted_extensions(void **state)
{
	struct packet outer = too_big(true, true), inner = segment;
	struct error_frame error;
	struct quote quote;

	(void)state;
	inner.ip6 = true;
	inner.extensions = (struct bytes)BYTES("\x00\x2c\x3c");
	build(&error, &outer, &inner, 8);
	assert_int_equal(quote_parse(&quote, &error.view), 0);
	assert_int_equal(quote.l4, quote.l3 + 40 + 24);
	assert_int_equal(quote.sport, 40000);
	inner.ip6 = false;
	inner.ip_options = (struct bytes)BYTES("\x01\x01\x01\x01");
	outer = too_big(false, true);
	build(&error, &outer, &inner, 8);
	assert_int_equal(quote_parse(&quote, &error.view), 0);
	assert_int_equal(quote.l4, quote.l3 + 24);
}

static void fragments(void **state)
{
	struct error_frame error;
	struct quote quote;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet outer = too_big(ip6, true), inner = segment;

		inner.ip6 = ip6;
		inner.extensions = (struct bytes)BYTES("\x2c");
		inner.more_fragments = true;
		inner.payload.len = 8;
		build(&error, &outer, &inner, 16);
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		inner.fragment_offset = 8;
		build(&error, &outer, &inner, 16);
		assert_int_equal(quote_parse(&quote, &error.view), -ERR_MALFORMED);
	}
}

static void another_family(void **state)
{
	struct error_frame error;
	struct quote quote;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet outer = too_big(ip6, true), inner = segment;

		inner.ip6 = !ip6;
		build(&error, &outer, &inner, 60);
		assert_int_equal(quote_parse(&quote, &error.view), -ERR_MALFORMED);
	}
}

// Every cut of the frame, with the bytes behind it really missing.
static void cut_captures(void **state)
{
	struct error_frame error;
	struct quote quote;

	(void)state;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		build_tcp(&error, ip6, 60);
		for (uint16_t len = 0; len <= error.frame.len; len++) {
			struct frame cut = {
				.data = malloc(len + 1u), .len = len, .flags = FRAME_TRUNCATED};
			struct view view;

			memcpy(cut.data, error.frame.data, len);
			cut.data = realloc(cut.data, len ? len : 1);
			if (view_parse(&view, &cut) == REASON_NONE && view_is_icmp_error(&view) &&
				quote_parse(&quote, &view) == 0)
				assert_true(len >= quote.l4 + 8);
			free(cut.data);
		}
	}
}

// The quote after a shift is the quote of the shifted segment, checksum included, and the outer
// checksum is that of a new computation.
static void assert_translated(bool ip6, unsigned bytes, const struct quote_shift *shift,
	uint8_t flags, const struct packet *base)
{
	struct packet outer = too_big(ip6, true), inner = *base, shifted;
	struct error_frame error, expected;
	bool ack = bytes < 14 || flags & TCP_ACK;
	uint8_t options[40];
	struct quote quote;

	inner.ip6 = ip6;
	inner.flags = flags;
	shifted = inner;
	shifted.seq += shift->seq;
	shifted.ack += ack ? shift->ack : 0;
	memcpy(options, base->options.data, base->options.len);
	be32_put(options + 4, be32_get(options + 4) + shift->tsval);
	be32_put(options + 8, be32_get(options + 8) + (ack ? shift->tsecr : 0));
	shifted.options.data = options;
	build(&error, &outer, &inner, bytes);
	build(&expected, &outer, &shifted, bytes);
	assert_int_equal(quote_parse(&quote, &error.view), 0);
	quote_translate(&error.view, &quote, shift);
	assert_true(packet_good(&error.frame));
	assert_int_equal(quote.seq, shifted.seq);
	if (bytes >= 12)
		assert_int_equal(quote.ack, shifted.ack);
	// Half a field, or a checksum without the options it covers, differs from that of the
	// shifted segment as no translation can mend; the others compare byte by byte.
	if (bytes == 8 || (bytes >= 12 && bytes <= 16) || bytes >= 32)
		assert_memory_equal(error.frame.data, expected.frame.data, error.frame.len);
}

static uint32_t value32(void)
{
	static const uint32_t extremes[] = {0, UINT32_MAX, 0x0000ffff, 0xffff0000, 1};
	uint32_t pick = (uint32_t)random();

	return pick & 1 ? extremes[pick / 2 % 5] : (uint32_t)random() << 1;
}

static void t5_1_translate(void **state)
{
	(void)state;
	for (int round = 0; round < 4000; round++) {
		struct quote_shift shift = {value32(), value32(), value32(), value32()};
		unsigned bytes = 8 + (unsigned)random() % 40;

		assert_translated(round & 1, bytes, &shift, TCP_ACK | TCP_PSH, &segment);
		if (bytes >= 14)
			assert_translated(round & 1, bytes, &shift, TCP_SYN, &segment);
	}
}

// Timestamps at an odd offset stand in the other halves of the words, in both checksums.
static void t5_1_translate_unaligned(void **state)
{
	static const struct quote_shift shift = {1, 2, 3, -11u};
	struct packet inner = segment, shifted = segment;
	struct error_frame error, expected;
	struct quote quote;

	(void)state;
	inner.options = (struct bytes)BYTES("\x01\x08\x0a"
					    "AAAABBBB");
	shifted.options = (struct bytes)BYTES("\x01\x08\x0a"
					      "AAADBBB7");
	shifted.seq += shift.seq;
	shifted.ack += shift.ack;
	for (int ip6 = 0; ip6 <= 1; ip6++) {
		struct packet outer = too_big(ip6, true);

		inner.ip6 = ip6;
		shifted.ip6 = ip6;
		build(&error, &outer, &inner, 60);
		build(&expected, &outer, &shifted, 60);
		assert_int_equal(quote_parse(&quote, &error.view), 0);
		quote_translate(&error.view, &quote, &shift);
		assert_memory_equal(error.frame.data, expected.frame.data, error.frame.len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t5_1_bits_follow_bytes),
		cmocka_unit_test(t5_1_fields),
		cmocka_unit_test(mtu_only_where_stated),
		cmocka_unit_test(udp_and_icmp),
		cmocka_unit_test(quoted_extensions),
		cmocka_unit_test(fragments),
		cmocka_unit_test(another_family),
		cmocka_unit_test(cut_captures),
		cmocka_unit_test(t5_1_translate),
		cmocka_unit_test(t5_1_translate_unaligned),
	};

	srandom(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
