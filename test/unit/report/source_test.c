// Proves: of `weir replay`, that a plain pcap file read in large pieces has the packets that
// libpcap reads, and that of a damaged one the same is there and the same is said.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>

#include <cmocka.h>

#include "weir/replay/link.h"
#include "weir/replay/source.h"

#include <pcap/pcap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAGIC_US   0xa1b2c3d4
#define MAGIC_NS   0xa1b23c4d
#define SNAPLEN	   262144
#define SPACE	   (4u << 20)
#define TEXT_BYTES 512

// A capture being made.
struct capture {
	int fd;
	char path[64];
	uint8_t *data;
	size_t len;
	bool swapped;
};

static struct capture capture;
static uint8_t room[UINT16_MAX];

static void put32(uint32_t number)
{
	number = capture.swapped ? __builtin_bswap32(number) : number;
	memcpy(capture.data + capture.len, &number, sizeof(number));
	capture.len += sizeof(number);
}

static void begin(uint32_t magic, bool swapped, uint32_t snaplen, uint32_t link_type)
{
	capture.len = 0;
	capture.swapped = swapped;
	put32(magic);
	put32(swapped ? 4 | 2 << 16 : 2 | 4 << 16); // each half by itself
	put32(0);
	put32(0);
	put32(snaplen);
	put32(link_type);
}

static void add(uint32_t seconds, uint32_t ticks, uint32_t kept, uint32_t len)
{
	put32(seconds);
	put32(ticks);
	put32(kept);
	put32(len);
	for (uint32_t i = 0; i < kept; i++)
		capture.data[capture.len++] = (uint8_t)(i * 7 + kept);
}

static void add_some(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		add(1000 + i / 10, 999 * i, i * 37 % 1500, i * 37 % 1500 + (i % 5 == 0));
}

static void store(void)
{
	assert_int_equal(ftruncate(capture.fd, 0), 0);
	assert_int_equal(pwrite(capture.fd, capture.data, capture.len, 0), capture.len);
}

static int make(void **state)
{
	(void)state;
	capture.fd = memfd_create("capture", 0);
	capture.data = malloc(SPACE);
	snprintf(capture.path, sizeof(capture.path), "/proc/self/fd/%d", capture.fd);
	return capture.fd < 0 || capture.data == NULL;
}

static int clear(void **state)
{
	(void)state;
	close(capture.fd);
	free(capture.data);
	return 0;
}

// --- what is said ---

static int said_fd, usual_fd;

static void hear(void)
{
	said_fd = memfd_create("said", 0);
	usual_fd = dup(STDERR_FILENO);
	fflush(stderr);
	dup2(said_fd, STDERR_FILENO);
}

static void stop_hearing(char said[TEXT_BYTES])
{
	ssize_t got;

	fflush(stderr);
	dup2(usual_fd, STDERR_FILENO);
	got = pread(said_fd, said, TEXT_BYTES - 1, 0);
	said[got > 0 ? got : 0] = '\0';
	close(said_fd);
	close(usual_fd);
}

static unsigned take(struct source *source, struct replay_packet *packets, char said[TEXT_BYTES])
{
	unsigned count;

	hear();
	count = source_take(source, packets, REPLAY_TAKE_MAX);
	stop_hearing(said);
	return count;
}

// --- what libpcap reads ---

static pcap_t *open_reference(char error[PCAP_ERRBUF_SIZE])
{
	return pcap_open_offline_with_tstamp_precision(
		capture.path, PCAP_TSTAMP_PRECISION_NANO, error);
}

static void expect_packet(pcap_t *reference, const struct replay_packet *packet)
{
	struct pcap_pkthdr *header;
	const uint8_t *data;
	size_t kept;
	bool fits;

	assert_int_equal(pcap_next_ex(reference, &header, &data), 1);
	kept = header->caplen < sizeof(room) ? header->caplen : sizeof(room);
	fits = header->caplen <= sizeof(room);
	if (!link_is_ethernet(pcap_datalink(reference))) {
		kept = link_to_ethernet(
			pcap_datalink(reference), data, header->caplen, room, sizeof(room));
		data = room;
		fits &= kept < sizeof(room);
	}
	assert_int_equal(packet->time_ns,
		(uint64_t)header->ts.tv_sec * 1000000000 + (uint64_t)header->ts.tv_usec);
	assert_int_equal(packet->len, kept);
	assert_int_equal(packet->truncated, header->caplen < header->len || !fits);
	assert_memory_equal(packet->data, data, kept);
}

// Everything that is left of the source. How many packets.
static unsigned expect_rest(struct source *source, pcap_t *reference, const char *error)
{
	struct replay_packet packets[REPLAY_TAKE_MAX];
	struct pcap_pkthdr *header;
	unsigned all = 0, count;
	const uint8_t *data;
	char said[TEXT_BYTES];
	int end;

	while ((count = take(source, packets, said)) > 0) {
		for (unsigned i = 0; i < count; i++)
			expect_packet(reference, &packets[i]);
		all += count;
	}
	end = pcap_next_ex(reference, &header, &data);
	assert_int_equal(source->cut, end == PCAP_ERROR);
	if (end == PCAP_ERROR)
		assert_non_null(strstr(said, pcap_geterr(reference)));
	else
		assert_int_equal(end, PCAP_ERROR_BREAK);
	if (error != NULL)
		assert_non_null(strstr(said, error));
	else if (end != PCAP_ERROR)
		assert_string_equal(said, "");
	return all;
}

// True where it can be opened.
static bool open_both(struct source *source, pcap_t **reference)
{
	char error[PCAP_ERRBUF_SIZE], said[TEXT_BYTES];
	int status;

	*reference = open_reference(error);
	hear();
	status = source_open(source, capture.path);
	stop_hearing(said);
	if (*reference == NULL)
		assert_non_null(strstr(said, error));
	assert_int_equal(
		status == 0, *reference != NULL && link_is_known(pcap_datalink(*reference)));
	return status == 0;
}

static void close_both(struct source *source, pcap_t *reference)
{
	source_close(source);
	if (reference != NULL)
		pcap_close(reference);
}

// Reads it all: how many packets, and whether without libpcap.
static unsigned read_all(bool plain, const char *error)
{
	struct source source;
	pcap_t *reference;
	unsigned all;

	store();
	assert_true(open_both(&source, &reference));
	all = expect_rest(&source, reference, error);
	assert_int_equal(source.plain, plain);
	close_both(&source, reference);
	return all;
}

// --- tests ---

static void all_four_forms(void **state)
{
	(void)state;
	for (unsigned form = 0; form < 4; form++) {
		begin(form & 1 ? MAGIC_NS : MAGIC_US, form & 2, SNAPLEN, DLT_EN10MB);
		add_some(500);
		assert_int_equal(read_all(true, NULL), 500);
	}
}

static void larger_than_the_room(void **state)
{
	(void)state;
	begin(MAGIC_US, false, 0, DLT_EN10MB); // no bound but libpcap's
	for (unsigned i = 0; i < 10; i++) {
		add_some(40);
		add(2000, i, 65535, 65535);
		add(2000, i, 65536, 65536);
		add(2000, i, 180000, 180000);
	}
	add(2000, 0, SNAPLEN, SNAPLEN);
	assert_int_equal(read_all(true, NULL), 431);
	add(2000, 0, SNAPLEN + 1, SNAPLEN + 1);
	assert_int_equal(read_all(false, "invalid packet capture length"), 431);
	begin(MAGIC_US, false, 1000000, DLT_EN10MB);
	add(2000, 0, SNAPLEN + 1, SNAPLEN + 1);
	assert_int_equal(read_all(false, "invalid packet capture length"), 0);
}

static void other_link_types(void **state)
{
	static const uint32_t types[] = {101 /* LINKTYPE_RAW */, DLT_LINUX_SLL, 276 /* SLL2 */,
		DLT_NULL, 108 /* LINKTYPE_LOOP */, 228 /* IPV4 */, 229 /* IPV6 */};

	(void)state;
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		for (unsigned swapped = 0; swapped < 2; swapped++) {
			begin(MAGIC_US, swapped, SNAPLEN, types[i]);
			add_some(50);
			add(2000, 0, 66000, 66000);
			assert_int_equal(read_all(!swapped, NULL), 51);
		}
	}
}

// What is none of our business, or odd: what libpcap makes of it counts.
static void left_to_libpcap(void **state)
{
	(void)state;
	begin(MAGIC_US, false, SNAPLEN, DLT_EN10MB);
	capture.data[6] = 3; // version 2.3, whose lengths may be the other way round
	add_some(50);
	assert_int_equal(read_all(false, NULL), 50);
	for (unsigned swapped = 0; swapped < 2; swapped++) {
		begin(MAGIC_US, swapped, 1000, DLT_EN10MB); // and some are longer
		add_some(100);
		assert_int_equal(read_all(false, NULL), 100);
		begin(MAGIC_NS, swapped, SNAPLEN, DLT_EN10MB);
		add_some(40);
		add(0xfffffffe, 5, 60, 60);
		add(1, 0x80000001, 60, 60);
		add_some(40);
		assert_int_equal(read_all(false, NULL), 82);
	}
}

static void cut_anywhere(void **state)
{
	size_t whole;

	(void)state;
	begin(MAGIC_US, false, SNAPLEN, DLT_EN10MB);
	add_some(5);
	whole = capture.len;
	for (capture.len = 25; capture.len < whole; capture.len++) {
		struct source source;
		pcap_t *reference;

		store();
		assert_true(open_both(&source, &reference));
		assert_in_range(expect_rest(&source, reference, NULL), 0, 4);
		close_both(&source, reference);
	}
	assert_int_equal(read_all(true, NULL), 5);
}

static void damaged_anywhere(void **state)
{
	unsigned opened = 0, cut = 0;

	(void)state;
	srand(1);
	for (unsigned turn = 0; turn < 3000; turn++) {
		struct source source = {0};
		pcap_t *reference;

		begin(turn & 1 ? MAGIC_NS : MAGIC_US, turn & 2, SNAPLEN, DLT_EN10MB);
		for (unsigned i = 0; i < 40; i++)
			add(1000, i, 1 + i % 9, 1 + i % 9);
		for (unsigned i = 0; i <= turn % 3; i++)
			capture.data[(size_t)rand() % capture.len] ^=
				(uint8_t)(turn % 2 ? 1 << rand() % 8 : rand());
		store();
		if (open_both(&source, &reference)) {
			expect_rest(&source, reference, NULL);
			opened++;
			cut += source.cut;
		}
		close_both(&source, reference);
	}
	assert_in_range(opened, 2000, 2999);
	assert_in_range(cut, 500, opened - 500);
}

static void read_again(void **state)
{
	char error[PCAP_ERRBUF_SIZE];

	(void)state;
	for (unsigned size = 0; size < 3; size++) {
		struct source source;
		pcap_t *reference;

		begin(MAGIC_US, false, SNAPLEN, DLT_EN10MB);
		add_some(size == 0 ? 100 : 3000);
		capture.len -= size == 2; // cut
		store();
		assert_true(open_both(&source, &reference));
		for (unsigned i = 0; i < 3; i++) {
			if (i > 0) {
				assert_int_equal(source_rewind(&source), 0);
				pcap_close(reference);
				reference = open_reference(error);
			}
			// Of what is wrong each capture speaks once.
			if (size == 2 && i > 0)
				source.complained = false;
			assert_int_equal(expect_rest(&source, reference, NULL),
				size == 0 ? 100 : 3000 - (size == 2));
			assert_int_equal(source.plain, size < 2);
		}
		close_both(&source, reference);
	}
}

static void cut_while_it_is_read(void **state)
{
	struct replay_packet packets[REPLAY_TAKE_MAX];
	struct source source;
	pcap_t *reference;
	char said[TEXT_BYTES];
	unsigned all = 0, count;

	(void)state;
	begin(MAGIC_US, false, SNAPLEN, DLT_EN10MB);
	add_some(4000);
	store();
	assert_true(open_both(&source, &reference));
	assert_int_equal(source_take(&source, packets, 7), 7);
	assert_int_equal(source_at_bytes(&source), 24 + 7 * 16 + 37 * (1 + 2 + 3 + 4 + 5 + 6));
	assert_int_equal(ftruncate(capture.fd, 1000000), 0);
	while ((count = take(&source, packets, said)) > 0)
		all += count;
	assert_in_range(all, 500, 2000);
	assert_true(source.cut);
	assert_non_null(strstr(said, "truncated dump file"));
	close_both(&source, reference);
}

// What a capture in progress gets meanwhile.
static void grows_while_it_is_read(void **state)
{
	struct replay_packet packets[REPLAY_TAKE_MAX];
	struct source source;
	pcap_t *reference;

	(void)state;
	begin(MAGIC_US, false, SNAPLEN, DLT_EN10MB);
	add_some(10);
	store();
	assert_true(open_both(&source, &reference));
	assert_int_equal(source_take(&source, packets, 5), 5);
	add_some(10);
	store();
	assert_int_equal(source_take(&source, packets, REPLAY_TAKE_MAX), 5);
	assert_int_equal(source_take(&source, packets, REPLAY_TAKE_MAX), 10);
	assert_int_equal(packets[9].len, 9 * 37);
	assert_int_equal(source_take(&source, packets, REPLAY_TAKE_MAX), 0);
	assert_false(source.cut);
	close_both(&source, reference);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_four_forms),
		cmocka_unit_test(larger_than_the_room),
		cmocka_unit_test(other_link_types),
		cmocka_unit_test(left_to_libpcap),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(damaged_anywhere),
		cmocka_unit_test(read_again),
		cmocka_unit_test(cut_while_it_is_read),
		cmocka_unit_test(grows_while_it_is_read),
	};

	return cmocka_run_group_tests(tests, make, clear);
}
