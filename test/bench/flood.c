// Packet generator for floods: TCP segments from random sources of a prefix, straight onto an
// interface (AF_PACKET, sendmmsg), checksums valid, so that only the box under test can tell them
// from real clients. One template per kind is built once; for each frame only the source, the ports
// and numbers are drawn and the TCP checksum is summed again over the few words that changed.
//
//   flood --syn|--ack|--rst|--synack|--mixed [--rate N|max] [--seconds S] [--from PREFIX]
//         [--seed N] [--send-buffer BYTES] --interface IF --gateway-mac MAC ADDRESS:PORT |
//         [ADDRESS6]:PORT
//
// Prints {"sent": frames, "refused": by the device, "seconds": s, "rate": frames per second}.
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BURST = 64,
	FRAME_BYTES_MAX = 128,
	TCP_OPTIONS_BYTES = 20,
	FLAG_FIN = 0x01,
	FLAG_SYN = 0x02,
	FLAG_RST = 0x04,
	FLAG_PSH = 0x08,
	FLAG_ACK = 0x10,
};

#define NS_PER_S 1000000000ULL

struct kind {
	const char *name;
	uint8_t flags;
	bool options;
	uint8_t payload_bytes;
};

static const struct kind kinds[] = {
	{"syn", FLAG_SYN, true, 0},
	{"ack", FLAG_ACK, false, 0},
	{"rst", FLAG_RST, false, 0},
	{"synack", FLAG_SYN | FLAG_ACK, true, 0},
	{"fin", FLAG_FIN | FLAG_ACK, false, 0},
	{"data", FLAG_PSH | FLAG_ACK, false, 16},
};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

// What a SYN of a Linux client offers: MSS 1460, SACK, timestamps, window scale 7.
static const uint8_t syn_options[TCP_OPTIONS_BYTES] = {
	2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 1, 2, 3, 0, 0, 0, 0, 1, 3, 3, 7};

struct settings {
	int first_kind; // -1: all of them in turn
	bool v6;
	uint8_t to[16];
	uint16_t port;
	uint8_t from[16];
	unsigned from_bits;
	uint64_t rate; // 0: as fast as it goes
	double seconds;
	uint64_t seed;
	int send_buffer_bytes; // of frames that nobody has taken yet; 0: as the kernel has it
	const char *interface;
	uint8_t gateway_mac[6];
	uint8_t own_mac[6];
};

struct frame {
	uint8_t bytes[FRAME_BYTES_MAX];
	size_t len;
	unsigned l4;	    // offset of the TCP header
	uint32_t fixed_sum; // checksum over what no frame changes
};

static uint64_t random_state;

static uint64_t random_next(void)
{
	uint64_t z = (random_state += 0x9e3779b97f4a7c15ULL);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
	return z ^ (z >> 31);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, (uint16_t)(value >> 16));
	put16(at + 2, (uint16_t)value);
}

static uint32_t sum_bytes(const uint8_t *bytes, size_t len)
{
	uint32_t sum = 0;

	for (size_t i = 0; i + 1 < len; i += 2)
		sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
	return sum;
}

static uint16_t sum_fold(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static unsigned build_ip(struct frame *frame, const struct settings *set, uint16_t l4_bytes)
{
	uint8_t *ip = frame->bytes + ETHER_HDR_LEN;

	if (set->v6) {
		ip[0] = 0x60;
		put16(ip + 4, l4_bytes);
		ip[6] = IPPROTO_TCP;
		ip[7] = 64;
		memcpy(ip + 24, set->to, 16);
		return ETHER_HDR_LEN + 40;
	}
	ip[0] = 0x45;
	put16(ip + 2, (uint16_t)(20 + l4_bytes));
	put16(ip + 6, 0x4000);
	ip[8] = 64;
	ip[9] = IPPROTO_TCP;
	memcpy(ip + 16, set->to, 4);
	return ETHER_HDR_LEN + 20;
}

static void build_frame(struct frame *frame, const struct settings *set, const struct kind *kind)
{
	unsigned header = 20 + (kind->options ? TCP_OPTIONS_BYTES : 0);
	uint16_t l4_bytes = (uint16_t)(header + kind->payload_bytes);
	uint8_t *tcp;

	memset(frame, 0, sizeof(*frame));
	memcpy(frame->bytes, set->gateway_mac, 6);
	memcpy(frame->bytes + 6, set->own_mac, 6);
	put16(frame->bytes + 12, set->v6 ? ETHERTYPE_IPV6 : ETHERTYPE_IP);
	frame->l4 = build_ip(frame, set, l4_bytes);
	frame->len = frame->l4 + l4_bytes;
	tcp = frame->bytes + frame->l4;
	put16(tcp + 2, set->port);
	tcp[12] = (uint8_t)(header / 4 << 4);
	tcp[13] = kind->flags;
	put16(tcp + 14, 64240);
	if (kind->options)
		memcpy(tcp + 20, syn_options, TCP_OPTIONS_BYTES);
	memset(tcp + header, 'x', kind->payload_bytes);
	frame->fixed_sum = sum_bytes(tcp, l4_bytes) + sum_bytes(set->to, set->v6 ? 16 : 4) +
			   IPPROTO_TCP + l4_bytes;
}

static void draw_source(uint8_t *at, const struct settings *set)
{
	unsigned len = set->v6 ? 16 : 4;
	uint64_t draw[2] = {random_next(), random_next()};
	const uint8_t *bits = (const uint8_t *)draw;

	for (unsigned i = 0; i < len; i++) {
		unsigned fixed = set->from_bits <= 8 * i ? 0 : set->from_bits - 8 * i;
		uint8_t mask = fixed >= 8 ? 0xff : (uint8_t)(0xff00 >> fixed);

		at[i] = (uint8_t)((set->from[i] & mask) | (bits[i] & (uint8_t)~mask));
	}
}

// Fills in what differs from frame to frame, checksums included.
static void draw_frame(struct frame *out, const struct frame *template, const struct settings *set)
{
	uint8_t *ip = out->bytes + ETHER_HDR_LEN;
	uint8_t *source = ip + (set->v6 ? 8 : 12);
	uint64_t numbers = random_next();
	uint64_t port = random_next();
	uint8_t *tcp;
	uint32_t sum;

	*out = *template;
	tcp = out->bytes + out->l4;
	draw_source(source, set);
	put16(tcp, (uint16_t)(1024 + port % 64512));
	put32(tcp + 4, (uint32_t)numbers);
	if (tcp[13] & FLAG_ACK)
		put32(tcp + 8, (uint32_t)(numbers >> 32));
	sum = out->fixed_sum + sum_bytes(source, set->v6 ? 16 : 4) + sum_bytes(tcp, 2) +
	      sum_bytes(tcp + 4, 8);
	put16(tcp + 16, sum_fold(sum));
	if (!set->v6) {
		put16(ip + 4, (uint16_t)(port >> 32));
		put16(ip + 10, sum_fold(sum_bytes(ip, 20)));
	}
}

static int open_interface(struct settings *set)
{
	int fd = socket(AF_PACKET, SOCK_RAW, 0);
	int on = 1;
	struct sockaddr_ll where = {
		.sll_family = AF_PACKET,
		.sll_ifindex = (int)if_nametoindex(set->interface),
	};
	socklen_t len = sizeof(where);

	if (fd < 0 || where.sll_ifindex == 0 ||
		bind(fd, (struct sockaddr *)&where, sizeof(where)) != 0 ||
		getsockname(fd, (struct sockaddr *)&where, &len) != 0) {
		fprintf(stderr, "flood: interface %s: %s\n", set->interface, strerror(errno));
		exit(1);
	}
	memcpy(set->own_mac, where.sll_addr, 6);
	// Straight to the driver: the queue would only add a second place where frames get lost.
	setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on));
	if (set->send_buffer_bytes)
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &set->send_buffer_bytes,
			sizeof(set->send_buffer_bytes));
	return fd;
}

// How many frames may be sent now so that the rate is kept; sleeps when none may.
static unsigned pace(const struct settings *set, uint64_t start_ns, uint64_t sent)
{
	uint64_t elapsed_ns, due;

	if (set->rate == 0)
		return BURST;
	for (;;) {
		elapsed_ns = now_ns() - start_ns;
		due = (uint64_t)((double)elapsed_ns * (double)set->rate / (double)NS_PER_S);
		if (due > sent)
			return due - sent < BURST ? (unsigned)(due - sent) : BURST;
		if (elapsed_ns > (uint64_t)(set->seconds * (double)NS_PER_S))
			return 1;
		nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
	}
}

static void run(const struct settings *set, int fd)
{
	static struct frame templates[KIND_COUNT], frames[BURST];
	struct iovec parts[BURST];
	struct mmsghdr messages[BURST];
	uint64_t start_ns = now_ns();
	uint64_t end_ns = start_ns + (uint64_t)(set->seconds * (double)NS_PER_S);
	uint64_t sent = 0, refused = 0;
	double seconds;

	for (unsigned i = 0; i < KIND_COUNT; i++)
		build_frame(&templates[i], set, &kinds[i]);
	while (now_ns() < end_ns) {
		unsigned count = pace(set, start_ns, sent + refused);
		int done;

		memset(messages, 0, sizeof(messages));
		for (unsigned i = 0; i < count; i++) {
			unsigned kind = set->first_kind >= 0
						? (unsigned)set->first_kind
						: (unsigned)(random_next() % KIND_COUNT);

			draw_frame(&frames[i], &templates[kind], set);
			parts[i] = (struct iovec){frames[i].bytes, frames[i].len};
			messages[i].msg_hdr.msg_iov = &parts[i];
			messages[i].msg_hdr.msg_iovlen = 1;
		}
		done = sendmmsg(fd, messages, count, 0);
		if (done > 0)
			sent += (unsigned)done;
		else if (errno == ENOBUFS || errno == EAGAIN || errno == EINTR)
			refused++;
		else
			break;
	}
	seconds = (double)(now_ns() - start_ns) / (double)NS_PER_S;
	printf("{\"sent\": %llu, \"refused\": %llu, \"seconds\": %.3f, \"rate\": %.0f}\n",
		(unsigned long long)sent, (unsigned long long)refused, seconds,
		(double)sent / seconds);
}

static void usage(void)
{
	fprintf(stderr,
		"usage: flood --syn|--ack|--rst|--synack|--mixed [--rate N|max] [--seconds S]\n"
		"             [--from PREFIX] [--seed N] [--send-buffer BYTES] --interface IF\n"
		"             --gateway-mac MAC ADDRESS:PORT | [ADDRESS6]:PORT\n");
	exit(2);
}

static void parse_target(struct settings *set, char *text)
{
	char *colon = strrchr(text, ':');
	long port;

	if (colon == NULL)
		usage();
	*colon = '\0';
	port = strtol(colon + 1, NULL, 10);
	if (text[0] == '[') {
		set->v6 = true;
		text[strlen(text) - 1] = '\0';
		text++;
	}
	if (port < 1 || port > 65535 || inet_pton(set->v6 ? AF_INET6 : AF_INET, text, set->to) != 1)
		usage();
	set->port = (uint16_t)port;
}

static void parse_from(struct settings *set, const char *option)
{
	char text[64];
	char *slash;

	if (option == NULL)
		option = set->v6 ? "2001:db8:bad::/48" : "198.18.0.0/15";
	snprintf(text, sizeof(text), "%s", option);
	slash = strchr(text, '/');
	if (slash == NULL)
		usage();
	*slash = '\0';
	set->from_bits = (unsigned)strtoul(slash + 1, NULL, 10);
	if (inet_pton(set->v6 ? AF_INET6 : AF_INET, text, set->from) != 1 ||
		set->from_bits > (set->v6 ? 128 : 32))
		usage();
}

static void parse_mac(uint8_t *mac, const char *text)
{
	unsigned byte[6];

	if (sscanf(text, "%2x:%2x:%2x:%2x:%2x:%2x", &byte[0], &byte[1], &byte[2], &byte[3],
		    &byte[4], &byte[5]) != 6)
		usage();
	for (int i = 0; i < 6; i++)
		mac[i] = (uint8_t)byte[i];
}

static const struct option option_table[] = {
	{"syn", no_argument, NULL, 'k'},
	{"ack", no_argument, NULL, 'k'},
	{"rst", no_argument, NULL, 'k'},
	{"synack", no_argument, NULL, 'k'},
	{"mixed", no_argument, NULL, 'x'},
	{"rate", required_argument, NULL, 'r'},
	{"seconds", required_argument, NULL, 's'},
	{"from", required_argument, NULL, 'f'},
	{"seed", required_argument, NULL, 'S'},
	{"send-buffer", required_argument, NULL, 'b'},
	{"interface", required_argument, NULL, 'i'},
	{"gateway-mac", required_argument, NULL, 'g'},
	{NULL, 0, NULL, 0},
};

int main(int argc, char **argv)
{
	struct settings set = {.first_kind = -2, .seconds = 5};
	const char *from = NULL, *mac = NULL;
	int option, index;

	set.seed = (uint64_t)time(NULL) ^ (uint64_t)getpid() << 32;
	while ((option = getopt_long(argc, argv, "", option_table, &index)) != -1) {
		switch (option) {
		case 'k': // the first four kinds stand in the order of the option table
			set.first_kind = index;
			break;
		case 'x':
			set.first_kind = -1;
			break;
		case 'r':
			set.rate = strcmp(optarg, "max") == 0 ? 0 : strtoull(optarg, NULL, 10);
			break;
		case 's':
			set.seconds = strtod(optarg, NULL);
			break;
		case 'f':
			from = optarg;
			break;
		case 'S':
			set.seed = strtoull(optarg, NULL, 10);
			break;
		case 'b':
			set.send_buffer_bytes = (int)strtol(optarg, NULL, 10);
			break;
		case 'i':
			set.interface = optarg;
			break;
		case 'g':
			mac = optarg;
			break;
		default:
			usage();
		}
	}
	if (set.first_kind == -2 || set.interface == NULL || mac == NULL || optind + 1 != argc)
		usage();
	random_state = set.seed;
	parse_target(&set, argv[optind]);
	parse_from(&set, from);
	parse_mac(set.gateway_mac, mac);
	run(&set, open_interface(&set));
	return 0;
}
