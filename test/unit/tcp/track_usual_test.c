// The short cut of tcp_track_segment() against the rules: random connections, and segments whose
// numbers lie near every edge.
#include "draw.h"
#include "play.h"

#include <stdlib.h>
#include <string.h>

#define TURNS 2000000

// One of the numbers of the connection, or what lies beside it or a window away.
static uint32_t draw_near(const struct tcp_track *track)
{
	const struct tcp_sender *sender = &track->sender[draw(2)];
	uint32_t numbers[] = {sender->end, sender->acked, sender->limit, draw_word()};
	uint32_t window = (uint32_t)track->window_max[draw(2)] << (track->wscale[draw(2)] & 14);
	uint32_t windows[] = {0, window, -window, 65535u << (track->wscale[draw(2)] & 14)};

	return numbers[draw(4)] + windows[draw(4)] + draw(5) - 2;
}

static void draw_track(struct tcp_track *track)
{
	static const uint8_t shifts[] = {0, 1, 7, 14, NO_WSCALE};
	const uint8_t seen = TRACK_SEEN_CLIENT | TRACK_SEEN_SERVER;

	memset(track, 0, sizeof(*track));
	track->state = draw(8) > 0 ? TCP_ESTABLISHED : (uint8_t)draw(TCP_STATE_COUNT);
	track->bits = draw(8) > 0 ? seen : (uint8_t)draw(256);
	for (unsigned dir = 0; dir < 2; dir++) {
		uint32_t base = draw_word();

		track->wscale[dir] = shifts[draw(5)];
		track->window_max[dir] = draw(4) > 0 ? (uint16_t)draw(65536) : (uint16_t)draw(2);
		track->sender[dir] = (struct tcp_sender){.end = base + draw(3000),
			.acked = base + draw(3000),
			.limit = base + draw(100000)};
	}
}

static void short_cut_follows_the_rules(void **state)
{
	unsigned passed = 0, changed = 0;

	(void)state;
	for (unsigned turn = 0; turn < TURNS; turn++) {
		struct tcp_track track, usual, any;
		struct tcp_segment segment = {.flags = draw(8) > 0 ? TCP_ACK : (uint8_t)draw(64),
			.window = (uint16_t)draw(65536),
			.wscale = NO_WSCALE,
			.elsewhere = draw(2) == 0};
		enum direction dir = draw(2) == 0 ? TO_SERVER : TO_CLIENT;
		struct tcp_result result, expected;

		draw_track(&track);
		segment.seq = draw_near(&track);
		segment.ack = draw_near(&track);
		segment.len = draw(2) == 0 ? 0 : draw(1500);
		usual = any = track;
		result = tcp_track_segment(&usual, dir, &segment);
		expected = tcp_track_segment_any(&any, dir, &segment);
		assert_int_equal(result.outcome, expected.outcome);
		assert_int_equal(result.reason, expected.reason);
		assert_memory_equal(&usual, &any, sizeof(any));
		passed += result.outcome == TCP_PASS;
		changed += memcmp(&usual, &track, sizeof(track)) != 0;
	}
	// Both ends of it are met often.
	assert_in_range(passed, TURNS / 20, TURNS - TURNS / 20);
	assert_in_range(changed, TURNS / 20, TURNS - TURNS / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_cut_follows_the_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
