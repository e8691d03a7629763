// The player of a replay (replay/player.h) with its memory. Without one packets pass as they are.
#pragma once

#include "cfg/config.h"
#include "replay/player.h"

struct play {
	struct player *player; // NULL: nothing is played
	void *memory;
	size_t bytes;
};

// Plays the configuration's services in mode `proxy` and `msyn`. 0, or 1 where there is no memory.
int play_open(struct play *play, const struct config *config);
void play_close(struct play *play);

// What player.h says of each.
enum player_verdict play_offer(struct play *play, struct frame *frame, uint64_t now_ns);
void play_sent(struct play *play, const struct frame *frame, uint8_t port, uint64_t now_ns);
bool play_next(struct play *play, struct frame *out);
void play_finish(struct play *play);

// True while packets wait for what causes them: what leaves may set them free.
bool play_waits(const struct play *play);
