// A DPDK port as a host on its network (cluster/link.h). Buffers come from a pool of its own, so
// that no flood on the data ports takes them away. What arrived is held until the next receive();
// what is sent is written behind room for its headers, in the buffer that leaves.
#include "weir/cluster/transport.h"

#include "base/check.h"
#include "cluster/link.h"
#include "common/log.h"
#include "weir/node.h"
#include "weir/port.h"

#include <stdlib.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

_Static_assert(LINK_PEERS_MAX >= CONFIG_PEERS_MAX, "each peer has its place");

struct transport_port {
	struct transport head;
	struct link link;
	struct rte_mempool *pool;
	uint16_t id; // DPDK's number of the port
	struct transport_stats stats;
	struct rte_mbuf *held[CLUSTER_BATCH_MAX]; // behind the datagrams of the last receive()
	unsigned held_count;
	struct rte_mbuf *spare[CLUSTER_BATCH_MAX]; // behind those lent, the first spare_count
	unsigned spare_count;
};

static struct transport_port *from_head(struct transport *transport)
{
	return (struct transport_port *)transport;
}

static void transmit(struct transport_port *self, struct rte_mbuf **mbufs, unsigned count)
{
	uint16_t sent = count ? rte_eth_tx_burst(self->id, 0, mbufs, (uint16_t)count) : 0;

	counter_add(&self->stats.tx_refused, count - sent);
	for (unsigned i = sent; i < count; i++)
		rte_pktmbuf_free(mbufs[i]);
}

static void set_frame(struct rte_mbuf *mbuf, size_t len)
{
	mbuf->data_len = (uint16_t)len;
	mbuf->pkt_len = (uint32_t)len;
	mbuf->ol_flags = 0;
}

// One frame: held where it is a datagram, else sent back as an answer or freed.
static bool take_frame(struct transport_port *self, uint64_t now_ns, struct rte_mbuf *mbuf,
	struct datagram *datagram)
{
	struct link_frame frame = {.data = rte_pktmbuf_mtod(mbuf, uint8_t *),
		.len = mbuf->data_len,
		.room = (size_t)mbuf->data_len + rte_pktmbuf_tailroom(mbuf)};
	enum link_verdict verdict = LINK_NOTHING;

	if (mbuf->nb_segs == 1 && mbuf->data_len <= LINK_FRAME_MAX + 4) // and a tag or padding
		verdict = link_receive(&self->link, now_ns, &frame);
	if (verdict == LINK_DATAGRAM && frame.payload_len > 0 &&
		frame.payload_len <= DATAGRAM_BYTES_MAX) {
		counter_add(&self->stats.rx_packets, 1);
		counter_add(&self->stats.rx_bytes, frame.payload_len);
		*datagram = (struct datagram){.data = frame.payload,
			.len = (uint16_t)frame.payload_len,
			.peer = (uint8_t)frame.peer};
		self->held[self->held_count++] = mbuf;
		return true;
	}
	if (verdict == LINK_ANSWER) {
		set_frame(mbuf, frame.payload_len);
		transmit(self, &mbuf, 1);
	} else {
		rte_pktmbuf_free(mbuf);
	}
	return false;
}

// Questions for neighbours that are due: a few a second.
static void ask(struct transport_port *self, uint64_t now_ns)
{
	struct rte_mbuf *mbuf;
	size_t len;

	while ((mbuf = rte_pktmbuf_alloc(self->pool)) != NULL) {
		len = link_ask(&self->link, now_ns, rte_pktmbuf_mtod(mbuf, uint8_t *));
		if (len == 0) {
			rte_pktmbuf_free(mbuf);
			return;
		}
		set_frame(mbuf, len);
		transmit(self, &mbuf, 1);
	}
}

static unsigned port_receive(
	struct transport *transport, uint64_t now_ns, struct datagram *in, unsigned max)
{
	struct transport_port *self = from_head(transport);
	struct rte_mbuf *burst[CLUSTER_BATCH_MAX];
	unsigned count = 0;

	rte_pktmbuf_free_bulk(self->held, self->held_count);
	self->held_count = 0;
	ask(self, now_ns);
	uint16_t got = rte_eth_rx_burst(self->id, 0, burst, (uint16_t)max);
	for (uint16_t i = 0; i < got; i++)
		count += take_frame(self, now_ns, burst[i], &in[count]);
	return count;
}

static unsigned port_lend(struct transport *transport, struct datagram *out, unsigned max)
{
	struct transport_port *self = from_head(transport);
	size_t headers = link_headers_bytes(&self->link);

	CHECK(max <= CLUSTER_BATCH_MAX);
	while (self->spare_count < max) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(self->pool);

		if (!mbuf)
			break;
		self->spare[self->spare_count++] = mbuf;
	}
	for (unsigned i = 0; i < self->spare_count; i++)
		out[i] = (struct datagram){
			.data = rte_pktmbuf_mtod(self->spare[i], uint8_t *) + headers,
			.room = DATAGRAM_BYTES_MAX};
	return self->spare_count;
}

static void port_send(struct transport *transport, const struct datagram *out, unsigned count)
{
	struct transport_port *self = from_head(transport);
	struct rte_mbuf *ready[CLUSTER_BATCH_MAX];
	unsigned ready_count = 0;

	for (unsigned i = 0; i < count; i++) {
		struct rte_mbuf *mbuf = self->spare[i];
		size_t len = link_wrap(
			&self->link, rte_pktmbuf_mtod(mbuf, uint8_t *), out[i].peer, out[i].len);

		if (len == 0) {
			rte_pktmbuf_free(mbuf);
			continue;
		}
		set_frame(mbuf, len);
		counter_add(&self->stats.tx_packets, 1);
		counter_add(&self->stats.tx_bytes, out[i].len);
		ready[ready_count++] = mbuf;
	}
	transmit(self, ready, ready_count);
	self->spare_count -= count;
	memmove(self->spare, self->spare + count, self->spare_count * sizeof(self->spare[0]));
}

static void port_stats(const struct transport *transport, struct transport_stats *out)
{
	const struct transport_port *self = (const struct transport_port *)transport;
	const struct link_stats *link = &self->link.stats;

	*out = self->stats;
	out->foreign = counter_get(&link->foreign);
	out->wrong_port = counter_get(&link->wrong_port);
	out->malformed = counter_get(&link->malformed) + counter_get(&link->bad_checksum);
	out->unresolved = counter_get(&link->unresolved);
}

static struct transport_way port_way(const struct transport *transport, unsigned peer)
{
	const struct transport_port *self = (const struct transport_port *)transport;

	return (struct transport_way){.link = link_way(&self->link, peer)};
}

static void port_close(struct transport *transport)
{
	struct transport_port *self = from_head(transport);

	rte_pktmbuf_free_bulk(self->held, self->held_count);
	rte_pktmbuf_free_bulk(self->spare, self->spare_count);
	free(self);
}

static const struct transport_methods methods = {
	.receive = port_receive,
	.lend = port_lend,
	.send = port_send,
	.stats = port_stats,
	.way = port_way,
	.close = port_close,
};

static void describe_link(const struct config_cluster *cluster, struct link_config *out)
{
	*out = (struct link_config){
		.address = cluster->address,
		.network = cluster->network,
		.has_gateway = cluster->has_gateway,
		.gateway = cluster->gateway,
		.udp_port = cluster->udp_port,
		.peer_count = cluster->peer_count,
	};
	for (unsigned i = 0; i < cluster->peer_count; i++)
		out->peers[i] = (struct link_peer){.address = cluster->peers[i].address,
			.udp_port = cluster->peers[i].udp_port};
}

struct transport *transport_port_open(const struct node *node)
{
	const struct port *port = node->sync_port;
	struct transport_port *self = calloc(1, sizeof(*self));
	struct link_config link;
	struct rte_ether_addr mac;

	if (!self || rte_eth_macaddr_get(port->id, &mac)) {
		log_error(
			"port %s: no memory, or the device has no MAC address", port->config->name);
		free(self);
		return NULL;
	}
	describe_link(&node->config->cluster, &link);
	memcpy(link.mac, mac.addr_bytes, sizeof(link.mac));
	link_init(&self->link, &link);
	self->pool = port->pool;
	self->id = port->id;
	self->head = (struct transport){.methods = &methods,
		.stranger = &self->link.stranger,
		.fd = port->wake.count == 1 ? port->wake.fds[0] : -1,
		.datagram_bytes = (uint16_t)(LINK_FRAME_MAX - link_headers_bytes(&self->link))};
	return &self->head;
}
