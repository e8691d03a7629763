#include "network.h"

#include "base/bytes.h"
#include "base/check.h"
#include "invariants.h"
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define ETHERNET_BYTES	14
#define REORDER_TIMES	4
#define REPEAT_LATER_NS (3 * SIM_MS)

void network_start(struct network *network)
{
	struct flight *flights = network->flights;

	if (flights == NULL)
		flights = malloc(FLIGHTS_MAX * sizeof(flights[0]));
	CHECK(flights != NULL);
	*network = (struct network){.flights = flights, .spare_count = FLIGHTS_MAX};
	for (unsigned i = 0; i < FLIGHTS_MAX; i++) {
		network->spare[i] = (uint16_t)(FLIGHTS_MAX - 1 - i);
		flights[i].kind = 0;
	}
}

void network_finish(struct network *network)
{
	free(network->flights);
	network->flights = NULL;
}

static uint8_t *bytes_of(struct flight *flight)
{
	return flight->room + FLIGHT_HEAD_BYTES;
}

// NULL where too many are on the way: this one is lost.
static struct flight *start_flight(struct sim *sim)
{
	struct network *network = &sim->network;

	network->carried++;
	if (network->spare_count == 0) {
		network->lost++;
		return NULL;
	}
	return &network->flights[network->spare[--network->spare_count]];
}

static unsigned index_of(const struct sim *sim, const struct flight *flight)
{
	return (unsigned)(flight - sim->network.flights);
}

static void end_flight(struct sim *sim, struct flight *flight)
{
	flight->kind = 0;
	sim->network.spare[sim->network.spare_count++] = (uint16_t)index_of(sim, flight);
}

// One byte that a checksum covers.
static void damage(struct sim *sim, struct flight *flight)
{
	unsigned head = flight->kind == FLIGHT_DATAGRAM ? 0 : ETHERNET_BYTES;
	unsigned at = head + scheduler_choose(&sim->scheduler, flight->len - head);

	bytes_of(flight)[at] ^= (uint8_t)(1 + scheduler_choose(&sim->scheduler, 255));
}

static void depart(struct sim *sim, struct flight *flight, const struct link *link)
{
	uint64_t delay = link->delay_ns;

	if (link->cut || scheduler_chance(&sim->scheduler, link->loss)) {
		sim->network.lost++;
		end_flight(sim, flight);
		return;
	}
	if (scheduler_chance(&sim->scheduler, link->damage))
		damage(sim, flight);
	if (scheduler_chance(&sim->scheduler, link->reorder))
		delay += scheduler_choose(
			&sim->scheduler, (uint32_t)(link->delay_ns * REORDER_TIMES));
	scheduler_add(&sim->scheduler, sim->scheduler.now_ns + delay, EVENT_FLIGHT,
		index_of(sim, flight));
}

// A copy follows, sometimes.
static void carry(struct sim *sim, struct flight *flight, const struct link *link)
{
	struct flight *copy;

	if (scheduler_chance(&sim->scheduler, link->repeat)) {
		copy = start_flight(sim);
		if (copy != NULL) {
			struct link later = *link;

			memcpy(copy, flight,
				offsetof(struct flight, room) + FLIGHT_HEAD_BYTES + flight->len);
			later.delay_ns +=
				scheduler_choose(&sim->scheduler, (uint32_t)REPEAT_LATER_NS);
			depart(sim, copy, &later);
		}
	}
	depart(sim, flight, link);
}

static const struct link *link_of(const struct sim *sim, uint8_t port)
{
	return port == PORT_OUTSIDE ? &sim->network.outside : &sim->network.inside;
}

void network_from_end(struct sim *sim, unsigned node, uint8_t port, const struct segment *segment)
{
	struct flight *flight = start_flight(sim);

	if (flight == NULL)
		return;
	flight->kind = FLIGHT_TO_NODE;
	flight->to = (uint8_t)node;
	flight->port = port;
	flight->len = segment_write(segment, bytes_of(flight));
	carry(sim, flight, link_of(sim, port));
}

static void trace_made(struct sim *sim, unsigned node, const uint8_t *data, uint16_t len)
{
	struct segment segment;

	if (sim->verbose && segment_read(&segment, data, len))
		sim_trace(sim,
			"n%u sends: from port %u to port %u seq %08x ack %08x flags %#x len %u",
			node, segment.sport, segment.dport, segment.seq, segment.ack, segment.flags,
			segment.payload_len);
}

void network_from_node(
	struct sim *sim, unsigned node, uint8_t port, const uint8_t *data, uint16_t len)
{
	struct flight *flight;

	trace_made(sim, node, data, len);
	if (!invariants_left(sim, node, port, data, len))
		return;
	flight = start_flight(sim);
	if (flight == NULL)
		return;
	flight->kind = FLIGHT_TO_END;
	flight->from = (uint8_t)node;
	flight->port = port;
	flight->len = len;
	memcpy(bytes_of(flight), data, len);
	carry(sim, flight, link_of(sim, port));
}

void network_datagram(
	struct sim *sim, unsigned from, unsigned to, const uint8_t *data, uint16_t len)
{
	struct flight *flight = start_flight(sim);

	if (flight == NULL)
		return;
	flight->kind = FLIGHT_DATAGRAM;
	flight->from = (uint8_t)from;
	flight->to = (uint8_t)to;
	flight->len = len;
	memcpy(bytes_of(flight), data, len);
	sim->totals.datagrams++;
	sim_count(sim, len);
	if (sim->verbose)
		sim_trace(sim, "n%u to n%u: datagram kind %u keys %u number %u len %u", from, to,
			data[1], be16_get(data + 6), be32_get(data + 12), len);
	carry(sim, flight, &sim->network.sync[from][to]);
}

// Where a packet went that did not go on.
static void trace_end(struct sim *sim, const struct flight *flight, unsigned reason)
{
	struct segment segment;

	if (!segment_read(&segment, flight->room + FLIGHT_HEAD_BYTES, flight->len))
		sim_trace(sim, "n%u drops damaged bytes: %s", flight->to, reason_name(reason));
	else
		sim_trace(sim, "n%u %s: from port %u to port %u seq %08x ack %08x flags %#x len %u",
			flight->to, reason == REASON_NONE ? "keeps" : reason_name(reason),
			segment.sport, segment.dport, segment.seq, segment.ack, segment.flags,
			segment.payload_len);
}

static void arrive_at_node(struct sim *sim, struct flight *flight)
{
	struct appliance *node = &sim->nodes[flight->to];
	struct frame frame = {.data = bytes_of(flight),
		.len = flight->len,
		.headroom = FLIGHT_HEAD_BYTES,
		.tailroom = (uint16_t)(FLIGHT_ROOM_BYTES - FLIGHT_HEAD_BYTES - flight->len),
		.port = flight->port};
	enum verdict_kind verdict;

	if (!appliance_runs(node)) {
		end_flight(sim, flight);
		return;
	}
	verdict = appliance_frame(node, sim->scheduler.now_ns, &frame);
	sim->totals.packets++;
	sim_count(sim, verdict);
	if (sim->verbose && (verdict == VERDICT_DROP || verdict == VERDICT_CONSUME))
		trace_end(sim, flight, node->verdict.reason);
	if ((verdict != VERDICT_FORWARD && verdict != VERDICT_REPLY) ||
		!invariants_left(sim, flight->to, frame.port, frame.data, frame.len)) {
		end_flight(sim, flight);
		return;
	}
	if (frame.data != bytes_of(flight))
		memmove(bytes_of(flight), frame.data, frame.len);
	flight->kind = FLIGHT_TO_END;
	flight->from = flight->to;
	flight->port = frame.port;
	flight->len = frame.len;
	carry(sim, flight, link_of(sim, frame.port));
}

static void arrive_at_end(struct sim *sim, struct flight *flight)
{
	struct segment segment;
	unsigned client, server;
	bool to_server;

	if (segment_read(&segment, bytes_of(flight), flight->len)) {
		to_server = connection_host(&segment.dst, &server) == HOST_SERVER;
		if (segment.datagram)
			exchange_deliver(sim, &segment, to_server);
		else if (connection_host(to_server ? &segment.src : &segment.dst, &client) ==
				 HOST_CLIENT &&
			 connection_host(to_server ? &segment.dst : &segment.src, &server) ==
				 HOST_SERVER &&
			 client < sim->scenario.connections)
			sim_deliver(sim, &sim->connections[client], to_server ? SERVER : CLIENT,
				&segment);
	}
	end_flight(sim, flight);
}

static bool is_of(const struct flight *flight, const struct connection *connection)
{
	struct segment segment;
	unsigned number;

	if ((flight->kind != FLIGHT_TO_NODE && flight->kind != FLIGHT_TO_END) ||
		!segment_read(&segment, flight->room + FLIGHT_HEAD_BYTES, flight->len))
		return false;
	return (connection_host(&segment.src, &number) == HOST_CLIENT ||
		       connection_host(&segment.dst, &number) == HOST_CLIENT) &&
	       number == connection->number;
}

bool network_carries(const struct sim *sim, const struct connection *connection)
{
	for (unsigned i = 0; i < FLIGHTS_MAX; i++)
		if (is_of(&sim->network.flights[i], connection))
			return true;
	return false;
}

void network_arrive(struct sim *sim, unsigned index)
{
	struct flight *flight = &sim->network.flights[index];

	switch (flight->kind) {
	case FLIGHT_TO_NODE:
		arrive_at_node(sim, flight);
		return;
	case FLIGHT_TO_END:
		arrive_at_end(sim, flight);
		return;
	default:
		if (appliance_runs(&sim->nodes[flight->to]))
			appliance_datagram(&sim->nodes[flight->to], sim->scheduler.now_ns,
				flight->from, bytes_of(flight), flight->len);
		end_flight(sim, flight);
	}
}
