#include "supply.h"

#include "base/bytes.h"

#define STEP 0x9e3779b1u // odd: visits every flow of a power of two once

static struct flow_key key_of(const struct supply *supply, uint32_t flow)
{
	struct flow_key key = {.outer_port = (uint16_t)(1024 + (flow >> 17)),
		.inner_port = 80,
		.protocol = PROTOCOL_TCP};
	uint8_t client[16] = {0x20, 0x01, 0x0d, 0xb8}, server[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 2};
	uint8_t server4[4] = {198, 51, 100, 10};

	if (!supply->form->ip6) {
		be32_put(client, 0xc6120000u | (flow & 0x1ffff));
		key.outer = addr_from_ip4(client);
		key.inner = addr_from_ip4(server4);
		return key;
	}
	be32_put(client + 8, flow & 0x1ffff);
	server[15] = 10;
	key.outer = addr_from_ip6(client);
	key.inner = addr_from_ip6(server);
	return key;
}

static uint32_t incarnation_of(const struct supply *supply, uint32_t flow)
{
	return supply->tick << 12 | (flow * STEP >> 20);
}

static void write_created(const struct supply *supply, uint32_t flow, struct message *message)
{
	struct flow_record *record = &message->body.record;

	message->type = MESSAGE_OPENED;
	*record = (struct flow_record){.key = key_of(supply, flow),
		.mode = MODE_PROXY,
		.state = TCP_ESTABLISHED,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 7},
		.service = supply->form->full ? SERVICE_NONE : supply->service,
		.owner = supply->from,
		.generation = 1,
		.incarnation = incarnation_of(supply, flow),
		.cookie = flow * STEP,
		.isn_client = ~flow,
		.translation = {.d = flow * STEP}};
	if (supply->form->timestamps) {
		record->translation.ts_offset = flow * STEP;
		record->translation.bits = TRANSLATE_TIMESTAMPS | TRANSLATE_WINDOW;
		record->translation.to_client = (struct rescale){.left = 7, .right = 8};
	}
}

void supply_write(
	const struct supply *supply, enum phase phase, uint32_t number, struct message *message)
{
	uint32_t flow = phase == PHASE_CREATE ? number : number * STEP & (supply->flows - 1);

	message->node = supply->to;
	message->worker = 0;
	message->frame_len = 0;
	if (phase == PHASE_CREATE) {
		write_created(supply, flow, message);
		return;
	}
	message->type = MESSAGE_CHANGED;
	message->body.flow = (struct message_flow){.key = key_of(supply, flow),
		.incarnation = incarnation_of(supply, flow),
		.generation = 1,
		.bits = phase == PHASE_CHANGE ? CHANGE_FIN_CLIENT
					      : CHANGE_FIN_CLIENT | CHANGE_CLOSED};
}
