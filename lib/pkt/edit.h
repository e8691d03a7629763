// Edits of a packet in place. Every edit keeps the upper-layer checksum right by its delta, keeps
// view's copy of the field in step, and works at any alignment (a 32-bit option at an odd offset
// included).
#pragma once

#include "pkt/view.h"

// TCP header fields.
void edit_seq(struct view *view, uint32_t seq);
void edit_ack(struct view *view, uint32_t ack);
void edit_window(struct view *view, uint16_t window);
void edit_tcp_flags(struct view *view, uint8_t flags);

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
