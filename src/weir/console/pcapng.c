#include "weir/console/pcapng.h"

#include <string.h>

enum {
	BLOCK_SECTION = 0x0a0d0d0a,
	BLOCK_INTERFACE = 1,
	BLOCK_PACKET = 6,
	BYTE_ORDER_MAGIC = 0x1a2b3c4d,
	LINK_ETHERNET = 1,
	OPTION_END = 0,
	OPTION_COMMENT = 1,
	OPTION_APPLICATION = 4, // of a section
	OPTION_NAME = 2,	// of an interface
	OPTION_RESOLUTION = 9,	// of an interface: 10^-n seconds
};

// A block under construction. Everything in it is a multiple of 4 bytes.
struct block {
	uint8_t *data;
	size_t len;
};

static void put32(struct block *block, uint32_t v)
{
	memcpy(block->data + block->len, &v, sizeof(v));
	block->len += sizeof(v);
}

static void put16(struct block *block, uint16_t low, uint16_t high)
{
	memcpy(block->data + block->len, &low, sizeof(low));
	memcpy(block->data + block->len + sizeof(low), &high, sizeof(high));
	block->len += sizeof(low) + sizeof(high);
}

static void put_bytes(struct block *block, const void *data, size_t len)
{
	size_t padded = (len + 3) & ~(size_t)3;

	memcpy(block->data + block->len, data, len);
	memset(block->data + block->len + len, 0, padded - len);
	block->len += padded;
}

static void put_option(struct block *block, uint16_t code, const void *data, size_t len)
{
	if (len > PCAPNG_COMMENT_BYTES)
		len = PCAPNG_COMMENT_BYTES;
	put16(block, code, (uint16_t)len);
	put_bytes(block, data, len);
}

static struct block begin(uint8_t *out, uint32_t type)
{
	struct block block = {.data = out};

	put32(&block, type);
	put32(&block, 0); // total length, when it is known
	return block;
}

static size_t end(struct block *block)
{
	uint32_t total = (uint32_t)block->len + 4;

	put32(block, total);
	memcpy(block->data + 4, &total, sizeof(total));
	return block->len;
}

size_t pcapng_section(uint8_t out[PCAPNG_BLOCK_BYTES], const char *application)
{
	struct block block = begin(out, BLOCK_SECTION);

	put32(&block, BYTE_ORDER_MAGIC);
	put16(&block, 1, 0);
	put32(&block, UINT32_MAX); // section length: not known
	put32(&block, UINT32_MAX);
	put_option(&block, OPTION_APPLICATION, application, strlen(application));
	put16(&block, OPTION_END, 0);
	return end(&block);
}

static size_t describe(uint8_t *out, const char *name, uint32_t snap_bytes)
{
	struct block block = begin(out, BLOCK_INTERFACE);
	uint8_t nanoseconds = 9;

	put16(&block, LINK_ETHERNET, 0);
	put32(&block, snap_bytes);
	put_option(&block, OPTION_NAME, name, strlen(name));
	put_option(&block, OPTION_RESOLUTION, &nanoseconds, 1);
	put16(&block, OPTION_END, 0);
	return end(&block);
}

size_t pcapng_interface(uint8_t out[PCAPNG_BLOCK_BYTES], const char *name)
{
	return describe(out, name, PCAPNG_SNAP_BYTES);
}

size_t pcapng_interface_whole(uint8_t out[PCAPNG_BLOCK_BYTES], const char *name)
{
	return describe(out, name, 0); // no limit
}

size_t pcapng_packet(uint8_t out[PCAPNG_BLOCK_BYTES], const struct pcapng_packet *packet)
{
	struct block block = begin(out, BLOCK_PACKET);

	put32(&block, packet->interface);
	put32(&block, (uint32_t)(packet->time_ns >> 32));
	put32(&block, (uint32_t)packet->time_ns);
	put32(&block, packet->kept);
	put32(&block, packet->len);
	put_bytes(&block, packet->data, packet->kept);
	if (packet->comment) {
		put_option(&block, OPTION_COMMENT, packet->comment, strlen(packet->comment));
		put16(&block, OPTION_END, 0);
	}
	return end(&block);
}

// The type reads the same in either byte order.
bool pcapng_is_section(const uint8_t start[4])
{
	uint32_t type;

	memcpy(&type, start, sizeof(type));
	return type == BLOCK_SECTION;
}
