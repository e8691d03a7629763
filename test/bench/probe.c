// How long packets take through a forwarder between two memif ports: sends one kind of frame with
// the TSC in its last eight bytes into the one, and reads them from the other.
//
//   probe FOLDER CPU FRAME
//
// FRAME is in hexadecimal, TCP over IPv4 in Ethernet, the checksum right with those bytes zero. It
// listens at FOLDER/a.sock and FOLDER/b.sock. Lines on standard input are answered on standard
// output, one of JSON for each:
//
//	run RATE MS    packets per second, 0: as many as go; how many came, and after how long. The
//		       first WARM_MS, in which a forwarder wakes, are not counted
//
// It ends with standard input.
#include "base/bytes.h"
#include "base/check.h"
#include "pkt/checksum.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>

#define BURST	     32
#define BUFFERS	     8191
#define DESCRIPTORS  1024
#define BUCKETS	     (1 << 18)
#define BUCKET_SHIFT 5 // 32 TSC cycles each
#define FRAME_MAX    128
#define TCP_SUM_AT   (14 + 20 + 16)
#define WARM_MS	     10
#define SETTLE_MS    20 // what is on its way when the sending ends

struct probe {
	uint16_t in, out; // DPDK's ports
	struct rte_mempool *pool;
	uint8_t frame[FRAME_MAX];
	uint16_t frame_len;
	uint64_t sent, received;
	uint32_t buckets[BUCKETS];
};

static struct probe probe;

static unsigned nibble(char c)
{
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a' + 10);
}

static void read_frame(const char *hex)
{
	size_t len = strlen(hex) / 2;

	CHECK(len <= FRAME_MAX && len > TCP_SUM_AT + 8);
	for (size_t i = 0; i < len; i++)
		probe.frame[i] = (uint8_t)(nibble(hex[2 * i]) << 4 | nibble(hex[2 * i + 1]));
	probe.frame_len = (uint16_t)len;
}

static void start_dpdk(const char *folder, char *cpu)
{
	static char name[] = "probe", lcores[] = "-l", small[] = "--no-huge", memory[] = "-m64",
		    pci[] = "--no-pci", shared[] = "--no-shconf", telemetry[] = "--no-telemetry",
		    quiet[] = "--log-level=3", vdevs[2][256];
	char *arguments[] = {name, lcores, cpu, small, memory, pci, shared, telemetry, quiet,
		vdevs[0], vdevs[1], NULL};

	for (unsigned i = 0; i < 2; i++)
		snprintf(vdevs[i], sizeof(vdevs[i]),
			"--vdev=net_memif%u,role=server,socket=%s/"
			"%c.sock,socket-abstract=no,rsize=10",
			i, folder, 'a' + (int)i);
	CHECK(rte_eal_init(ARRAY_LEN(arguments) - 1, arguments) >= 0);
}

static uint16_t start_port(const char *name)
{
	const struct rte_eth_conf conf = {0};
	uint16_t port;

	CHECK(rte_eth_dev_get_port_by_name(name, &port) == 0);
	CHECK(rte_eth_dev_configure(port, 1, 1, &conf) == 0);
	CHECK(rte_eth_rx_queue_setup(port, 0, DESCRIPTORS, 0, NULL, probe.pool) == 0);
	CHECK(rte_eth_tx_queue_setup(port, 0, DESCRIPTORS, 0, NULL) == 0);
	CHECK(rte_eth_dev_start(port) == 0);
	return port;
}

static void write_frame(struct rte_mbuf *mbuf)
{
	uint8_t *data = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint64_t now = rte_rdtsc();
	uint16_t sum = be16_get(probe.frame + TCP_SUM_AT);

	memcpy(data, probe.frame, probe.frame_len);
	be32_put(data + probe.frame_len - 8, (uint32_t)(now >> 32));
	be32_put(data + probe.frame_len - 4, (uint32_t)now);
	sum = checksum_update32(sum, 0, (uint32_t)(now >> 32));
	be16_put(data + TCP_SUM_AT, checksum_update32(sum, 0, (uint32_t)now));
	mbuf->data_len = probe.frame_len;
	mbuf->pkt_len = probe.frame_len;
}

static void send_some(unsigned count)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned sent;

	if (count == 0 || rte_pktmbuf_alloc_bulk(probe.pool, mbufs, count) != 0)
		return;
	for (unsigned i = 0; i < count; i++)
		write_frame(mbufs[i]);
	sent = rte_eth_tx_burst(probe.in, 0, mbufs, (uint16_t)count);
	probe.sent += sent;
	rte_pktmbuf_free_bulk(mbufs + sent, count - sent);
}

static void receive(void)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned got = rte_eth_rx_burst(probe.out, 0, mbufs, BURST);
	uint64_t now = rte_rdtsc();

	for (unsigned i = 0; i < got; i++) {
		const uint8_t *data = rte_pktmbuf_mtod(mbufs[i], const uint8_t *);
		const uint8_t *stamp = data + probe.frame_len - 8;
		uint64_t took = now - ((uint64_t)be32_get(stamp) << 32 | be32_get(stamp + 4));
		uint64_t bucket = took >> BUCKET_SHIFT;

		probe.buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	}
	probe.received += got;
	rte_pktmbuf_free_bulk(mbufs, got);
}

static double percentile_us(double share, double hz)
{
	uint64_t wanted = (uint64_t)((double)probe.received * share), seen = 0;
	unsigned bucket = 0;

	for (; bucket < BUCKETS - 1; bucket++) {
		seen += probe.buckets[bucket];
		if (seen > wanted)
			break;
	}
	return ((double)bucket + 0.5) * (1 << BUCKET_SHIFT) * 1e6 / hz;
}

// How many are due by now: those that could not be sent in time are not made up for.
static unsigned due(double *next, double step, double now)
{
	unsigned count = 0;

	if (step == 0)
		return BURST;
	for (; count < BURST && *next <= now; count++)
		*next += step;
	if (*next < now)
		*next = now;
	return count;
}

static void forget(void)
{
	probe.sent = probe.received = 0;
	memset(probe.buckets, 0, sizeof(probe.buckets));
}

// Sends and receives for so long. `step`: TSC cycles between packets, 0: none. `sends`: or only
// receives.
static void exchange(double step, double cycles, bool sends)
{
	double now = (double)rte_rdtsc(), end = now + cycles, next = now;

	for (; now < end; now = (double)rte_rdtsc()) {
		if (sends)
			send_some(due(&next, step, now));
		receive();
	}
}

static void run(double rate, double ms)
{
	double hz = (double)rte_get_tsc_hz(), step = rate > 0 ? hz / rate : 0;

	exchange(step, WARM_MS * hz / 1e3, true);
	forget();
	exchange(step, ms * hz / 1e3, true);
	exchange(0, SETTLE_MS * hz / 1e3, false);
	printf("{\"sent\": %" PRIu64 ", \"received\": %" PRIu64
	       ", \"rate\": %.0f, \"p50_us\": %.2f, "
	       "\"p99_us\": %.2f, \"p999_us\": %.2f}\n",
		probe.sent, probe.received, (double)probe.received * 1e3 / ms,
		percentile_us(0.5, hz), percentile_us(0.99, hz), percentile_us(0.999, hz));
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char line[128];
	double rate, ms;

	if (argc != 4) {
		fprintf(stderr, "usage: probe FOLDER CPU FRAME\n");
		return 2;
	}
	read_frame(argv[3]);
	start_dpdk(argv[1], argv[2]);
	probe.pool = rte_pktmbuf_pool_create(
		"probe", BUFFERS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE, (int)rte_socket_id());
	CHECK(probe.pool != NULL);
	probe.in = start_port("net_memif0");
	probe.out = start_port("net_memif1");
	printf("ready\n");
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin) != NULL)
		if (sscanf(line, "run %lf %lf", &rate, &ms) == 2)
			run(rate, ms);
	return 0;
}
