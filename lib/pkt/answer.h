// Answers in IPv4, each written in the place of the segment it answers. Those of a burst have all
// but their numbers in common: that is made once, summed, and stored word by word. craft_tcp()
// makes the same frames of the same.
#pragma once

#include "pkt/craft.h"

#include <stdbool.h>
#include <stdint.h>

// What answers have in common, in the order of the wire.
struct answer_form {
	uint64_t ip_front;   // the first 8 bytes of the IP header
	uint32_t ip_upper;   // the next 4, without the checksum
	uint32_t tcp_upper;  // data offset, flags, window
	uint64_t ip_sum;     // of all of the IP header but its addresses
	uint64_t tcp_sum;    // of all of the TCP header and the pseudo-header that is here
	uint16_t tcp_bytes;  // TCP header with options
	uint16_t tsval_at;   // where TSval stands in the TCP header, 0: nowhere
	uint8_t options[24]; // with timestamps of 0
};

// What each has of its own.
struct answer_numbers {
	uint32_t seq, ack;
	uint32_t tsval, tsecr; // written where the form has timestamps
};

// Makes the form of craft_tcp()'s replies from all of `craft` but its numbers.
void answer_form_init(struct answer_form *form, const struct craft *craft);

// Turns the segment (VIEW_IP4, VIEW_TCP) into its answer, as craft_tcp() does with a reply in
// place. -ERR_MEMORY, and nothing done, where the room is too small, else 0.
int answer_write(struct frame *frame, const struct view *view, const struct answer_form *form,
	const struct answer_numbers *numbers);

// The same of a frame of a stencil's cut (pkt/stencil.h), from the frame alone, which is no shorter
// than its answer.
void answer_write_cut(
	struct frame *frame, const struct answer_form *form, const struct answer_numbers *numbers);

// The form with another window.
void answer_form_set_window(struct answer_form *form, uint16_t window);
