#include "weir/replay/records.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#define ROOM_BYTES   ((size_t)512 << 10) // within a core's own cache, and enough for any packet
#define FILE_HEADER  24
#define PACKET_MAX   262144 // libpcap's own bound for any link type
#define MAGIC_US     0xa1b2c3d4
#define MAGIC_NS     0xa1b23c4d
#define VERSION	     (2 | 4 << 16) // major and minor number, two bytes each
#define VERSION_SWAP (4 | 2 << 16) // the same, when four bytes are swapped at once

// As much as there is. Negative on errors.
static ssize_t read_at(int fd, void *out, size_t size, uint64_t offset)
{
	size_t have = 0;
	ssize_t got = 1;

	while (have < size && got > 0) {
		got = pread(fd, (uint8_t *)out + have, size - have, (off_t)(offset + have));
		if (got < 0 && errno == EINTR)
			got = 1;
		else if (got > 0)
			have += (size_t)got;
	}
	return got < 0 ? -1 : (ssize_t)have;
}

// Of the file's header: byte order, unit of time and version. False where they are others.
static bool understand(struct records *records, const uint8_t header[FILE_HEADER])
{
	uint32_t magic = records_number(records, header);

	records->swapped =
		magic == __builtin_bswap32(MAGIC_US) || magic == __builtin_bswap32(MAGIC_NS);
	magic = records_number(records, header);
	records->tick_ns = magic == MAGIC_NS ? 1 : 1000;
	return (magic == MAGIC_US || magic == MAGIC_NS) &&
	       records_number(records, header + 4) == (records->swapped ? VERSION_SWAP : VERSION);
}

bool records_open(struct records *records, int fd, uint32_t most_bytes)
{
	uint8_t header[FILE_HEADER];

	*records = (struct records){.fd = fd,
		.most_bytes = most_bytes < PACKET_MAX ? most_bytes : PACKET_MAX,
		.room_at = FILE_HEADER};
	if (read_at(fd, header, sizeof(header), 0) != sizeof(header) ||
		!understand(records, header))
		return false;
	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	records->room = malloc(ROOM_BYTES);
	return records->room != NULL;
}

void records_close(struct records *records)
{
	free(records->room);
	records->room = NULL;
}

void records_rewind(struct records *records)
{
	if (records->room_at != FILE_HEADER)
		records->have = 0;
	records->room_at = FILE_HEADER;
	records->at = 0;
}

// The room begins with the next record then. What it had is kept where nothing follows.
enum records_filled records_fill(struct records *records)
{
	ssize_t got;

	if (records->at == 0 && records->have > 0)
		return RECORDS_LEFT; // it begins with that already
	got = read_at(records->fd, records->room, ROOM_BYTES, records_at(records));
	if (got <= 0)
		return got == 0 ? RECORDS_OVER : RECORDS_LEFT;
	records->room_at += records->at;
	records->at = 0;
	records->have = (size_t)got;
	return RECORDS_MORE;
}

uint64_t records_at(const struct records *records)
{
	return records->room_at + records->at;
}
