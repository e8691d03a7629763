// One capture, read packet by packet: pcap or pcapng, gzipped or not, a file or a pipe. A plain
// pcap file is read by records.h as far as that goes, everything else by libpcap.
#pragma once

#include "weir/replay/packet.h"
#include "weir/replay/records.h"
#include "weir/replay/stream.h"

#include <stdbool.h>
#include <stdint.h>

struct source {
	const char *path;
	struct stream stream;
	struct pcap *pcap;
	struct records records;
	bool plain;    // the next packet is theirs
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

// The next packets but for their side and their view, of which there are `most` at most: those that
// are there without waiting for them. How many; 0 at the end. They stay until the next call.
unsigned source_take(struct source *source, struct replay_packet *packets, unsigned most);

// How far into the stored file was read.
uint64_t source_at_bytes(const struct source *source);
