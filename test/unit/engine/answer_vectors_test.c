// The SYN/ACK that answers a SYN, sequence number, flags and option bytes, against an independent
// computation: the answer rows of test/vectors/options.py (TCP.md 1.2, 2.2-2.8, 10).
// Proves: P1.
#include "harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <inttypes.h>

#define LINE_BYTES_MAX 512
#define HEX_BYTES      (2 * OPTIONS_BYTES_MAX + 2)

struct row {
	unsigned family, mtu, flags, mss, wscale, sack, timestamps, ecn, answer_flags;
	uint32_t isn, seq;
	char offer[HEX_BYTES], answer[HEX_BYTES];
};

static uint16_t read_hex(uint8_t *out, const char *hex)
{
	uint16_t len = strcmp(hex, "-") == 0 ? 0 : (uint16_t)(strlen(hex) / 2);

	for (unsigned i = 0; i < len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2" SCNx8, &out[i]), 1);
	return len;
}

static void read_row(struct row *row, const char *line)
{
	assert_int_equal(
		sscanf(line, "answer %u %u %" SCNx32 " %u %81s %u %u %u %u %u %" SCNx32 " %u %81s",
			&row->family, &row->mtu, &row->isn, &row->flags, row->offer, &row->mss,
			&row->wscale, &row->sack, &row->timestamps, &row->ecn, &row->seq,
			&row->answer_flags, row->answer),
		13);
}

static struct node *new_node(const struct row *row)
{
	struct node *node = node_make();

	node->announced = (struct profile){.mss = (uint16_t)row->mss,
		.wscale = (uint8_t)row->wscale,
		.sack = row->sack,
		.timestamps = row->timestamps,
		.ecn = row->ecn};
	node->config.ports[INSIDE].mtu = (uint16_t)row->mtu;
	node->config.ports[OUTSIDE].mtu = 9000;
	node_go(node);
	return node;
}

static void check_row(const struct row *row)
{
	struct node *node = new_node(row);
	uint8_t offer[OPTIONS_BYTES_MAX], answer[OPTIONS_BYTES_MAX];
	struct packet syn = {.ip6 = row->family == 6,
		.flags = (uint8_t)row->flags,
		.seq = row->isn,
		.window = 1000,
		.options = {offer, read_hex(offer, row->offer)}};
	uint16_t len = read_hex(answer, row->answer);
	const struct view *view = &node->sent[0].view;

	node_offer(node, OUTSIDE, &syn);
	if (row->answer_flags == 0) {
		assert_int_equal(node->verdict.kind, VERDICT_DROP);
		assert_int_equal(node->verdict.reason, REASON_bad_option);
	} else {
		assert_int_equal(node->verdict.kind, VERDICT_REPLY);
		assert_int_equal(view->seq, row->seq);
		assert_int_equal(view->ack, row->isn + 1);
		assert_int_equal(view->tcp_flags, row->answer_flags);
		assert_int_equal(view->payload - view->l4 - 20, len);
		assert_memory_equal(view->data + view->l4 + 20, answer, len);
		assert_true(packet_good(&node->sent[0].frame));
	}
	assert_true(node_end(node));
}

static void vectors(void **state)
{
	FILE *file = fopen(VECTORS "/options.txt", "r");
	char line[LINE_BYTES_MAX];
	unsigned answered = 0, dropped = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		struct row row;

		if (strncmp(line, "answer ", 7) != 0)
			continue;
		read_row(&row, line);
		check_row(&row);
		*(row.answer_flags ? &answered : &dropped) += 1;
	}
	fclose(file);
	assert_true(answered >= 200 && dropped >= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
