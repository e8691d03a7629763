// Messages that are longer than a datagram: they arrive whole or not at all, in order, whatever the
// network does to their parts, and what a peer says of parts is believed only as far as it makes
// sense. Proves: P4 and M7 (no data segment is lost because its state was on the way).
#include "base/check.h"
#include "cluster/part.h"
#include "rogue.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#define FIRST	0x01
#define LAST	0x02
#define FRAMES	400
#define LINK_IP 1400 // datagrams of a sync link with tunnels in between

// --- the parts themselves ---

static bool give(struct parts *parts, uint8_t flags, size_t len, bool *done)
{
	uint8_t body[1 + PART_MESSAGE_BYTES + 1];

	memset(body, 0x5a, sizeof(body));
	body[0] = flags;
	return part_get(parts, body, 1 + len, done);
}

static void any_length_is_put_together(void **state)
{
	static uint8_t message[PART_MESSAGE_BYTES];
	static struct parts parts;

	(void)state;
	for (size_t i = 0; i < sizeof(message); i++)
		message[i] = (uint8_t)(i * 31 + i / 256);
	for (size_t len = 1; len <= sizeof(message); len += 1 + len / 40) {
		uint8_t wire[700];
		bool done = false;
		size_t at = 0;

		for (unsigned i = 0; at < len; i++) {
			struct cursor out = cursor_write(wire, 69 + (i * 211 + len) % 600);
			size_t next = part_put(&out, message, len, at);

			assert_false(done);
			assert_true(next > at && !out.failed);
			assert_int_equal(wire[0], UPDATE_PART);
			assert_int_equal(wire[1] << 8 | wire[2], out.at - wire - 3);
			assert_true(part_get(&parts, wire + 3, (size_t)(out.at - wire) - 3, &done));
			at = next;
		}
		assert_true(done);
		assert_int_equal(parts.len, len);
		assert_memory_equal(parts.bytes, message, len);
	}
}

static void no_part_is_begun_in_too_little_room(void **state)
{
	uint8_t wire[PART_HEAD_BYTES + PART_ROOM_MIN], message[200] = {0};
	struct cursor out = cursor_write(wire, sizeof(wire) - 1);

	(void)state;
	assert_int_equal(part_put(&out, message, sizeof(message), 7), 7);
	assert_ptr_equal(out.at, wire);
	out = cursor_write(wire, sizeof(wire));
	assert_int_equal(part_put(&out, message, sizeof(message), 7), 7 + PART_ROOM_MIN);
}

static void parts_that_make_no_sense_are_refused(void **state)
{
	struct parts parts = {0};
	bool done;

	(void)state;
	// No flags at all; flags that do not exist; nothing in it.
	assert_false(part_get(&parts, NULL, 0, &done));
	assert_false(give(&parts, 0x04 | FIRST, 10, &done));
	assert_false(give(&parts, FIRST | LAST, 0, &done));
	assert_false(give(&parts, FIRST, 0, &done));
	// Goes on with nothing.
	assert_false(give(&parts, 0, 10, &done));
	assert_false(give(&parts, LAST, 10, &done));
	// As long as a message can be, and a byte more; which ends it.
	assert_true(give(&parts, FIRST | LAST, PART_MESSAGE_BYTES, &done) && done);
	assert_false(give(&parts, FIRST | LAST, PART_MESSAGE_BYTES + 1, &done) || done);
	assert_true(give(&parts, FIRST, PART_MESSAGE_BYTES, &done) && !done);
	assert_false(give(&parts, LAST, 1, &done) || done);
	assert_false(give(&parts, LAST, 1, &done) || done);
	// One that begins takes the place of one that never ended; one that ended goes on no more.
	assert_true(give(&parts, FIRST, 1000, &done) && !done);
	assert_true(give(&parts, FIRST, 7, &done) && !done);
	assert_true(give(&parts, LAST, 5, &done) && done);
	assert_int_equal(parts.len, 12);
	assert_false(give(&parts, 0, 10, &done));
}

// --- on the way ---

struct frames {
	unsigned taken[NET_TYPES];
	unsigned next; // number of the frame to come
	uint16_t len[FRAMES];
};

static uint8_t byte_of(unsigned number, size_t at)
{
	return (uint8_t)(number * 131 + at * 7 + (at >> 8));
}

static void fill(struct message *message, unsigned number, uint16_t len)
{
	message->frame_len = len;
	for (size_t i = 0; i < len; i++)
		message->frame[i] = byte_of(number, i);
}

static void take(struct net *net, unsigned host, const struct message *message)
{
	struct frames *frames = net->config.context;

	if (host != 1 || message->frame_len == 0)
		return;
	// All of them are long, so they come in the order they were said in.
	assert_true(frames->next < FRAMES);
	assert_int_equal(message->frame_len, frames->len[frames->next]);
	for (size_t i = 0; i < message->frame_len; i++)
		assert_int_equal(message->frame[i], byte_of(frames->next, i));
	assert_int_equal(message->frame_side, frames->next % 3 == 2 ? 0 : SIDE_INSIDE);
	frames->taken[message->type]++;
	frames->next++;
}

static struct net *make_one(struct frames *frames, uint16_t datagram_bytes, uint32_t seed)
{
	struct net *net = net_make(&(struct net_config){.hosts = 2,
		.seed = seed,
		.workers = 2,
		.link = {.delay_ns = NET_MS},
		.take = take,
		.context = frames});

	net->hosts[0].config.datagram_bytes = net->hosts[1].config.datagram_bytes = datagram_bytes;
	net_boot_all(net);
	assert_true(net_run_until(net, 10000, net_is_one));
	net_run_ms(net, 1000);
	return net;
}

// FRAMEs, EMITs and CREATEs in turn.
static bool say(struct net *net, struct frames *frames, unsigned number, uint16_t len)
{
	static struct message message;

	if (number % 3 == 2) {
		net_opened(net, 0, number, &message);
		message.node = 1;
	} else {
		message = (struct message){.type = number % 3 ? MESSAGE_EMIT : MESSAGE_FRAME,
			.node = 1,
			.frame_side = SIDE_INSIDE};
		message.body.flow.key = net_flow_key(number);
	}
	fill(&message, number, len);
	frames->len[number] = len;
	return net_post(net, 0, &message);
}

static void frames_arrive_over(uint16_t datagram_bytes, uint32_t seed)
{
	struct frames frames = {0};
	struct net *net = make_one(&frames, datagram_bytes, seed);
	static struct message small;
	unsigned said = 0;

	net_set_links(net, &(struct net_link){.delay_ns = NET_MS, .loss = 20, .reorder = 30});
	while (said < FRAMES) {
		uint16_t len = (uint16_t)(datagram_bytes +
					  net_choose(net, MESSAGE_FRAME_MAX + 1u - datagram_bytes));

		assert_true(say(net, &frames, said, len));
		said++;
		// Others between them.
		net_changed(net, 0, said, &small);
		assert_true(net_post(net, 0, &small));
		net->hosts[0].buffers = 1 + net_choose(net, 8);
		net->hosts[1].cells = net_choose(net, 4);
		net_run_ms(net, 10);
	}
	net->hosts[1].cells = 8;
	net_run_ms(net, 3000);
	assert_int_equal(frames.next, FRAMES);
	assert_true(frames.taken[MESSAGE_FRAME] > 0 && frames.taken[MESSAGE_EMIT] > 0 &&
		    frames.taken[MESSAGE_INSTALL] > 0);
	assert_int_equal(net_peer_stats(net, 0, 1)->unsent, 0);
	assert_int_equal(net_peer_stats(net, 1, 0)->dropped, 0);
	assert_true(net_peer_stats(net, 0, 1)->resent > 0);
	net_end(net);
}

static void long_frames_arrive_whole_and_in_order(void **state)
{
	(void)state;
	for (uint32_t seed = 1; seed <= 3; seed++) {
		frames_arrive_over(LINK_IP, seed);
		frames_arrive_over(512, seed);
		frames_arrive_over(DATAGRAM_BYTES_MAX, seed);
	}
}

// A full window takes none of a frame's parts, and says so.
static void fill_the_window(uint16_t datagram_bytes, unsigned others)
{
	struct frames frames = {0};
	struct net *net = make_one(&frames, datagram_bytes, 1);
	static struct message small;
	unsigned unsent;

	net_cut(net, 1, 0, true); // nothing is acknowledged
	while (others-- > 0) {
		net_changed(net, 0, others, &small);
		assert_true(net_post(net, 0, &small));
		net_run_ms(net, 2);
	}
	for (unsigned i = 0; i < 150; i++) {
		assert_true(say(net, &frames, i, 2000));
		net_run_ms(net, 1);
	}
	unsent = (unsigned)net_peer_stats(net, 0, 1)->unsent;
	assert_true(unsent > 0 && unsent < 150);
	net_cut(net, 1, 0, false);
	net_run_ms(net, 1000);
	assert_int_equal(frames.next, 150 - unsent);
	assert_int_equal(net_peer_stats(net, 1, 0)->dropped, 0);
	// And then there is room again.
	frames.len[frames.next] = 2000;
	assert_true(say(net, &frames, frames.next, 2000));
	net_run_ms(net, 10);
	assert_int_equal(frames.next, 151 - unsent);
	net_end(net);
}

static void half_a_frame_is_never_sent(void **state)
{
	(void)state;
	for (unsigned others = 0; others < 6; others++) {
		fill_the_window(LINK_IP, others);
		fill_the_window(512, others);
	}
}

// --- of a peer that lies ---

static void put(struct cursor *out, uint8_t flags, const void *bytes, size_t len)
{
	cursor_put8(out, UPDATE_PART);
	cursor_put16(out, (uint16_t)(1 + len));
	cursor_put8(out, flags);
	cursor_put(out, bytes, len);
}

static void rogue_parts(struct rogue *rogue, uint8_t flags, const void *bytes, size_t len)
{
	uint8_t wire[1400];
	struct cursor out = cursor_write(wire, sizeof(wire));

	put(&out, flags, bytes, len);
	assert_false(out.failed);
	rogue_say(rogue, true, wire, (size_t)(out.at - wire));
	net_run_ms(rogue->net, 2);
}

static void what_is_put_together_is_not_trusted(void **state)
{
	// FRAMEs of 4 bytes; one lies about its length, one has something behind it.
	static const uint8_t good[] = {UPDATE_FRAME, 0, 11, 0, 1, 2, 3, 4, 5, 6, 9, 8, 7, 6};
	static const uint8_t lies[] = {UPDATE_FRAME, 0, 12, 0, 1, 2, 3, 4, 5, 6, 9, 8, 7, 6};
	static const uint8_t more[] = {UPDATE_FRAME, 0, 10, 0, 1, 2, 3, 4, 5, 6, 9, 8, 7, 6};
	static const uint8_t bye[] = {UPDATE_BYE, 0, 0};
	static const uint8_t part[] = {UPDATE_PART, 0, 2, FIRST | LAST, UPDATE_BYE};
	static const uint8_t change[] = {0xc0, 1, 2, 3, 4, 5, 6};
	static uint8_t zeros[1300];
	struct rogue rogue = {0};
	struct net *net = net_make(&(struct net_config){.hosts = 2,
		.seed = 1,
		.link = {.delay_ns = NET_MS},
		.raw = rogue_arrive,
		.context = &rogue});
	struct hello hello = {.lowest = 1, .highest = 1, .max_id = NODES_MAX - 1};
	struct heartbeat beat = {.state = HEARTBEAT_ACTIVE, .generation = {.number = 64}};
	const struct cluster_peer_stats *stats;
	uint64_t dropped;

	(void)state;
	net_boot(net, 0);
	rogue_start(&rogue, net, 1, 0);
	assert_true(rogue_connect(&rogue));
	rogue_parts(&rogue, FIRST | LAST, good, sizeof(good)); // before its HELLO: nothing
	assert_int_equal(net->hosts[0].took[MESSAGE_FRAME], 0);
	rogue_hello(&rogue, &hello);
	rogue_beat(&rogue, &beat);
	net_run_ms(net, 2);
	stats = net_peer_stats(net, 0, 1);
	dropped = stats->dropped;
	for (size_t cut = 1; cut < sizeof(good); cut++) {
		rogue_parts(&rogue, FIRST, good, cut);
		rogue_say(&rogue, true, change, sizeof(change));
		rogue_parts(&rogue, LAST, good + cut, sizeof(good) - cut);
		assert_int_equal(net->hosts[0].took[MESSAGE_FRAME], cut);
	}
	assert_int_equal(stats->dropped, dropped);
	for (unsigned i = 0; i < 4; i++) {
		static const struct {
			const uint8_t *bytes;
			size_t len;
		} bad[] = {{lies, sizeof(lies)}, {more, sizeof(more)}, {bye, sizeof(bye)},
			{part, sizeof(part)}};

		rogue_parts(&rogue, FIRST | LAST, bad[i].bytes, bad[i].len);
		assert_int_equal(stats->dropped, dropped + i + 1);
	}
	// Longer than any message, again and again.
	for (unsigned i = 0; i < 4; i++)
		rogue_parts(&rogue, i == 0 ? FIRST : 0, zeros, sizeof(zeros));
	assert_int_equal(stats->dropped, dropped + 4 + 3);
	assert_int_equal(net->hosts[0].took[MESSAGE_FRAME], sizeof(good) - 1);
	rogue_parts(&rogue, FIRST | LAST, good, sizeof(good));
	assert_int_equal(net->hosts[0].took[MESSAGE_FRAME], sizeof(good));
	rogue_finish(&rogue);
	net_end(net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_length_is_put_together),
		cmocka_unit_test(no_part_is_begun_in_too_little_room),
		cmocka_unit_test(parts_that_make_no_sense_are_refused),
		cmocka_unit_test(long_frames_arrive_whole_and_in_order),
		cmocka_unit_test(half_a_frame_is_never_sent),
		cmocka_unit_test(what_is_put_together_is_not_trusted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
