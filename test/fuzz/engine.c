// The engine in a storm chosen by the input: segments of a few conversations, right and wrong ones
// and mutations of them, messages of lying peers, time, and buffers that run short. Each byte is a
// choice; the engine's keys are fixed, so an input can complete handshakes. Every packet must be
// explained and every gauge right, at any time and after a flush.
#include "fuzz.h"

#include "base/check.h"
#include "storm.h"

#define STEPS_MAX 4096

struct input {
	const uint8_t *data;
	size_t len;
};

static uint32_t next_choice(void *source, uint32_t bound)
{
	struct input *input = source;
	uint32_t value = 0;
	unsigned bytes = bound <= 256 ? 1 : bound <= 65536 ? 2 : 4;

	for (; bytes > 0 && input->len > 0; bytes--, input->len--)
		value = value << 8 | *input->data++;
	return bound == 0 ? 0 : value % bound;
}

static struct node *fresh_node(void)
{
	static struct node node;
	static uint64_t start_ns;

	if (node.memory == NULL) {
		storm_node_init(&node);
		start_ns = node.now_ns;
		node_go(&node);
		return &node;
	}
	node.now_ns = start_ns;
	node.tick = HARNESS_TICK;
	node.lend = HARNESS_LENT;
	node.message_room = HARNESS_MESSAGES_MAX;
	node_restart(&node);
	return &node;
}

static void check(const struct node *node)
{
	CHECK(node_unexplained(node) == 0);
	CHECK(node_gauges_good(node));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input input = {data, len};
	struct node *node = fresh_node();
	struct storm storm;

	storm_init(&storm, node);
	storm.choose = next_choice;
	storm.source = &input;
	for (unsigned i = 0; i < STEPS_MAX && input.len > 0; i++) {
		storm_step(&storm);
		check(node);
	}
	node->message_room = HARNESS_MESSAGES_MAX;
	node_flush(node);
	check(node);
	CHECK(engine_flow_count(node->engine) == 0 && engine_queued_bytes(node->engine) == 0);
	CHECK(engine_idle_ns(node->engine, node->now_ns) == UINT64_MAX);
	storm_finish(&storm);
	return 0;
}
