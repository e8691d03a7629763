// Datagrams on their way: a heap of indices into a pool, the earliest first.
#include "net_flight.h"

static bool flies_before(const struct net *net, unsigned a, unsigned b)
{
	const struct net_flight *x = &net->flights[net->heap[a]], *y = &net->flights[net->heap[b]];

	return x->at_ns != y->at_ns ? x->at_ns < y->at_ns : x->order < y->order;
}

static void swap(struct net *net, unsigned a, unsigned b)
{
	uint16_t index = net->heap[a];

	net->heap[a] = net->heap[b];
	net->heap[b] = index;
}

static void sink(struct net *net, unsigned at)
{
	for (;;) {
		unsigned least = at;

		for (unsigned child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < net->flight_count && flies_before(net, child, least))
				least = child;
		if (least == at)
			return;
		swap(net, at, least);
		at = least;
	}
}

void flight_start(struct net *net, const struct net_flight *flight)
{
	unsigned at = net->flight_count;
	uint16_t index;

	if (at == NET_FLIGHTS_MAX) {
		net->lost++;
		return;
	}
	index = net->spare[at];
	net->heap[net->flight_count++] = index;
	net->flights[index] = *flight;
	net->flights[index].order = net->order++;
	for (; at > 0 && flies_before(net, at, (at - 1) / 2); at = (at - 1) / 2)
		swap(net, at, (at - 1) / 2);
}

struct net_flight flight_end(struct net *net)
{
	uint16_t index = net->heap[0];

	net->heap[0] = net->heap[--net->flight_count];
	net->spare[net->flight_count] = index;
	sink(net, 0);
	return net->flights[index];
}
