// A file, a pipe or standard input as plain bytes: what is compressed with gzip is expanded on the
// way, so that nothing of it needs to fit into memory or onto a disk.
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct stream {
	struct gzFile_s *gz;
	uint64_t size_bytes;  // of the file as it is stored; 0 where nobody knows
	uint64_t given_bytes; // plain bytes that came out so far
	bool regular;	      // a file: it can be read again
	bool cut;	      // its compressed form ended early, or is damaged
};

// Opens `path` ("-": standard input). The FILE owns what was opened; fclose() ends both. `stream`
// must stay where it is until then. NULL after an error message.
FILE *stream_open(struct stream *stream, const char *path);

// How far into the stored file was read; 0 where nobody knows.
uint64_t stream_at_bytes(const struct stream *stream);

// True once something compressed came out of it.
bool stream_is_compressed(const struct stream *stream);
