// Where packets are offered: one box, or two nodes of one cluster, each of which takes the packets
// of one side (asymmetric routing). What is let through leaves by the other side of the same node.
//
// What nodes say to each other goes straight from one to the other, takes no time and is never
// lost: it is said as soon as there is something to say, and heard before the next packet. The
// nodes have joined before the first one: the replay's clock begins there.
#pragma once

#include "weir/replay/box.h"

#define SITE_BOXES_MAX 2

struct site {
	struct box boxes[SITE_BOXES_MAX];
	unsigned count;
	uint8_t taker[2]; // by side: index of the box that takes its packets
	uint64_t now_ns;
};

struct site_options {
	struct config *configs[SITE_BOXES_MAX];
	unsigned count;
	uint8_t taker[2];
	bool seeded;
	uint64_t seed;
	struct box_listener listener;
};

// 0, or 1 after an error message, which names a configuration by its file. The configurations stay
// the caller's.
int site_open(struct site *site, const struct site_options *options);
void site_close(struct site *site);

// As box_advance(), of all boxes at once.
int site_advance(struct site *site, uint64_t to_ns);
// What the last turn of a box gives the nodes to say to each other.
void site_exchange(struct site *site);

// The replay's clock begins here.
void site_begin(struct site *site);

struct box *site_taker(struct site *site, uint8_t side);
bool site_is_opening(const struct site *site);
