// Bounds of the player: connections, packets and bytes held; what does not fit is counted by its
// cause. The stage's rules deny here, so that nothing is ever caused.
#include "stage.h"

#include "base/check.h"
#include "flow/hold.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PA (TCP_PSH | TCP_ACK)

static struct stage *make(void)
{
	struct stage *stage = malloc(sizeof(*stage));

	CHECK(stage != NULL);
	stage_init(stage, STAGE_PROXY);
	stage->node->rows[0].action = RULE_DENY;
	return stage;
}

static void end(struct stage *stage)
{
	stage_finish(stage);
	free(stage);
}

static enum player_verdict syn(struct stage *stage, uint16_t port)
{
	stage->client_port = port;
	return stage_line(stage, &(struct line){.flags = TCP_SYN});
}

static enum player_verdict data(struct stage *stage, uint16_t port, const char *payload)
{
	stage->client_port = port;
	return stage_line(
		stage, &(struct line){.flags = PA, .seq = 1, .ack = 1, .payload = payload});
}

static const struct player_counts *counts(const struct stage *stage)
{
	return player_counts(stage->player);
}

static void the_idle_one_gives_way(void **state)
{
	struct stage *stage = make();

	(void)state;
	stage->config.connections = 2;
	stage_go(stage);
	syn(stage, 1001);
	assert_int_equal(data(stage, 1001, "a"), PLAYER_HELD);
	syn(stage, 1002);
	assert_int_equal(data(stage, 1002, "b"), PLAYER_HELD);
	assert_int_equal(data(stage, 1001, "c"), PLAYER_HELD); // 1002 is idle longest now
	assert_int_equal(syn(stage, 1003), PLAYER_PLAY);
	assert_int_equal(counts(stage)->withheld[PLAYER_EVICTED], 1);
	assert_int_equal(counts(stage)->held, 2);
	assert_int_equal(data(stage, 1002, "d"), PLAYER_WITHHELD);
	assert_int_equal(counts(stage)->withheld[PLAYER_NO_SYN], 1);
	assert_int_equal(data(stage, 1001, "e"), PLAYER_HELD);
	player_finish(stage->player);
	assert_int_equal(counts(stage)->withheld[PLAYER_NOT_CAUSED], 3);
	// Afterwards everything is unknown, and there is room for as many as before.
	assert_int_equal(data(stage, 1001, "f"), PLAYER_WITHHELD);
	assert_int_equal(syn(stage, 1001), PLAYER_PLAY);
	assert_int_equal(syn(stage, 1002), PLAYER_PLAY);
	assert_int_equal(data(stage, 1001, "g"), PLAYER_HELD);
	assert_int_equal(data(stage, 1002, "h"), PLAYER_HELD);
	end(stage);
}

static void frames_of_a_connection(void **state)
{
	struct stage *stage = make();

	(void)state;
	stage->config.connection_frames = 3;
	stage_go(stage);
	syn(stage, 1001);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(data(stage, 1001, "x"), PLAYER_HELD);
	assert_int_equal(data(stage, 1001, "x"), PLAYER_WITHHELD);
	assert_int_equal(counts(stage)->withheld[PLAYER_NO_ROOM], 1);
	syn(stage, 1002);
	assert_int_equal(data(stage, 1002, "x"), PLAYER_HELD);
	end(stage);
}

static void bytes_of_a_connection(void **state)
{
	struct stage *stage = make();

	(void)state;
	stage->config.connection_bytes = 2 * 55; // two frames of 54 bytes of headers and one
	stage_go(stage);
	syn(stage, 1001);
	assert_int_equal(data(stage, 1001, "x"), PLAYER_HELD);
	assert_int_equal(data(stage, 1001, "xx"), PLAYER_WITHHELD);
	assert_int_equal(data(stage, 1001, "x"), PLAYER_HELD);
	assert_int_equal(data(stage, 1001, "x"), PLAYER_WITHHELD);
	end(stage);
}

static void bytes_in_all(void **state)
{
	struct stage *stage = make();

	(void)state;
	stage->config.hold_bytes = 2 * HOLD_CELL_BYTES;
	stage_go(stage);
	syn(stage, 1001);
	syn(stage, 1002);
	assert_int_equal(data(stage, 1001, "x"), PLAYER_HELD);
	assert_int_equal(data(stage, 1002, "x"), PLAYER_HELD);
	assert_int_equal(data(stage, 1002, "x"), PLAYER_WITHHELD);
	assert_int_equal(counts(stage)->withheld[PLAYER_NO_ROOM], 1);
	// A new connection of the tuple lets the old one's packets go.
	stage->isn_client += 5000;
	syn(stage, 1001);
	assert_int_equal(counts(stage)->withheld[PLAYER_NOT_CAUSED], 1);
	assert_int_equal(data(stage, 1001, "x"), PLAYER_HELD);
	end(stage);
}

// Data in a SYN is kept to be sent again, but the SYN itself was played: no packet counts twice.
static void syn_data_is_no_held_packet(void **state)
{
	struct stage *stage = make();

	(void)state;
	stage_go(stage);
	stage->client_port = 1001;
	stage_line(stage, &(struct line){.flags = TCP_SYN, .payload = "early"});
	assert_int_equal(counts(stage)->held, 0);
	player_finish(stage->player);
	assert_int_equal(counts(stage)->held, 0);
	assert_int_equal(stage_withheld(stage), 0);
	stage_line(stage, &(struct line){.flags = TCP_SYN, .payload = "early"});
	assert_int_equal(data(stage, 1001, "x"), PLAYER_HELD);
	assert_int_equal(counts(stage)->held, 1);
	player_finish(stage->player);
	assert_int_equal(counts(stage)->held, 0);
	assert_int_equal(counts(stage)->offered, 3);
	assert_int_equal(counts(stage)->played, 2);
	assert_int_equal(counts(stage)->withheld[PLAYER_NOT_CAUSED], 1);
	end(stage);
}

// What the engine alone can judge goes to it, at once and unchanged.
static void malformed_passes(void **state)
{
	struct stage *stage = make();
	struct packet packet = {.flags = TCP_SYN | TCP_FIN};
	uint8_t room[PACKET_ROOM_BYTES];
	struct frame frame = packet_build(room, &packet);
	uint8_t before[60];

	(void)state;
	stage_go(stage);
	assert_int_equal(stage_frame(stage, &frame, SIDE_OUTSIDE), PLAYER_PLAY);
	assert_int_equal(node_dropped(stage->node, REASON_bad_flags), 1);
	packet.flags = TCP_ACK;
	frame = packet_build(room, &packet);
	frame.data[14] = 0x4f; // a header longer than the packet
	memcpy(before, frame.data, 54);
	assert_int_equal(stage_frame(stage, &frame, SIDE_OUTSIDE), PLAYER_PLAY);
	assert_memory_equal(before, frame.data, 54);
	assert_int_equal(node_dropped(stage->node, REASON_malformed), 1);
	packet.protocol = PROTOCOL_UDP;
	frame = packet_build(room, &packet);
	assert_int_equal(stage_frame(stage, &frame, SIDE_OUTSIDE), PLAYER_PLAY);
	assert_int_equal(counts(stage)->passed, 3);
	end(stage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_idle_one_gives_way),
		cmocka_unit_test(frames_of_a_connection),
		cmocka_unit_test(bytes_of_a_connection),
		cmocka_unit_test(bytes_in_all),
		cmocka_unit_test(syn_data_is_no_held_packet),
		cmocka_unit_test(malformed_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
