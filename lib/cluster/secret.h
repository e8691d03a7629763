// The cluster's secrets of this node: the newest one and the one it replaces, with the epoch from
// which the newest counts.
//
// A generation says when its cluster was founded, and in a number the round, the id of the node
// that made it and a digest of the secret. Of two the one that counts is the *later*: that of the
// cluster that was founded first, for more depends on it than on one of nodes that restarted while
// they were cut off; and in one cluster that of the higher number. So of two rotations at the same
// time one is later, on all nodes alike, and equal generations are equal secrets: a founder that
// restarts makes another one. A replacement that is replaced before its first epoch has come is
// forgotten, by all alike too.
#pragma once

#include "cluster/hello.h"

#define SECRET_ID_SHIFT	   32
#define SECRET_ROUND_SHIFT (SECRET_ID_SHIFT + 6)
_Static_assert(NODES_MAX == 1 << (SECRET_ROUND_SHIFT - SECRET_ID_SHIFT), "an id fits in between");

struct secrets {
	struct secret previous; // a generation of number 0: none
	struct secret newest;
	bool open; // whatever comes next replaces all: this node joins
};

bool generation_is_same(struct generation a, struct generation b);
// Whether `a` counts where both are heard of. None is earlier than any.
bool generation_is_later(struct generation a, struct generation b);

// The first one, of a node that founds the cluster when the counter is `founded_ns`: from the
// beginning of time.
void secrets_found(struct secrets *secrets, uint64_t founded_ns, uint16_t id,
	const uint8_t bytes[CLUSTER_SECRET_BYTES]);
// A peer's, whose newest generation is `told`: of two histories the one that ends later is taken
// whole, so that what a peer's newest one replaces counts here, too, until it does. False: nothing
// new.
bool secrets_adopt(struct secrets *secrets, const struct secret *secret, struct generation told,
	uint32_t epoch);
// A replacement by this node, from the epoch after the next on. False: there are no numbers left.
bool secrets_rotate(struct secrets *secrets, uint16_t id, uint32_t epoch,
	const uint8_t bytes[CLUSTER_SECRET_BYTES]);
// True while keys of the previous one may still be needed.
bool secrets_overlap(const struct secrets *secrets, uint32_t epoch);
void secrets_wipe(struct secrets *secrets);
