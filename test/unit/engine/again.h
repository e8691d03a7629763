// A connection through the two nodes of spread.h, and the next of the same four-tuple.
#pragma once

#include "spread.h"

// The first one's.
extern const struct packet syn;

// In that mode; who opens waits for nobody.
struct scene scene_of(enum flow_mode mode);
// All that the last call said, and only what is for `to`.
void carry_all(struct node *from, struct node *to);
// A proxied connection, through `up` to the server and through B back. Returns what the server
// acknowledges.
uint32_t open_proxied(struct scene *scene, struct node *up, struct handshake *handshake,
	const struct packet *begin);
void close_proxied(struct scene *scene, const struct handshake *handshake, uint32_t ack);
// The SYN of the next one.
struct packet again(uint32_t more);
// The server's SYN/ACK at B, which A is asked about.
void answer_anew(struct scene *scene, uint32_t isn_c);
// A tracked one, which B has a copy of.
void open_tracked(struct scene *scene);
