#include "pkt/edit.h"

#include "base/check.h"
#include "pkt/checksum.h"

#include <string.h>

// Offsets in the TCP header.
enum {
	SEQ = 4,
	ACK = 8,
	FLAGS_WORD = 12,
	WINDOW = 14,
	CHECKSUM = 16,
	HEADER_BYTES = 20,
};

#define IP4_CHECKSUM 10
#define OPTION_NOP   1

static void put16(struct view *view, unsigned field, uint16_t value)
{
	uint8_t *tcp = view->data + view->l4;
	uint16_t from = be16_get(tcp + field);

	be16_put(tcp + CHECKSUM, checksum_update16(be16_get(tcp + CHECKSUM), from, value));
	be16_put(tcp + field, value);
}

static void put32(struct view *view, unsigned field, uint32_t value)
{
	uint8_t *tcp = view->data + view->l4;
	uint32_t from = be32_get(tcp + field);

	be16_put(
		tcp + CHECKSUM, checksum_update32_at(be16_get(tcp + CHECKSUM), field, from, value));
	be32_put(tcp + field, value);
}

void edit_seq(struct view *view, uint32_t seq)
{
	put32(view, SEQ, seq);
	view->seq = seq;
}

void edit_ack(struct view *view, uint32_t ack)
{
	put32(view, ACK, ack);
	view->ack = ack;
}

void edit_window(struct view *view, uint16_t window)
{
	put16(view, WINDOW, window);
	view->window = window;
}

void edit_tcp_flags(struct view *view, uint8_t flags)
{
	uint16_t word = be16_get(view->data + view->l4 + FLAGS_WORD);

	put16(view, FLAGS_WORD, (uint16_t)((word & 0xff00) | flags));
	view->tcp_flags = flags;
}

// True where the bytes lie in the options, or in the fields this file may change.
static bool in_options(const struct view *view, uint16_t offset, uint16_t len)
{
	return offset >= view->l4 + HEADER_BYTES && offset + len <= view->payload;
}

void edit_tcp32(struct view *view, uint16_t offset, uint32_t value)
{
	unsigned field = (unsigned)(offset - view->l4);

	if (offset >= view->l4 && field == SEQ) {
		edit_seq(view, value);
	} else if (offset >= view->l4 && field == ACK) {
		edit_ack(view, value);
	} else {
		CHECK(in_options(view, offset, 4));
		put32(view, field, value);
	}
}

void edit_nop(struct view *view, uint16_t offset, uint16_t len)
{
	uint8_t *sum_at = view->data + view->l4 + CHECKSUM;
	uint16_t checksum = be16_get(sum_at);

	CHECK(in_options(view, offset, len));
	for (unsigned at = offset; at < (unsigned)offset + len; at++) {
		unsigned shift = (at - view->l4) % 2 == 0 ? 8 : 0;

		checksum = checksum_update16(checksum, (uint16_t)(view->data[at] << shift),
			(uint16_t)(OPTION_NOP << shift));
	}
	memset(view->data + offset, OPTION_NOP, len);
	be16_put(sum_at, checksum);
}

void edit_clear_ecn(struct view *view)
{
	uint8_t *ip = view->data + view->l3;
	uint16_t from = be16_get(ip);

	if (view->bits & VIEW_IP4) {
		ip[1] &= 0xfc;
		be16_put(ip + IP4_CHECKSUM,
			checksum_update16(be16_get(ip + IP4_CHECKSUM), from, be16_get(ip)));
	} else if (view->bits & VIEW_IP6) {
		ip[1] &= 0xcf; // the traffic class starts half a byte earlier
	}
}

static void compute_ip4(struct view *view)
{
	uint8_t *ip = view->data + view->l3;

	be16_put(ip + IP4_CHECKSUM, 0);
	be16_put(ip + IP4_CHECKSUM, checksum_finish(checksum_add(0, ip, (ip[0] & 0x0f) * 4u)));
}

static void compute_upper(struct view *view)
{
	uint8_t *sum_at = view->data + view_checksum_at(view);
	uint16_t checksum;

	if ((view->bits & VIEW_UDP) && (view->bits & VIEW_IP4) && be16_get(sum_at) == 0)
		return;
	be16_put(sum_at, 0);
	checksum = checksum_finish(view_sum_upper(view));
	if ((view->bits & VIEW_UDP) && checksum == 0)
		checksum = 0xffff; // 0 would say "no checksum"
	be16_put(sum_at, checksum);
}

void edit_checksums(struct view *view)
{
	bool whole = !(view->bits & VIEW_FRAGMENT) && view->limit == view->end;

	if (view->bits & VIEW_IP4)
		compute_ip4(view);
	if (whole && view->bits & (VIEW_TCP | VIEW_UDP | VIEW_ICMP))
		compute_upper(view);
}
