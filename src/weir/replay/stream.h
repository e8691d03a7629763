// A file, a pipe or standard input as plain bytes: what is compressed with gzip is expanded on the
// way, so that nothing of it needs to fit into memory or onto a disk.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <zlib.h>

struct stream {
	int fd;
	uint8_t *room;	 // read, and not given out
	size_t at, have; // where in the room that is
	z_stream zlib;
	bool looked;	      // at its first bytes
	bool compressed;      // known once something came out of it
	bool between;	      // parts that were compressed by themselves
	bool over;	      // nothing compressed follows
	uint64_t read_bytes;  // of the file as it is stored
	uint64_t size_bytes;  // of the file as it is stored; 0 where nobody knows
	uint64_t given_bytes; // plain bytes that came out so far
	bool regular;	      // a file: it can be read again
	bool cut;	      // its compressed form ended early, or is damaged
};

// Opens `path` ("-": standard input). The FILE owns what was opened; fclose() ends both. `stream`
// must stay where it is until then. A file that is not compressed can be read from any place, by
// fseeko(). NULL after an error message.
FILE *stream_open(struct stream *stream, const char *path);

// How far into the stored file was read; 0 where nobody knows.
uint64_t stream_at_bytes(const struct stream *stream);
