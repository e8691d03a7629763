// Edits of a packet in place. Every edit keeps the upper-layer checksum right by its delta, keeps
// view's copy of the field in step, and works at any alignment (a 32-bit option at an odd offset
// included).
#pragma once

#include "pkt/checksum.h"
#include "pkt/view.h"

#include <string.h>

// TCP header fields.
void edit_seq(struct view *view, uint32_t seq);
void edit_ack(struct view *view, uint32_t ack);
void edit_window(struct view *view, uint16_t window);
void edit_tcp_flags(struct view *view, uint8_t flags);

// Several changes of one TCP header: its checksum follows when all are made. Offsets count from the
// header, at any alignment.
struct edit {
	uint8_t *tcp;
	uint64_t sum; // of what was taken out, complemented, and what was put in
};
#define EDIT_SEQ      4
#define EDIT_ACK      8
#define EDIT_WINDOW   14
#define EDIT_CHECKSUM 16

static inline struct edit edit_begin(const struct view *view)
{
	return (struct edit){.tcp = view->data + view->l4};
}

static inline void edit_put16(struct edit *edit, unsigned at, uint16_t value)
{
	uint16_t from, to = __builtin_bswap16(value);

	memcpy(&from, edit->tcp + at, sizeof(from));
	memcpy(edit->tcp + at, &to, sizeof(to));
	edit->sum += (uint64_t)(uint16_t)~from + to;
}

static inline void edit_put32(struct edit *edit, unsigned at, uint32_t value)
{
	uint32_t from, to = __builtin_bswap32(value);

	memcpy(&from, edit->tcp + at, sizeof(from));
	memcpy(edit->tcp + at, &to, sizeof(to));
	from = ~from;
	if (at % 2 != 0) { // its bytes stand in the other halves of the words
		from = from << 8 | from >> 24;
		to = to << 8 | to >> 24;
	}
	edit->sum += (uint64_t)from + to;
}

static inline void edit_end(const struct edit *edit)
{
	uint16_t checksum;

	memcpy(&checksum, edit->tcp + EDIT_CHECKSUM, sizeof(checksum));
	checksum = (uint16_t)~checksum_fold(edit->sum + (uint16_t)~checksum);
	memcpy(edit->tcp + EDIT_CHECKSUM, &checksum, sizeof(checksum));
}

// Replaces 4 bytes at an offset from frame->data: the sequence number, the acknowledgement number,
// or any 4 bytes of the options.
void edit_tcp32(struct view *view, uint16_t offset, uint32_t value);

// Overwrites `len` bytes of options with NOP.
void edit_nop(struct view *view, uint16_t offset, uint16_t len);

// Clears ECT/CE in the IP header (TCP.md 2.8); IPv4 header checksum follows.
void edit_clear_ecn(struct view *view);

// Recomputes the IPv4 header checksum, and the TCP/UDP/ICMP checksum over the whole packet (not of
// a fragment or a cut capture, where it cannot be known). An IPv4 UDP checksum of 0 stays 0, a
// computed one becomes 0xffff. TCP.md 6.5.
void edit_checksums(struct view *view);
