// Between DPDK's buffers and the engine's frames: taking, lending, acting on verdicts, sending. An
// mbuf is owned by exactly one of: a device, frames[] of a turn, spare[], send[] or ended[] of a
// turn, a ring between workers. Each way back to the pool counts a reason or a transmission.
// mbuf->port holds the index of a port in the configuration (arrival; in send[] departure), not
// DPDK's number.
#include "weir/worker_internal.h"

#include "base/check.h"
#include "weir/capture.h"

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#define SEND_TRIES 4

static void offer(const struct worker *worker, enum capture_stage stage,
	const struct rte_mbuf *mbuf, uint8_t port, const struct verdict *verdict)
{
	const struct capture_packet packet = {
		.data = rte_pktmbuf_mtod(mbuf, const uint8_t *),
		.len = mbuf->data_len,
		.stage = (uint8_t)stage,
		.port = port,
		.reason = verdict ? verdict->reason : (uint8_t)REASON_NONE,
		.rule = verdict ? verdict->rule : RULE_NONE,
	};

	capture_offer(worker->index, &packet);
}

// Dropped here, not by the engine. Of a chain a capture gets the first buffer.
static void drop(struct worker *worker, struct rte_mbuf *mbuf, enum reason reason)
{
	const struct verdict verdict = {.reason = (uint8_t)reason, .rule = RULE_NONE};

	if (capture_wants())
		offer(worker, CAPTURE_DROP, mbuf, (uint8_t)mbuf->port, &verdict);
	counter_add(&worker->counters.dropped[reason], 1);
	rte_pktmbuf_free(mbuf);
}

static inline uint8_t checksum_flags(uint64_t mbuf_flags)
{
	const uint64_t l3 = mbuf_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK;
	const uint64_t l4 = mbuf_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK;
	uint8_t flags = 0;

	if (!(l3 | l4))
		return 0; // most virtual devices look at none
	if (l3 == RTE_MBUF_F_RX_IP_CKSUM_GOOD)
		flags |= FRAME_L3_GOOD;
	else if (l3 == RTE_MBUF_F_RX_IP_CKSUM_BAD)
		flags |= FRAME_L3_BAD;
	if (l4 == RTE_MBUF_F_RX_L4_CKSUM_GOOD)
		flags |= FRAME_L4_GOOD;
	else if (l4 == RTE_MBUF_F_RX_L4_CKSUM_BAD)
		flags |= FRAME_L4_BAD;
	return flags;
}

// Adds a packet to the turn. Chains are joined; one that does not fit into its first buffer, or is
// longer than any frame of its port, is not shown to the engine: a device may have cut it.
static inline unsigned add_frame(
	struct worker *worker, unsigned count, struct rte_mbuf *mbuf, uint32_t frame_bytes)
{
	if (unlikely(mbuf->pkt_len > frame_bytes ||
		     (mbuf->nb_segs > 1 && rte_pktmbuf_linearize(mbuf)))) {
		drop(worker, mbuf, REASON_too_big);
		return count;
	}
	worker->arrived[count] = mbuf;
	worker->frames[count] = (struct frame){
		.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
		.len = mbuf->data_len,
		.headroom = rte_pktmbuf_headroom(mbuf),
		.tailroom = rte_pktmbuf_tailroom(mbuf),
		.port = (uint8_t)mbuf->port,
		.flags = checksum_flags(mbuf->ol_flags),
	};
	return count + 1;
}

static unsigned next_of(unsigned index, unsigned number)
{
	return index + 1 == number ? 0 : index + 1;
}

static unsigned take_handed(struct worker *worker, unsigned count)
{
	struct rte_mbuf *burst[PORT_BURST];

	unsigned workers = worker->node->worker_count;

	// Another one first each turn, and room is left for a burst of the worker's own ports.
	for (unsigned i = 0, from = worker->first_worker; i < workers;
		i++, from = next_of(from, workers)) {
		if (from == worker->index || count + 2 * PORT_BURST > ENGINE_BATCH_MAX)
			continue;
		unsigned got = rte_ring_sc_dequeue_burst(
			worker->handed[from], (void **)burst, PORT_BURST, NULL);
		counter_add(&worker->counters.handed_in, got);
		for (unsigned j = 0; j < got; j++)
			count = add_frame(worker, count, burst[j],
				worker->node->ports[burst[j]->port].frame_bytes);
	}
	return count;
}

// The queue of `port` this worker polls, or -1.
static int rx_queue(const struct worker *worker, const struct port *port)
{
	unsigned queue = worker_queue(worker, port);

	return queue < port->rx_queues ? (int)queue : -1;
}

static unsigned take_port(struct worker *worker, unsigned count, unsigned index)
{
	const struct port *port = &worker->node->ports[index];
	struct worker_port_stats *stats = &worker->counters.ports[index];
	struct rte_mbuf *burst[ENGINE_BATCH_MAX];
	unsigned room = ENGINE_BATCH_MAX - count, before = count;
	int queue = rx_queue(worker, port);
	uint32_t frame_bytes = port->frame_bytes;
	uint64_t bytes = 0;

	if (queue < 0 || room == 0)
		return count;
	unsigned got = rte_eth_rx_burst(port->id, (uint16_t)queue, burst, (uint16_t)room);
	if (got == 0)
		return count;
	for (unsigned i = 0; i < got; i++) {
		bytes += burst[i]->pkt_len;
		burst[i]->port = (uint16_t)index;
		count = add_frame(worker, count, burst[i], frame_bytes);
	}
	bool captures = capture_wants();
	for (unsigned i = before; i < count && captures; i++)
		offer(worker, CAPTURE_RX, worker->arrived[i], (uint8_t)index, NULL);
	counter_add(&stats->rx_packets, got);
	counter_add(&stats->rx_bytes, bytes);
	return count;
}

unsigned worker_take(struct worker *worker, bool inward)
{
	unsigned ports = worker->node->port_count, port = worker->first_port;
	unsigned count = take_handed(worker, 0);

	worker->first_worker = next_of(worker->first_worker, worker->node->worker_count);
	for (unsigned i = 0; inward && i < ports; i++, port = next_of(port, ports))
		count = take_port(worker, count, port);
	worker->first_port = next_of(worker->first_port, ports);
	return count;
}

static void describe_spares(struct worker *worker, unsigned begin, unsigned end)
{
	for (unsigned i = begin; i < end; i++) {
		struct rte_mbuf *mbuf = worker->spare[i];

		worker->out[i] = (struct frame){
			.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
			.headroom = rte_pktmbuf_headroom(mbuf),
			.tailroom = rte_pktmbuf_tailroom(mbuf),
		};
	}
}

unsigned worker_lend(struct worker *worker)
{
	unsigned before = worker->spare_count, missing = ENGINE_BATCH_MAX - before;

	// All or nothing: when the pool is empty the engine gets what is left.
	if (missing &&
		rte_pktmbuf_alloc_bulk(worker->node->pool, &worker->spare[before], missing) == 0)
		worker->spare_count = ENGINE_BATCH_MAX;
	describe_spares(worker, before, worker->spare_count);
	return worker->spare_count;
}

// The engine sent the first `used` of out[], and may have begun to write the next one: the last of
// spare[] take the places of those that are gone. The others are described as they were.
static void close_ranks(struct worker *worker, unsigned used)
{
	unsigned left = worker->spare_count - used;

	for (unsigned i = 0; i < used && i < left; i++)
		worker->spare[i] = worker->spare[worker->spare_count - 1 - i];
	worker->spare_count = left;
	describe_spares(worker, 0, left < used + 1 ? left : used + 1);
}

void worker_drop_spares(struct worker *worker)
{
	rte_pktmbuf_free_bulk(worker->spare, worker->spare_count);
	worker->spare_count = 0;
}

// What the engine made of a frame becomes the packet again. Checksums are complete, tags are in the
// frame: nothing is left for the device to do.
static void frame_to_mbuf(const struct frame *frame, struct rte_mbuf *mbuf)
{
	mbuf->data_off = (uint16_t)(frame->data - (uint8_t *)mbuf->buf_addr);
	mbuf->data_len = frame->len;
	mbuf->pkt_len = frame->len;
	mbuf->ol_flags = 0;
}

// Gives packets to a worker's ring; those that do not fit are dropped for `reason`.
static void hand_over(struct worker *worker, struct rte_ring *ring, unsigned to,
	struct rte_mbuf **mbufs, unsigned count, enum reason reason)
{
	unsigned taken = rte_ring_sp_enqueue_burst(ring, (void **)mbufs, count, NULL);

	counter_add(&worker->counters.handed_out, taken);
	for (unsigned i = taken; i < count; i++)
		drop(worker, mbufs[i], reason);
	worker->woken |= UINT64_C(1) << to;
}

static void send_burst(
	struct worker *worker, unsigned index, struct rte_mbuf **mbufs, unsigned count)
{
	const struct port *port = &worker->node->ports[index];
	struct worker_port_stats *stats = &worker->counters.ports[index];
	uint16_t queue = port->tx_queues > 1 ? (uint16_t)worker->index : 0;
	unsigned sent = 0;
	uint64_t bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += mbufs[i]->pkt_len;
	for (unsigned i = 0; i < SEND_TRIES && sent < count; i++)
		sent += rte_eth_tx_burst(port->id, queue, mbufs + sent, (uint16_t)(count - sent));
	for (unsigned i = sent; i < count; i++) {
		bytes -= mbufs[i]->pkt_len;
		drop(worker, mbufs[i], REASON_tx_refused);
	}
	counter_add(&stats->tx_packets, sent);
	counter_add(&stats->tx_bytes, bytes);
	counter_add(&stats->tx_refused, count - sent);
}

static void flush_port(struct worker *worker, unsigned index)
{
	const struct port *port = &worker->node->ports[index];
	struct worker_send *send = &worker->send[index];

	if (send->count == 0)
		return;
	if (capture_wants()) {
		for (unsigned i = 0; i < send->count; i++)
			offer(worker, CAPTURE_TX, send->mbufs[i], (uint8_t)index, NULL);
	}
	if (port->tx_queues > 1 || port->tx_worker == worker->index) {
		send_burst(worker, index, send->mbufs, send->count);
	} else {
		struct worker *sender = worker->node->workers[port->tx_worker];

		hand_over(worker, sender->outgoing[worker->index], sender->index, send->mbufs,
			send->count, REASON_tx_refused);
	}
	send->count = 0;
}

void worker_send_for_others(struct worker *worker)
{
	struct rte_mbuf *burst[PORT_BURST];

	for (unsigned from = 0; from < worker->node->worker_count; from++) {
		if (from == worker->index)
			continue;
		unsigned got = rte_ring_sc_dequeue_burst(
			worker->outgoing[from], (void **)burst, PORT_BURST, NULL);
		counter_add(&worker->counters.handed_in, got);
		for (unsigned i = 0, next; i < got; i = next) {
			for (next = i + 1; next < got && burst[next]->port == burst[i]->port;)
				next++;
			send_burst(worker, burst[i]->port, burst + i, next - i);
		}
	}
}

static inline void put_out(
	struct worker *worker, const struct frame *frame, struct rte_mbuf *mbuf, uint8_t port)
{
	struct worker_send *send = &worker->send[port];
	unsigned place = send->count;

	CHECK(port < worker->node->port_count && place < WORKER_SEND_MAX);
	send->mbufs[place] = mbuf;
	send->count = place + 1;
	frame_to_mbuf(frame, mbuf);
	mbuf->port = port;
}

static void act_on(struct worker *worker, unsigned index, bool captures)
{
	const struct verdict *verdict = &worker->verdicts[index];
	struct rte_mbuf *mbuf = worker->arrived[index];

	switch ((enum verdict_kind)verdict->kind) {
	case VERDICT_FORWARD:
	case VERDICT_REPLY:
		put_out(worker, &worker->frames[index], mbuf, verdict->port);
		return;
	case VERDICT_WORKER: {
		struct worker *owner = worker->node->workers[verdict->worker];

		CHECK(owner != worker);
		hand_over(worker, owner->handed[worker->index], owner->index, &mbuf, 1,
			REASON_control_busy);
		return;
	}
	case VERDICT_DROP:
		if (verdict->reason == REASON_bad_checksum)
			counter_add(&worker->counters.ports[mbuf->port].rx_bad_checksum, 1);
		if (captures)
			offer(worker, CAPTURE_DROP, mbuf, (uint8_t)mbuf->port, verdict);
		break;
	case VERDICT_CONSUME:
		break;
	}
	worker->ended[worker->ended_count++] = mbuf; // counted by the engine
}

void worker_act(struct worker *worker, const struct batch *batch)
{
	bool captures = batch->frame_count && capture_wants();

	for (unsigned i = 0; i < batch->frame_count; i++)
		act_on(worker, i, captures);
	if (worker->ended_count)
		rte_pktmbuf_free_bulk(worker->ended, worker->ended_count);
	worker->ended_count = 0;
	for (unsigned i = 0; i < batch->out_used; i++)
		put_out(worker, &worker->out[i], worker->spare[i], worker->out[i].port);
	close_ranks(worker, batch->out_used);
	for (unsigned i = 0; i < worker->node->port_count; i++)
		flush_port(worker, i);
	for (; worker->woken; worker->woken &= worker->woken - 1)
		bell_ring(&worker->node->workers[__builtin_ctzll(worker->woken)]->bell);
}
