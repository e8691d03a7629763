#include "rogue.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define CONNECT_STEPS 100

void rogue_start(struct rogue *rogue, struct net *net, unsigned host, unsigned peer)
{
	const struct cluster_config *config = &net->hosts[host].config;
	struct channel_config channel = {.id = config->id,
		.peer = net->hosts[peer].config.id,
		.incarnation = 0xbad00 + ++rogue->nonce_lives,
		.methods = &keyed_methods,
		.context = &rogue->keys};
	size_t bytes =
		(channel_bytes() + CPU_CACHE_LINE_BYTES - 1) & ~(size_t)(CPU_CACHE_LINE_BYTES - 1);

	rogue->net = net;
	rogue->host = host;
	rogue->peer = peer;
	rogue->keys = net->hosts[host].keys;
	rogue->keys.nonce = channel.incarnation << 8;
	rogue->number = 0;
	memcpy(channel.cluster, config->name, sizeof(channel.cluster));
	rogue->memory = aligned_alloc(CPU_CACHE_LINE_BYTES, bytes);
	CHECK(rogue->memory != NULL);
	memset(rogue->memory, 0, bytes);
	rogue->channel = channel_init(rogue->memory, &channel);
}

void rogue_finish(struct rogue *rogue)
{
	channel_finish(rogue->channel);
	free(rogue->memory);
	rogue->channel = NULL;
}

static void poll(struct rogue *rogue)
{
	uint8_t data[DATAGRAM_BYTES_MAX];
	size_t len;

	while ((len = channel_poll(rogue->channel, rogue->net->now_ns, data)) > 0)
		net_inject(rogue->net, rogue->host, rogue->peer, data, len);
}

static void listen(struct rogue *rogue, const uint8_t *plain, size_t len)
{
	struct cursor in = cursor_read(plain, len);
	struct record_head head;

	if (!record_head_get(&in, &head) || head.number != 0 || cursor_left(&in) < 3 ||
		cursor_get8(&in) != UPDATE_HEARTBEAT)
		return;
	cursor_get16(&in);
	if (heartbeat_get(&rogue->heard, in.at, cursor_left(&in))) {
		rogue->beat_time_ns = rogue->heard.time_ns;
		rogue->beats++;
	}
}

void rogue_arrive(struct net *net, struct net_flight *flight)
{
	struct rogue *rogue = net->config.context;
	uint8_t *plain;
	size_t len;

	if (rogue->channel == NULL || flight->to != rogue->host || flight->from != rogue->peer)
		return;
	if (channel_feed(rogue->channel, net->now_ns, flight->data, flight->len, &plain, &len) ==
		CHANNEL_RECORD)
		listen(rogue, plain, len);
	poll(rogue);
}

bool rogue_connect(struct rogue *rogue)
{
	for (unsigned i = 0; i < CONNECT_STEPS && !channel_is_up(rogue->channel); i++) {
		poll(rogue);
		net_run_ms(rogue->net, 10);
	}
	return channel_is_up(rogue->channel);
}

void rogue_say_raw(struct rogue *rogue, const void *plain, size_t len)
{
	uint8_t data[DATAGRAM_BYTES_MAX];

	if (len == 0)
		return; // the channel's own
	if (len > RECORD_BYTES_MAX)
		len = RECORD_BYTES_MAX;
	memcpy(data + DATAGRAM_HEADER_BYTES, plain, len);
	len = channel_seal(rogue->channel, rogue->net->now_ns, data, len);
	net_inject(rogue->net, rogue->host, rogue->peer, data, len);
}

void rogue_say(struct rogue *rogue, bool numbered, const void *messages, size_t len)
{
	struct record_head head = {.number = numbered ? ++rogue->number : 0};
	uint8_t plain[RECORD_BYTES_MAX];
	struct cursor out = cursor_write(plain, sizeof(plain));

	record_head_put(&out, &head);
	cursor_put(&out, messages, len);
	rogue_say_raw(rogue, plain, (size_t)(out.at - plain));
}

void rogue_hello(struct rogue *rogue, const struct hello *hello)
{
	uint8_t data[128];
	struct cursor out = cursor_write(data, sizeof(data));

	CHECK(hello_put(&out, hello));
	rogue_say(rogue, true, data, (size_t)(out.at - data));
}

void rogue_beat(struct rogue *rogue, struct heartbeat *beat)
{
	uint8_t data[64];
	struct cursor out = cursor_write(data, sizeof(data));

	beat->time_ns = rogue->net->now_ns;
	beat->echo_ns = rogue->beat_time_ns;
	CHECK(heartbeat_put(&out, beat));
	rogue_say(rogue, false, data, (size_t)(out.at - data));
}
