// The headline run of the design (section 3) between two engines, without crypto: the SYN enters at
// A, the server's packets leave through B. The SYN/ACK and the state travel as messages.
// Proves: P3, P4, P5, M5, M7 (the engine's part).
#include "harness.h"

#include "base/bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NODE_A 3
#define NODE_B 5
#define ISN_S  0xfffffffbu

static const struct packet syn = {.seq = 0x11112222,
	.window = 64240,
	.options = BYTES("\x02\x04\x05\xb4\x04\x02\x08\x0a\x00\x00\x10\x00\x00\x00\x00\x00"
			 "\x01\x03\x03\x07")};

static struct node *new_node(uint16_t id)
{
	struct node *node = malloc(sizeof(*node));

	assert_non_null(node);
	node_init(node);
	node->policy.node_id = id;
	node->policy.max_id = 15;
	node->policy.clustered = true;
	node_go(node);
	return node;
}

static void end_node(struct node *node)
{
	assert_int_equal(node_unexplained(node), 0);
	node_finish(node);
	free(node);
}

// Carries the first message `from` sent to the node it is for.
static void carry(struct node *from, struct node *to)
{
	assert_int_equal(from->message_count, 1);
	assert_int_equal(from->messages[0]->node, to->policy.node_id);
	node_carry(to, from->messages[0], from->policy.node_id);
}

static struct packet synack_of(const struct sent *server_syn)
{
	return (struct packet){.from_server = true,
		.flags = TCP_SYN | TCP_ACK,
		.seq = ISN_S,
		.ack = server_syn->view.seq + 1,
		.window = 65000,
		.options = syn.options};
}

static void open_at_a(struct node *a, struct handshake *handshake, struct packet *synack)
{
	handshake_open(a, handshake, &syn);
	assert_int_equal(a->sent_count, 1);
	// The server SYN's ISN is an m.SYN cookie: top 17 bits kept, the rest names A.
	assert_int_equal(a->sent[0].view.seq >> 15, syn.seq >> 15);
	*synack = synack_of(&a->sent[0]);
}

static void headline_run(void **state)
{
	struct node *a = new_node(NODE_A), *b = new_node(NODE_B);
	struct handshake handshake;
	struct packet synack, data;
	uint32_t e;

	(void)state;
	open_at_a(a, &handshake, &synack);
	e = synack.ack - 1 - syn.seq;
	// B has no state, decodes A and hands the SYN/ACK over; the client hears nothing yet.
	assert_int_equal(node_offer(b, INSIDE, &synack), VERDICT_CONSUME);
	assert_int_equal(b->sent_count, 0);
	assert_int_equal(b->messages[0]->type, MESSAGE_FRAME);
	carry(b, a);
	// A shares before it dequeues: nothing has left.
	assert_int_equal(a->sent_count, 0);
	assert_int_equal(a->messages[0]->type, MESSAGE_OPENED);
	carry(a, b);
	assert_int_equal(engine_flow_count(b->engine), 1);
	assert_int_equal(b->messages[0]->type, MESSAGE_CONFIRMED);
	carry(b, a);
	assert_int_equal(a->sent_count, 1);
	assert_int_equal(a->sent[0].view.seq, syn.seq + 1 + e);
	assert_int_equal(a->sent[0].view.ack, ISN_S + 1);
	// The server's data leaves through B, translated, without an exchange (P5).
	data = (struct packet){.from_server = true,
		.flags = TCP_ACK | TCP_PSH,
		.seq = ISN_S + 1,
		.ack = syn.seq + 1 + e,
		.window = 700,
		.payload = BYTES("hello"),
		.options = BYTES("\x01\x01\x08\x0a\x00\x00\x10\x05\x00\x00\x13\x88")};
	assert_int_equal(node_offer(b, INSIDE, &data), VERDICT_FORWARD);
	assert_int_equal(b->message_count, 0);
	assert_int_equal(b->sent[0].port, OUTSIDE);
	assert_int_equal(b->sent[0].view.seq, handshake.cookie + 1);
	assert_int_equal(b->sent[0].view.ack, syn.seq + 1);
	assert_int_equal(b->sent[0].options.tsval, handshake.synack.options.tsval + 5);
	assert_true(packet_good(&b->sent[0].frame));
	// The client's acknowledgement enters at A.
	data = handshake.ack;
	data.ack += 5;
	assert_int_equal(node_offer(a, OUTSIDE, &data), VERDICT_FORWARD);
	assert_int_equal(a->sent[0].view.ack, ISN_S + 6);
	end_node(a);
	end_node(b);
}

// The confirmation never comes: the queue leaves at the deadline, not before and not never.
static void confirmation_lost(void **state)
{
	struct node *a = new_node(NODE_A), *b = new_node(NODE_B);
	struct handshake handshake;
	struct packet synack;

	(void)state;
	open_at_a(a, &handshake, &synack);
	node_offer(b, INSIDE, &synack);
	carry(b, a);
	node_pass_ms(a, 100);
	assert_int_equal(a->sent_count, 0);
	node_pass_ms(a, 150);
	assert_int_equal(a->sent_count, 1);
	assert_int_equal(a->sent[0].view.ack, ISN_S + 1);
	end_node(a);
	end_node(b);
}

static void refusal_takes_the_same_way(void **state)
{
	struct node *a = new_node(NODE_A), *b = new_node(NODE_B);
	struct handshake handshake;
	struct packet synack;

	(void)state;
	open_at_a(a, &handshake, &synack);
	synack.flags = TCP_RST | TCP_ACK;
	synack.seq = 0;
	assert_int_equal(node_offer(b, INSIDE, &synack), VERDICT_CONSUME);
	carry(b, a);
	assert_int_equal(a->sent_count, 1);
	assert_int_equal(a->sent[0].port, OUTSIDE);
	assert_true(a->sent[0].view.tcp_flags & TCP_RST);
	assert_int_equal(a->sent[0].view.seq, handshake.cookie + 1);
	end_node(a);
	end_node(b);
}

// A guessed number names nobody, or somebody without state: dropped, forwarded nowhere twice.
static void guessed_cookie_goes_nowhere(void **state)
{
	struct node *a = new_node(NODE_A), *b = new_node(NODE_B);
	struct packet synack = {.from_server = true, .flags = TCP_SYN | TCP_ACK, .seq = 1};
	unsigned handed = 0;

	(void)state;
	for (uint32_t i = 0; i < 20000; i++) {
		synack.ack = i * 2654435761u;
		b->now_ns += 1000000; // a flow asks so often in a second, no more
		if (node_offer(b, INSIDE, &synack) == VERDICT_DROP) {
			assert_int_equal(b->verdict.reason, REASON_no_owner);
			continue;
		}
		handed++;
		assert_true(b->messages[0]->node <= 15 && b->messages[0]->node != NODE_B);
		b->messages[0]->node = NODE_A;
		carry(b, a);
		// The answer is NONE, and nothing else comes of it.
		assert_int_equal(a->sent_count, 0);
		assert_int_equal(a->message_count, 1);
		assert_int_equal(a->messages[0]->type, MESSAGE_NONE);
	}
	// 15 foreign ids in 2^13: 20000 tries give 37, within six standard deviations.
	assert_in_range(handed, 5, 75);
	assert_int_equal(node_dropped(a, REASON_no_owner), handed);
	end_node(a);
	end_node(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headline_run),
		cmocka_unit_test(confirmation_lost),
		cmocka_unit_test(refusal_takes_the_same_way),
		cmocka_unit_test(guessed_cookie_goes_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
