#include "replay/timestamps.h"

#include "base/bytes.h"
#include "base/check.h"
#include "pkt/checksum.h"

#include <string.h>

#define TCP_HEADER_BYTES     20
#define TCP_HEADER_BYTES_MAX 60

enum {
	IP4_TOTAL = 2,
	IP4_CHECKSUM = 10,
	IP6_PAYLOAD = 4,
	TCP_OFFSET_WORD = 12,
	TCP_CHECKSUM = 16,
};

static bool has_room(const struct frame *frame, const struct view *view)
{
	unsigned header_bytes = (unsigned)(view->payload - view->l4);

	return !(view->bits & VIEW_FRAGMENT) && frame->headroom >= TIMESTAMPS_BYTES &&
	       header_bytes + TIMESTAMPS_BYTES <= TCP_HEADER_BYTES_MAX &&
	       view->end <= UINT16_MAX - TIMESTAMPS_BYTES &&
	       frame->len <= UINT16_MAX - TIMESTAMPS_BYTES;
}

static void lengthen_ip(uint8_t *ip, bool ip6)
{
	uint8_t *length_at = ip + (ip6 ? IP6_PAYLOAD : IP4_TOTAL);
	uint16_t from = be16_get(length_at), to = (uint16_t)(from + TIMESTAMPS_BYTES);

	be16_put(length_at, to);
	if (!ip6)
		be16_put(ip + IP4_CHECKSUM,
			checksum_update16(be16_get(ip + IP4_CHECKSUM), from, to));
}

// Bytes that were not there count as zeros that change; so does the pseudo-header's length.
static void mend_tcp(uint8_t *tcp, uint16_t tcp_bytes)
{
	uint16_t word = be16_get(tcp + TCP_OFFSET_WORD);
	uint16_t longer = (uint16_t)(word + (TIMESTAMPS_BYTES / 4 << 12));
	uint16_t sum = be16_get(tcp + TCP_CHECKSUM);

	sum = checksum_update16(sum, tcp_bytes, (uint16_t)(tcp_bytes + TIMESTAMPS_BYTES));
	sum = checksum_update16(sum, word, longer);
	for (unsigned i = 0; i < TIMESTAMPS_BYTES; i += 2)
		sum = checksum_update16(sum, 0, be16_get(tcp + TCP_HEADER_BYTES + i));
	be16_put(tcp + TCP_OFFSET_WORD, longer);
	be16_put(tcp + TCP_CHECKSUM, sum);
}

bool timestamps_insert(struct frame *frame, struct view *view, uint32_t tsval, uint32_t tsecr)
{
	unsigned head_bytes = view->l4 + TCP_HEADER_BYTES;
	uint16_t tcp_bytes = (uint16_t)(view->end - view->l4);
	uint8_t *option;

	if (!has_room(frame, view))
		return false;
	frame->data -= TIMESTAMPS_BYTES;
	frame->headroom = (uint16_t)(frame->headroom - TIMESTAMPS_BYTES);
	frame->len = (uint16_t)(frame->len + TIMESTAMPS_BYTES);
	memmove(frame->data, frame->data + TIMESTAMPS_BYTES, head_bytes);
	option = frame->data + head_bytes;
	memcpy(option, "\x01\x01\x08\x0a", 4);
	be32_put(option + 4, tsval);
	be32_put(option + 8, tsecr);
	lengthen_ip(frame->data + view->l3, view->bits & VIEW_IP6);
	mend_tcp(frame->data + view->l4, tcp_bytes);
	CHECK(view_parse(view, frame) == REASON_NONE);
	return true;
}
