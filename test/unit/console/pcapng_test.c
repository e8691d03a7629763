// pcapng blocks, read back field by field as the draft lays them out.
#include "weir/console/pcapng.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static uint32_t word(const uint8_t *block, size_t at)
{
	uint32_t v;

	memcpy(&v, block + at, sizeof(v));
	return v;
}

static uint16_t half(const uint8_t *block, size_t at)
{
	uint16_t v;

	memcpy(&v, block + at, sizeof(v));
	return v;
}

static void is_framed(const uint8_t *block, size_t len, uint32_t type)
{
	assert_int_equal(len % 4, 0);
	assert_int_equal(word(block, 0), type);
	assert_int_equal(word(block, 4), len);
	assert_int_equal(word(block, len - 4), len);
}

static void section_and_interface(void **state)
{
	uint8_t block[PCAPNG_BLOCK_BYTES];
	size_t len = pcapng_section(block, "weir");

	(void)state;
	is_framed(block, len, 0x0a0d0d0a);
	assert_int_equal(word(block, 8), 0x1a2b3c4d);
	assert_int_equal(half(block, 12), 1);
	len = pcapng_interface(block, "outside");
	is_framed(block, len, 1);
	assert_int_equal(half(block, 8), 1); // Ethernet
	assert_int_equal(half(block, 16), 2);
	assert_int_equal(half(block, 18), 7);
	assert_memory_equal(block + 20, "outside\0", 8);
	assert_int_equal(half(block, 28), 9);
	assert_int_equal(half(block, 30), 1);
	assert_int_equal(block[32], 9);
	assert_int_equal(word(block, 36), 0);
}

static void packet_with_comment(void **state)
{
	uint8_t block[PCAPNG_BLOCK_BYTES], data[5] = {1, 2, 3, 4, 5};
	struct pcapng_packet packet = {.interface = 1,
		.time_ns = 0x0102030405060708,
		.len = 1500,
		.kept = sizeof(data),
		.data = data,
		.comment = "stage=drop"};
	size_t len = pcapng_packet(block, &packet);

	(void)state;
	is_framed(block, len, 6);
	assert_int_equal(word(block, 8), 1);
	assert_int_equal(word(block, 12), 0x01020304);
	assert_int_equal(word(block, 16), 0x05060708);
	assert_int_equal(word(block, 20), 5);
	assert_int_equal(word(block, 24), 1500);
	assert_memory_equal(block + 28, "\1\2\3\4\5\0\0\0", 8);
	assert_int_equal(half(block, 36), 1);
	assert_int_equal(half(block, 38), 10);
	assert_memory_equal(block + 40, "stage=drop\0\0", 12);
	packet.comment = NULL;
	is_framed(block, pcapng_packet(block, &packet), 6);
}

static void the_largest_block_fits(void **state)
{
	static uint8_t data[PCAPNG_SNAP_BYTES];
	uint8_t block[PCAPNG_BLOCK_BYTES];
	char comment[2 * PCAPNG_COMMENT_BYTES];
	struct pcapng_packet packet = {
		.kept = sizeof(data), .len = 9000, .data = data, .comment = comment};
	size_t len;

	(void)state;
	memset(comment, 'c', sizeof(comment));
	comment[sizeof(comment) - 1] = '\0';
	len = pcapng_packet(block, &packet);
	is_framed(block, len, 6);
	assert_true(len <= sizeof(block));
	assert_int_equal(half(block, 28 + PCAPNG_SNAP_BYTES + 2), PCAPNG_COMMENT_BYTES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(section_and_interface),
		cmocka_unit_test(packet_with_comment),
		cmocka_unit_test(the_largest_block_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
