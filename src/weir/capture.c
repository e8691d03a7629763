// One capture at a time. Control stores what is wanted, then `active` = the session's number; a
// worker that sees a number marks itself `inside`, looks again, and copies what matches into its
// ring.
//
// `want` is written only while nothing is active and nobody is inside. The mark and the second look
// are sequentially consistent, as are the store of 0 in capture_close() and the look at the marks
// in capture_open(): either the worker sees 0 and goes, or control sees the mark and reports that a
// capture runs still.
//
// Rings live from the first capture to the end of the process, so a worker never holds one that is
// freed. Each has one producer, its worker, and one consumer, control.
#include "weir/capture.h"

#include "base/cpu.h"
#include "base/error.h"
#include "pkt/view.h"
#include "weir/console/match.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

_Static_assert((CAPTURE_CELLS & (CAPTURE_CELLS - 1)) == 0, "cells are found by mask");

struct capture_ring {
	atomic_uint tail CPU_ALIGNED; // written by the worker: cells filled
	atomic_uint inside;	      // written by the worker: it may read `want`
	atomic_ullong lost; // written by the worker; zeroed by control while nobody is inside
	atomic_uint head CPU_ALIGNED; // written by control: cells drained
	struct capture_cell cells[CAPTURE_CELLS];
};

atomic_uint capture_active;

static struct {
	uint8_t port;
	bool drops;
	bool matched;
	struct match match;
} want;

static _Atomic(struct capture_ring *)
	rings[CAPTURE_WORKERS]; // released by control, acquired by workers
static unsigned session;	// control

static bool tuple_wanted(const struct capture_packet *packet)
{
	struct frame frame = {.data = (uint8_t *)packet->data, .len = packet->len};
	struct view view;
	struct tuple there, back;

	if (view_parse(&view, &frame) != REASON_NONE || !(view.bits & (VIEW_IP4 | VIEW_IP6)))
		return false;
	there = (struct tuple){.src = view.src, .dst = view.dst};
	if (view.bits & (VIEW_TCP | VIEW_UDP)) {
		there.sport = view.sport;
		there.dport = view.dport;
	}
	back = (struct tuple){there.dst, there.src, there.dport, there.sport};
	return match_tuple(&want.match, view.protocol, &there) ||
	       match_tuple(&want.match, view.protocol, &back);
}

static bool is_wanted(const struct capture_packet *packet)
{
	if (want.drops != (packet->stage == CAPTURE_DROP))
		return false;
	if (want.port != CAPTURE_PORT_ANY && want.port != packet->port)
		return false;
	return !want.matched || tuple_wanted(packet);
}

static uint64_t wall_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void copy(struct capture_ring *ring, unsigned number, const struct capture_packet *packet)
{
	unsigned tail = atomic_load_explicit(&ring->tail, memory_order_relaxed);
	// Acquire pairs with the release of `head` in capture_drain(): the cell is drained.
	unsigned head = atomic_load_explicit(&ring->head, memory_order_acquire);
	struct capture_cell *cell = &ring->cells[tail % CAPTURE_CELLS];

	if (tail - head == CAPTURE_CELLS) {
		atomic_fetch_add_explicit(&ring->lost, 1, memory_order_relaxed);
		return;
	}
	cell->time_ns = wall_clock_ns();
	cell->session = number;
	cell->rule = packet->rule;
	cell->len = packet->len;
	cell->kept = packet->len < CAPTURE_SNAP_BYTES ? packet->len : CAPTURE_SNAP_BYTES;
	cell->stage = packet->stage;
	cell->port = packet->port;
	cell->reason = packet->reason;
	memcpy(cell->data, packet->data, cell->kept);
	// Release pairs with the acquire of `tail` in drain_ring().
	atomic_store_explicit(&ring->tail, tail + 1, memory_order_release);
}

void capture_offer(unsigned worker, const struct capture_packet *packet)
{
	struct capture_ring *ring = atomic_load_explicit(&rings[worker], memory_order_acquire);
	unsigned number;

	if (!ring)
		return;
	atomic_store(&ring->inside, 1);
	number = atomic_load(&capture_active);
	if (number && is_wanted(packet))
		copy(ring, number, packet);
	atomic_store_explicit(&ring->inside, 0, memory_order_release);
}

static int make_rings(unsigned workers)
{
	for (unsigned i = 0; i < workers; i++) {
		struct capture_ring *ring = atomic_load_explicit(&rings[i], memory_order_relaxed);

		if (ring)
			continue;
		ring = aligned_alloc(CPU_CACHE_LINE_BYTES, sizeof(*ring));
		if (!ring)
			return -ERR_MEMORY;
		memset(ring, 0, offsetof(struct capture_ring, cells));
		atomic_store_explicit(&rings[i], ring, memory_order_release);
	}
	return 0;
}

int capture_open(const struct capture_want *asked, unsigned workers)
{
	struct capture_ring *ring;

	if (atomic_load(&capture_active))
		return -ERR_EXISTS;
	if (workers > CAPTURE_WORKERS || make_rings(workers))
		return -ERR_MEMORY;
	for (unsigned i = 0; i < workers; i++) {
		ring = atomic_load_explicit(&rings[i], memory_order_relaxed);
		if (atomic_load(&ring->inside))
			return -ERR_EXISTS;
		atomic_store_explicit(&ring->lost, 0, memory_order_relaxed);
	}
	want.port = asked->port;
	want.drops = asked->drops;
	want.matched = asked->match != NULL;
	if (asked->match)
		want.match = *asked->match;
	session += session + 1 == 0 ? 2 : 1; // 0 means that none runs
	atomic_store(&capture_active, session);
	return 0;
}

void capture_close(void)
{
	atomic_store(&capture_active, 0);
}

static unsigned drain_ring(struct capture_ring *ring,
	void (*take)(void *context, const struct capture_cell *cell), void *context, unsigned max)
{
	unsigned head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	unsigned tail = atomic_load_explicit(&ring->tail, memory_order_acquire);
	unsigned taken = 0;

	for (; head != tail && taken < max; head++) {
		const struct capture_cell *cell = &ring->cells[head % CAPTURE_CELLS];

		if (cell->session == session) {
			take(context, cell);
			taken++;
		}
	}
	atomic_store_explicit(&ring->head, head, memory_order_release);
	return taken;
}

unsigned capture_drain(
	void (*take)(void *context, const struct capture_cell *cell), void *context, unsigned max)
{
	unsigned taken = 0;

	for (unsigned i = 0; i < CAPTURE_WORKERS; i++) {
		struct capture_ring *ring = atomic_load_explicit(&rings[i], memory_order_relaxed);

		if (ring)
			taken += drain_ring(ring, take, context, max - taken);
	}
	return taken;
}

uint64_t capture_lost(void)
{
	uint64_t lost = 0;

	for (unsigned i = 0; i < CAPTURE_WORKERS; i++) {
		struct capture_ring *ring = atomic_load_explicit(&rings[i], memory_order_relaxed);

		if (ring)
			lost += atomic_load_explicit(&ring->lost, memory_order_relaxed);
	}
	return lost;
}
