#include "duo.h"

#include "base/check.h"
#include "scene.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_BYTES 4096
#define TURN_NS	   20000ULL
#define START_NS   100000000000ULL
#define COUNTER_NS 16000000000000ULL
#define JOIN_TURNS 1000000

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 // Linux 6.1
#endif

static void *pages(size_t bytes)
{
	void *memory;

	bytes = (bytes + PAGE_BYTES - 1) & ~(size_t)(PAGE_BYTES - 1);
	memory = aligned_alloc(PAGE_BYTES, bytes);
	CHECK(memory != NULL);
	memset(memory, 0, bytes);
	madvise(memory, bytes, MADV_COLLAPSE); // as the worker maps its engine
	return memory;
}

void duo_fill_cells(struct message *cells[CLUSTER_BATCH_MAX])
{
	struct message *block = calloc(CLUSTER_BATCH_MAX, sizeof(*block));

	CHECK(block != NULL);
	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++)
		cells[i] = &block[i];
}

void duo_start_node(struct duo_node *self, enum duo_end end, const struct node *node)
{
	struct cluster_config config = {.name = "bench",
		.node = "node",
		.id = (uint16_t)end,
		.max_id = NODES_MAX - 1,
		.detect_ms = 500,
		.join_ms = 2000,
		.incarnation = 0x100u + (unsigned)end,
		.workers = 1,
		.counter_ns = COUNTER_NS,
		.datagram_bytes = DATAGRAM_BYTES_MAX,
		.methods = &keyed_methods,
		.context = &self->keys,
		.peer_count = 1};

	memset(self->keys.secret, 0x3c, sizeof(self->keys.secret));
	self->keys.id = config.id;
	self->keys.nonce = config.incarnation << 8;
	memset(config.secret, 0x40 + (int)end, sizeof(config.secret));
	memcpy(config.table_key, node->config.table_key, sizeof(config.table_key));
	config.peers[0].id = end == DUO_SENDER ? DUO_RECEIVER : DUO_SENDER;
	snprintf(config.peers[0].name, sizeof(config.peers[0].name), "other");
	self->memory = pages(cluster_bytes(&config));
	self->cluster = cluster_init(self->memory, &config);
	cluster_set_policy(self->cluster, &node->policy);
	duo_fill_cells(self->cells);
	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++) {
		self->inbox.datagrams[i].data = self->inbox.bytes[i];
		self->outbox.datagrams[i].data = self->outbox.bytes[i];
	}
}

void duo_start_engine(struct node *node, uint32_t flows)
{
	node_init(node);
	node->config.capacity = flows + flows / 4 + 1024;
	node->policy.limits.per_prefix_flows = UINT32_MAX;
	node->policy.node_id = DUO_RECEIVER;
	node->policy.max_id = NODES_MAX - 1;
	node->policy.clustered = true;
	node->tick = (uint32_t)(COUNTER_NS / KEYRING_TICK_NS);
	node_go(node);
	madvise(node->memory, engine_bytes(&node->config) & ~(size_t)(PAGE_BYTES - 1),
		MADV_COLLAPSE);
}

// One call of a cluster. Returns how many of its cells were used.
static unsigned run_cluster(struct duo *duo, enum duo_end end, struct message *const *messages,
	unsigned count, uint64_t *cycles)
{
	struct duo_node *self = &duo->nodes[end];
	struct cluster_batch batch = {.now_ns = duo->now_ns,
		.datagrams = self->inbox.datagrams,
		.datagram_count = self->inbox.count,
		.out = self->outbox.datagrams,
		.out_room = CLUSTER_BATCH_MAX,
		.messages_in = messages,
		.messages_in_count = count,
		.messages_more = count == CLUSTER_BATCH_MAX,
		.messages_out = self->cells,
		.messages_out_room = CLUSTER_BATCH_MAX};
	uint64_t start = tsc_read();

	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++)
		self->outbox.datagrams[i].room = DATAGRAM_BYTES_MAX;
	cluster_run(self->cluster, &batch);
	*cycles += tsc_read() - start;
	self->outbox.count = batch.out_used;
	self->datagrams += batch.out_used;
	return batch.messages_out_used;
}

static void run_engine(struct duo *duo, unsigned count, uint64_t *cycles)
{
	struct batch batch = {.now_ns = duo->now_ns,
		.tick = duo->node->tick,
		.messages_in = duo->nodes[DUO_RECEIVER].cells,
		.messages_in_count = count,
		.messages_out = duo->answers,
		.messages_out_room = CLUSTER_BATCH_MAX};
	uint64_t start = tsc_read();

	engine_run(duo->node->engine, &batch);
	*cycles += tsc_read() - start;
	duo->answer_count = batch.messages_out_used;
}

static void carry(struct duo *duo, enum duo_end from, enum duo_end to)
{
	struct duo_mail *out = &duo->nodes[from].outbox, *in = &duo->nodes[to].inbox;

	for (unsigned i = 0; i < out->count; i++) {
		memcpy(in->bytes[i], out->bytes[i], out->datagrams[i].len);
		in->datagrams[i] = (struct datagram){.data = in->bytes[i],
			.len = out->datagrams[i].len,
			.room = DATAGRAM_BYTES_MAX};
	}
	in->count = out->count;
	out->count = 0;
}

void duo_turn(struct duo *duo, unsigned count, struct duo_cost *cost)
{
	struct duo_node *sender = &duo->nodes[DUO_SENDER];
	unsigned used;

	duo->now_ns += TURN_NS;
	used = run_cluster(duo, DUO_SENDER, duo->posts, count, &cost->sender);
	for (unsigned i = 0; i < used; i++)
		if (sender->cells[i]->type == MESSAGE_VIEW)
			duo->view = sender->cells[i]->body.view.active;
	carry(duo, DUO_SENDER, DUO_RECEIVER);
	used = run_cluster(duo, DUO_RECEIVER, duo->answers, duo->answer_count, &cost->receiver);
	carry(duo, DUO_RECEIVER, DUO_SENDER);
	run_engine(duo, used, &cost->engine);
}

struct duo *duo_create(uint32_t flows)
{
	struct duo *duo = pages(sizeof(*duo));
	struct duo_cost ignored = {0};
	unsigned turns = 0;

	duo->node = pages(sizeof(*duo->node));
	duo->now_ns = START_NS;
	duo_start_engine(duo->node, flows);
	duo_fill_cells(duo->posts);
	duo_fill_cells(duo->answers);
	duo_start_node(&duo->nodes[DUO_SENDER], DUO_SENDER, duo->node);
	duo_start_node(&duo->nodes[DUO_RECEIVER], DUO_RECEIVER, duo->node);
	while (duo->view != (1u << DUO_SENDER | 1u << DUO_RECEIVER) || !duo_is_quiet(duo)) {
		CHECK(turns++ < JOIN_TURNS);
		duo_turn(duo, 0, &ignored);
	}
	return duo;
}

void duo_destroy(struct duo *duo)
{
	for (unsigned end = 0; end < DUO_COUNT; end++) {
		cluster_finish(duo->nodes[end].cluster);
		free(duo->nodes[end].cells[0]);
		free(duo->nodes[end].memory);
	}
	free(duo->posts[0]);
	free(duo->answers[0]);
	node_finish(duo->node);
	free(duo->node);
	free(duo);
}

const struct cluster_peer_stats *duo_stats(const struct duo *duo, enum duo_end end)
{
	return cluster_peer_stats(duo->nodes[end].cluster, 0);
}

bool duo_is_quiet(const struct duo *duo)
{
	return counter_get(&duo_stats(duo, DUO_SENDER)->queued) == 0 && duo->answer_count == 0;
}

uint32_t duo_tick(const struct duo *duo)
{
	return (uint32_t)(cluster_counter_ns(duo->nodes[DUO_SENDER].cluster, duo->now_ns) /
			  KEYRING_TICK_NS);
}
