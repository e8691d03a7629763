// TCP options against an independent computation: the parse rows of test/vectors/options.py
// (TCP.md 2.1-2.3, 2.6, 2.7). The answer rows are unit/engine's.
#include "packet.h"
#include "pkt/options.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_BYTES_MAX 512

struct row {
	uint8_t bytes[OPTIONS_BYTES_MAX];
	uint16_t len;
	int good, mss, wscale, sack_ok, blocks, sack_at, timestamps_at, is_signed, mptcp, fast_open;
	uint32_t tsval, tsecr;
};

static void read_row(struct row *row, const char *line)
{
	char hex[2 * OPTIONS_BYTES_MAX + 2];

	assert_int_equal(
		sscanf(line, "parse %81s %d %d %d %d %d %d %d %" SCNx32 " %" SCNx32 " %d %d %d",
			hex, &row->good, &row->mss, &row->wscale, &row->sack_ok, &row->blocks,
			&row->sack_at, &row->timestamps_at, &row->tsval, &row->tsecr,
			&row->is_signed, &row->mptcp, &row->fast_open),
		13);
	row->len = strcmp(hex, "-") == 0 ? 0 : (uint16_t)(strlen(hex) / 2);
	for (unsigned i = 0; i < row->len; i++)
		assert_int_equal(sscanf(hex + 2 * i, "%2" SCNx8, &row->bytes[i]), 1);
}

// An offset from the first option byte, or -1 where `bit` is not set.
static int offset(const struct options *options, uint16_t bit, uint16_t at, int base)
{
	return options->bits & bit ? at - base : -1;
}

static void check_row(const struct row *row, bool ip6)
{
	struct packet packet = {.ip6 = ip6, .flags = TCP_SYN, .options = {row->bytes, row->len}};
	struct frame frame = packet_build_exact(&packet);
	struct view view = packet_view(&frame);
	int base = view.l4 + 20;
	struct options o;

	assert_int_equal(options_parse(&o, &view) == 0, row->good);
	assert_int_equal(o.mss, row->mss);
	assert_int_equal((o.bits & OPTION_MSS) != 0, row->mss != 0);
	assert_int_equal(o.wscale, row->wscale);
	assert_int_equal((o.bits & OPTION_WSCALE) != 0, row->wscale != OPTIONS_WSCALE_NONE);
	assert_int_equal((o.bits & OPTION_SACK_OK) != 0, row->sack_ok);
	assert_int_equal(o.sack_count, row->blocks);
	assert_int_equal(offset(&o, OPTION_SACK, o.sack_at, base), row->sack_at);
	assert_int_equal(offset(&o, OPTION_TIMESTAMPS, o.timestamps_at, base), row->timestamps_at);
	assert_int_equal(o.tsval, row->tsval);
	assert_int_equal(o.tsecr, row->tsecr);
	assert_int_equal((o.bits & OPTION_SIGNED) != 0, row->is_signed);
	assert_int_equal((o.bits & OPTION_MPTCP) != 0, row->mptcp);
	assert_int_equal(offset(&o, OPTION_FAST_OPEN, o.fast_open_at, base), row->fast_open);
	free(frame.data);
}

static void vectors(void **state)
{
	FILE *file = fopen(VECTORS "/options.txt", "r");
	char line[LINE_BYTES_MAX];
	unsigned rows = 0, bad = 0;

	(void)state;
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL) {
		struct row row;

		if (strncmp(line, "parse ", 6) != 0)
			continue;
		read_row(&row, line);
		check_row(&row, false);
		check_row(&row, true);
		rows++;
		bad += !row.good;
	}
	fclose(file);
	assert_true(rows >= 400 && bad >= 100 && rows - bad >= 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
