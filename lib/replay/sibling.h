// A node of a replayed cluster, as far as it is not its engine: the cluster, the letters between
// the two, and the keys that a real node's control core makes of the cluster's secret. Datagrams go
// straight into the other node's box, in virtual time and without loss.
//
//	lend(), said()       the cells an engine's turn may fill, and how many it filled
//	run()                the cluster's turn, where one is due
//	tell(), told()       what the engine is to be given in its next turn, and that it was
//
// No clock, no randomness, no I/O: the same calls have the same results. Memory is the caller's.
#pragma once

#include "cluster/cluster.h"
#include "engine/message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sibling;

size_t sibling_bytes(const struct cluster_config *config);
// `memory` is zeroed and page aligned. The handshake of `config` is set here, and `number` makes
// the keys; it has one peer. The policy stays the caller's.
struct sibling *sibling_init(void *memory, const struct cluster_config *config,
	const struct policy *policy, uint64_t number);
// Both know each other from here on.
void sibling_meet(struct sibling *one, struct sibling *other);
void sibling_finish(struct sibling *sibling);

unsigned sibling_lend(struct sibling *sibling, struct message **lent, unsigned room);
void sibling_said(struct sibling *sibling, unsigned used);

// True where the cluster did, or said, anything; false where nothing is due.
bool sibling_run(struct sibling *sibling, uint64_t now_ns);
// Nanoseconds until it has to run although nothing comes.
uint64_t sibling_idle_ns(const struct sibling *sibling, uint64_t now_ns);

// At most ENGINE_BATCH_MAX messages for the engine. They stay where they are until sibling_told().
unsigned sibling_tell(struct sibling *sibling, uint64_t now_ns, struct message **out);
void sibling_told(struct sibling *sibling);

// The cluster counter in ns and in ticks, 0 before it is agreed.
uint64_t sibling_counter_ns(const struct sibling *sibling, uint64_t now_ns);
uint32_t sibling_tick(const struct sibling *sibling, uint64_t now_ns);
// True once it is active, with its peer, and its engine has been given the keys.
bool sibling_is_ready(const struct sibling *sibling);
// How their services differ, or what keeps them apart; "" where nothing is known.
const char *sibling_complaint(const struct sibling *sibling);
const struct cluster_peer_stats *sibling_peer_stats(const struct sibling *sibling);
