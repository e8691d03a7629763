// One capture, read packet by packet: pcap or pcapng, gzipped or not, a file or a pipe.
#pragma once

#include "weir/replay/packet.h"
#include "weir/replay/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct source {
	const char *path;
	struct stream stream;
	struct pcap *pcap;
	int link_type; // libpcap's DLT_*
	bool compressed;
	bool cut;	      // it ended early: its end is missing, or unreadable
	bool complained;      // and an error message said so
	uint64_t taken_bytes; // of plain bytes, in packets
	uint8_t *room;	      // of packets that got an Ethernet header
};

// 0, or 1 after an error message.
int source_open(struct source *source, const char *path);
void source_close(struct source *source);

// Reads from the beginning again. 0, or 1 after an error message.
int source_rewind(struct source *source);

// The next packet but for its side and its view. False at the end.
bool source_next(struct source *source, struct replay_packet *packet);

// How far into the stored file was read.
uint64_t source_at_bytes(const struct source *source);
