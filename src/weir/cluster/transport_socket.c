// One UDP socket, bound to the own address. The longest datagram is what every path to a peer
// carries whole, as far as the system knows at the start; should a path shrink later, the system
// cuts datagrams into fragments rather than lose them.
#include "weir/cluster/transport.h"

#include "base/check.h"
#include "common/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES   (4u << 20) // of the system, each way
#define DATAGRAM_MIN   1200	  // what handshakes need
#define IP4_UDP_BYTES  28
#define IP6_UDP_BYTES  48
#define SEND_TRIES_MAX 4

struct socket_address {
	struct sockaddr_storage storage;
	socklen_t len;
};

struct transport_socket {
	struct transport head;
	unsigned peer_count;
	struct socket_address peers[CONFIG_PEERS_MAX];
	struct transport_stats stats;
	struct link_peer stranger;
	struct transport_way ways[CONFIG_PEERS_MAX];
	struct mmsghdr rx[CLUSTER_BATCH_MAX], tx[CLUSTER_BATCH_MAX];
	struct iovec rx_parts[CLUSTER_BATCH_MAX], tx_parts[CLUSTER_BATCH_MAX];
	struct socket_address rx_from[CLUSTER_BATCH_MAX];
	uint8_t in[CLUSTER_BATCH_MAX][DATAGRAM_BYTES_MAX + 1]; // one more tells one that is longer
	uint8_t out[CLUSTER_BATCH_MAX][DATAGRAM_BYTES_MAX];
};

static struct transport_socket *from_head(struct transport *transport)
{
	return (struct transport_socket *)transport;
}

static struct socket_address make_address(const struct addr *addr, uint16_t port)
{
	struct socket_address address = {0};

	if (addr_is_ip4(addr)) {
		struct sockaddr_in *in = (struct sockaddr_in *)&address.storage;

		in->sin_family = AF_INET;
		in->sin_port = htons(port);
		memcpy(&in->sin_addr, addr->b + 12, 4);
		address.len = sizeof(*in);
	} else {
		struct sockaddr_in6 *in = (struct sockaddr_in6 *)&address.storage;

		in->sin6_family = AF_INET6;
		in->sin6_port = htons(port);
		memcpy(&in->sin6_addr, addr->b, 16);
		address.len = sizeof(*in);
	}
	return address;
}

static struct link_peer name_address(const struct socket_address *address)
{
	const struct sockaddr_in *in4 = (const struct sockaddr_in *)&address->storage;
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&address->storage;

	if (address->storage.ss_family == AF_INET)
		return (struct link_peer){
			addr_from_ip4((const uint8_t *)&in4->sin_addr), ntohs(in4->sin_port)};
	return (struct link_peer){
		addr_from_ip6((const uint8_t *)&in6->sin6_addr), ntohs(in6->sin6_port)};
}

static bool same_host(const struct socket_address *a, const struct socket_address *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a->storage;
	const struct sockaddr_in *b4 = (const struct sockaddr_in *)&b->storage;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->storage;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->storage;

	if (a->storage.ss_family != b->storage.ss_family)
		return false;
	if (a->storage.ss_family == AF_INET)
		return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
	return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

static in_port_t port_of(const struct socket_address *address)
{
	if (address->storage.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&address->storage)->sin_port;
	return ((const struct sockaddr_in6 *)&address->storage)->sin6_port;
}

static bool same_address(const struct socket_address *a, const struct socket_address *b)
{
	return port_of(a) == port_of(b) && same_host(a, b);
}

// The peer that sends from there, or peer_count.
static unsigned find_peer(const struct transport_socket *self, const struct socket_address *from)
{
	unsigned peer = 0;

	while (peer < self->peer_count && !same_address(&self->peers[peer], from))
		peer++;
	return peer;
}

// It may be a peer's with another port.
static void take_stranger(struct transport_socket *self, const struct socket_address *from)
{
	counter_add(&self->stats.foreign, 1);
	self->stranger = name_address(from);
	for (unsigned i = 0; i < self->peer_count; i++)
		if (same_host(&self->peers[i], from))
			self->ways[i].link.from_port = self->stranger.udp_port;
}

static unsigned socket_receive(
	struct transport *transport, uint64_t now_ns, struct datagram *in, unsigned max)
{
	struct transport_socket *self = from_head(transport);
	unsigned count = 0;

	(void)now_ns;
	for (unsigned i = 0; i < max; i++)
		self->rx[i].msg_hdr.msg_namelen = sizeof(self->rx_from[i].storage);
	int got = recvmmsg(transport->fd, self->rx, max, MSG_DONTWAIT, NULL);
	for (int i = 0; i < got; i++) {
		unsigned len = self->rx[i].msg_len;
		unsigned peer = find_peer(self, &self->rx_from[i]);

		if (peer == self->peer_count) {
			take_stranger(self, &self->rx_from[i]);
			continue;
		}
		if (len == 0 || len > DATAGRAM_BYTES_MAX) {
			counter_add(&self->stats.malformed, 1);
			continue;
		}
		self->ways[peer].link.from_port = 0;
		counter_add(&self->stats.rx_packets, 1);
		counter_add(&self->stats.rx_bytes, len);
		in[count++] = (struct datagram){
			.data = self->in[i], .len = (uint16_t)len, .peer = (uint8_t)peer};
	}
	return count;
}

static unsigned socket_lend(struct transport *transport, struct datagram *out, unsigned max)
{
	struct transport_socket *self = from_head(transport);

	for (unsigned i = 0; i < max; i++)
		out[i] = (struct datagram){.data = self->out[i], .room = sizeof(self->out[i])};
	return max;
}

// A refusal is the first one's that is left: an error of an earlier datagram (the peer's port is
// closed) or of this one. It is lost, the others are tried.
static void socket_send(struct transport *transport, const struct datagram *out, unsigned count)
{
	struct transport_socket *self = from_head(transport);
	unsigned sent = 0;

	for (unsigned i = 0; i < count; i++) {
		struct socket_address *to = &self->peers[out[i].peer];

		self->tx_parts[i] = (struct iovec){.iov_base = out[i].data, .iov_len = out[i].len};
		self->tx[i].msg_hdr = (struct msghdr){.msg_name = &to->storage,
			.msg_namelen = to->len,
			.msg_iov = &self->tx_parts[i],
			.msg_iovlen = 1};
	}
	for (unsigned tries = 0; sent < count && tries < SEND_TRIES_MAX;) {
		int now = sendmmsg(transport->fd, self->tx + sent, count - sent, MSG_DONTWAIT);

		for (int i = 0; i < now; i++) {
			counter_add(&self->stats.tx_bytes, out[sent + (unsigned)i].len);
			self->ways[out[sent + (unsigned)i].peer].error = 0;
		}
		counter_add(&self->stats.tx_packets, now > 0 ? (uint64_t)now : 0);
		sent += now > 0 ? (unsigned)now : 0;
		if (now > 0)
			continue;
		tries++;
		if (errno == EAGAIN || errno == ENOBUFS)
			break;
		if (errno != ECONNREFUSED && errno != EINTR) {
			counter_add(&self->stats.tx_refused, 1);
			self->ways[out[sent].peer].error = errno;
			sent++;
		}
	}
	counter_add(&self->stats.tx_refused, count - sent);
}

static void socket_stats(const struct transport *transport, struct transport_stats *out)
{
	const struct transport_socket *self = (const struct transport_socket *)transport;

	*out = self->stats;
}

static struct transport_way socket_way(const struct transport *transport, unsigned peer)
{
	return ((const struct transport_socket *)transport)->ways[peer];
}

static void socket_close(struct transport *transport)
{
	close(transport->fd);
	free(transport);
}

static const struct transport_methods methods = {
	.receive = socket_receive,
	.lend = socket_lend,
	.send = socket_send,
	.stats = socket_stats,
	.way = socket_way,
	.close = socket_close,
};

// What one packet on the way to a peer carries, as far as the system knows.
static unsigned path_bytes(const struct socket_address *peer)
{
	bool ip4 = peer->storage.ss_family == AF_INET;
	int file = socket(peer->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int mtu = 0;
	socklen_t size = sizeof(mtu);

	if (file < 0)
		return DATAGRAM_BYTES_MAX;
	if (connect(file, (const struct sockaddr *)&peer->storage, peer->len) ||
		getsockopt(file, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_MTU : IPV6_MTU, &mtu,
			&size))
		mtu = 0;
	close(file);
	int headers = ip4 ? IP4_UDP_BYTES : IP6_UDP_BYTES;
	return mtu > headers ? (unsigned)(mtu - headers) : (unsigned)(1500 - headers);
}

static uint16_t choose_bytes(const struct transport_socket *self)
{
	unsigned least = DATAGRAM_BYTES_MAX;

	for (unsigned i = 0; i < self->peer_count; i++) {
		unsigned bytes = path_bytes(&self->peers[i]);

		least = bytes < least ? bytes : least;
	}
	return (uint16_t)(least < DATAGRAM_MIN ? DATAGRAM_MIN : least);
}

// The system binds also to an address it does not have, where it has none at all or was told to
// (ip_nonlocal_bind); nothing would ever be sent. What it would send to it from is itself.
static bool is_own_address(const struct socket_address *address)
{
	struct socket_address from = {.len = sizeof(from.storage)};
	int file = socket(address->storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool own;

	if (file < 0)
		return true; // cannot be told
	own = connect(file, (const struct sockaddr *)&address->storage, address->len) == 0 &&
	      getsockname(file, (struct sockaddr *)&from.storage, &from.len) == 0 &&
	      same_host(address, &from);
	close(file);
	return own;
}

static int open_socket(const struct config_cluster *cluster)
{
	struct socket_address own = make_address(&cluster->address, cluster->udp_port);
	bool ip4 = own.storage.ss_family == AF_INET;
	int file = socket(own.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int bytes = BUFFER_BYTES, fragments = ip4 ? IP_PMTUDISC_DONT : IPV6_PMTUDISC_DONT;
	char text[ADDR_TEXT_BYTES];

	if (file < 0)
		return -1;
	// Smaller buffers than asked for are no reason not to start.
	setsockopt(file, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
	setsockopt(file, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	setsockopt(file, ip4 ? IPPROTO_IP : IPPROTO_IPV6, ip4 ? IP_MTU_DISCOVER : IPV6_MTU_DISCOVER,
		&fragments, sizeof(fragments));
	if (!is_own_address(&own))
		log_error("cluster.address: %s is on no interface of the system, which transport = "
			  "\"socket\" needs: give it one (ip addr add)",
			addr_format(&cluster->address, text));
	else if (bind(file, (struct sockaddr *)&own.storage, own.len) == 0)
		return file;
	else
		log_error("cluster.address: UDP port %u of %s cannot be used: %s",
			cluster->udp_port, addr_format(&cluster->address, text), strerror(errno));
	close(file);
	return -1;
}

struct transport *transport_socket_open(const struct config_cluster *cluster)
{
	struct transport_socket *self = calloc(1, sizeof(*self));
	int file = self ? open_socket(cluster) : -1;

	if (file < 0) {
		free(self);
		return NULL;
	}
	self->peer_count = cluster->peer_count;
	for (unsigned i = 0; i < cluster->peer_count; i++)
		self->peers[i] =
			make_address(&cluster->peers[i].address, cluster->peers[i].udp_port);
	for (unsigned i = 0; i < CLUSTER_BATCH_MAX; i++) {
		self->rx_parts[i] =
			(struct iovec){.iov_base = self->in[i], .iov_len = sizeof(self->in[i])};
		self->rx[i].msg_hdr = (struct msghdr){.msg_name = &self->rx_from[i].storage,
			.msg_iov = &self->rx_parts[i],
			.msg_iovlen = 1};
	}
	self->head = (struct transport){.methods = &methods,
		.stranger = &self->stranger,
		.fd = file,
		.datagram_bytes = choose_bytes(self)};
	return &self->head;
}
