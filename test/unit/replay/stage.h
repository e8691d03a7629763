// A player in front of a real engine: lines of a capture go in, what leaves the engine is kept, as
// packets and as the bytes each side got. Every packet that leaves must parse, with right
// checksums, and after every line the player must account for every packet.
#pragma once

#include "harness.h"
#include "replay/player.h"

#define STAGE_LOG_MAX	 256
#define STAGE_BYTES_MAX	 8192
#define STAGE_ISN_CLIENT 0xfffffff0u
#define STAGE_ISN_SERVER 0x7ffffffau

// What left the engine.
struct departure {
	uint8_t side;
	uint8_t flags;
	uint8_t tos;
	uint16_t window;
	uint16_t payload_len;
	uint32_t seq, ack;
	struct options options;
	uint32_t sack[2]; // edges of the first block
};

struct stream {
	uint32_t base; // number of the first byte
	bool open;
	bool hole; // a byte came before the one in front of it
	unsigned len;
	char bytes[STAGE_BYTES_MAX];
};

struct stage {
	struct node *node;
	struct player *player;
	struct player_config config;
	void *memory;
	bool ip6;
	uint16_t client_port; // of the lines to come; 0: the default
	uint32_t isn_client;
	uint32_t isn_server;
	uint16_t tags[2];
	enum player_verdict verdict;   // of the last line
	enum verdict_kind engine_kind; // of the last packet that was played
	struct departure log[STAGE_LOG_MAX];
	unsigned log_count;
	struct stream to[2]; // by side
};

// One line of a capture. Numbers are relative: `seq` to the sender's ISN, `ack` to the peer's.
struct line {
	bool server;
	uint8_t flags;
	uint32_t seq, ack;
	const char *payload;  // text
	struct bytes options; // as they are
	uint16_t window;      // 0: 1000
	uint8_t tos;
	bool truncated; // only the headers were captured
	bool broken;	// its checksum is wrong: the engine drops it
};

enum stage_mode {
	STAGE_PROXY,
	STAGE_PROXY_COOKIE, // of a cluster: the server's SYN carries a cookie
	STAGE_MSYN,
	STAGE_MODES,
};

// stage_go() makes the engine and the player; the node, and config, may be changed before.
void stage_init(struct stage *stage, enum stage_mode mode);
void stage_go(struct stage *stage);
// Ends the capture and checks that every packet is accounted for.
void stage_finish(struct stage *stage);

// A line passes. The verdict of the player.
enum player_verdict stage_line(struct stage *stage, const struct line *line);
enum player_verdict stage_frame(struct stage *stage, struct frame *frame, enum side side);
void stage_lines(struct stage *stage, const struct line *lines, unsigned count);
void stage_pass_ms(struct stage *stage, uint32_t ms);

// The bytes that left on a side, in order, are these, and nothing is missing in between.
bool stage_got(const struct stage *stage, enum side side, const char *text);
// The last packet that left on a side with all of `flags`, or NULL.
const struct departure *stage_last(const struct stage *stage, enum side side, uint8_t flags);
unsigned stage_left(const struct stage *stage, enum side side, uint8_t flags);
uint64_t stage_withheld(const struct stage *stage);
