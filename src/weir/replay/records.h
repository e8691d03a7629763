// The packets of a plain pcap file, read in large pieces and handed out where they lie: libpcap
// would read twice and copy once for each. Only what is right is taken. Where something is not, and
// at an end that is none, the caller asks libpcap for everything from there on: so what a damaged
// capture still has, and what is said of it, is the same however it is read.
//
// Not mapped: a file that shrinks while it is read would end the program.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define RECORD_BYTES 16 // in front of a packet
#define NS_PER_S     1000000000ULL

struct records {
	int fd;
	bool swapped;	     // numbers in the other byte order
	uint32_t tick_ns;    // of the time's lower part
	uint32_t most_bytes; // of a packet that is taken
	uint8_t *room;	     // a piece of the file
	uint64_t room_at;    // where in the file it begins
	size_t at, have;     // in the room: behind the record taken last, and what is there
};

// One of them: `data` stays until the next records_fill().
struct record {
	uint64_t time_ns; // since 1970
	const uint8_t *data;
	uint32_t kept, len; // bytes of the packet: at data, and as it was
};

// Takes the records of the file `fd`, which stays the caller's, from its beginning. False where
// they are left to libpcap: it is no plain pcap file of today's version, or there is no memory.
bool records_open(struct records *records, int fd, uint32_t most_bytes);
void records_close(struct records *records);

// Begins anew. A file that fits into the room is not read again.
void records_rewind(struct records *records);

enum records_filled {
	RECORDS_MORE = 0, // records_next() may have one
	RECORDS_OVER,	  // the file ends here
	RECORDS_LEFT,	  // what stands at records_at() is left to libpcap
};

// Reads on: where records_next() had none.
enum records_filled records_fill(struct records *records);

// Where in the file the next record begins.
uint64_t records_at(const struct records *records);

static inline uint32_t records_number(const struct records *records, const uint8_t *data)
{
	uint32_t number;

	memcpy(&number, data, sizeof(number));
	return records->swapped ? __builtin_bswap32(number) : number;
}

// The next one in the room. False where there is none, not all of it, or it is nothing to take.
// Seconds and their lower part are taken as long as nobody doubts their sign.
static inline bool records_next(struct records *records, struct record *record)
{
	const uint8_t *header = records->room + records->at;
	size_t have = records->have - records->at;
	uint32_t seconds, ticks, kept;

	if (have < RECORD_BYTES)
		return false;
	seconds = records_number(records, header);
	ticks = records_number(records, header + 4);
	kept = records_number(records, header + 8);
	if (kept > records->most_bytes || kept > have - RECORD_BYTES || (seconds | ticks) >> 31)
		return false;
	record->time_ns = seconds * NS_PER_S + (uint64_t)ticks * records->tick_ns;
	record->data = header + RECORD_BYTES;
	record->kept = kept;
	record->len = records_number(records, header + 12);
	records->at += RECORD_BYTES + kept;
	return true;
}
