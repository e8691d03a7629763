// What workers say of flows, in tests that have no engines.
#include "net.h"

struct flow_key net_flow_key(uint32_t number)
{
	uint8_t outer[4] = {192, 0, 2, 0}, inner[4] = {198, 51, 100, 7};

	outer[3] = (uint8_t)(number >> 16);
	return (struct flow_key){.outer = addr_from_ip4(outer),
		.inner = addr_from_ip4(inner),
		.outer_port = (uint16_t)number,
		.inner_port = 443,
		.protocol = PROTOCOL_TCP};
}

uint32_t net_incarnation(struct net *net, unsigned host, uint32_t number)
{
	return (uint32_t)(net_counter_ns(net, host) / KEYRING_TICK_NS) << 12 | (number & 0xfff);
}

uint64_t net_hash(const struct net *net, unsigned host, const struct flow_key *key)
{
	return flow_key_hash(siphash_key(net->hosts[host].config.table_key), key);
}

static void address(struct net *net, unsigned host, struct message *message,
	const struct flow_key *key, uint8_t type)
{
	message->type = type;
	message->node = NODE_ALL;
	message->worker =
		(uint16_t)flow_worker(net_hash(net, host, key), net->hosts[host].config.workers);
	message->frame_len = 0;
}

void net_opened(struct net *net, unsigned host, uint32_t number, struct message *message)
{
	struct flow_key key = net_flow_key(number);

	address(net, host, message, &key, MESSAGE_OPENED);
	message->body.record = (struct flow_record){.key = key,
		.mode = MODE_PROXY,
		.state = TCP_ESTABLISHED,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 8},
		.service = net->hosts[host].service.id,
		.owner = net->hosts[host].config.id,
		.generation = 1,
		.incarnation = net_incarnation(net, host, number),
		.cookie = number * 2654435761u,
		.isn_client = ~number};
	message->body.record.translation.d = number * 40503u;
}

void net_changed(struct net *net, unsigned host, uint32_t number, struct message *message)
{
	struct flow_key key = net_flow_key(number);

	address(net, host, message, &key, MESSAGE_CHANGED);
	message->body.flow = (struct message_flow){.key = key,
		.incarnation = net_incarnation(net, host, number),
		.generation = 1,
		.bits = CHANGE_CLOSED};
}
