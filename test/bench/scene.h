// One engine with a policy, keys, flows and a supply of frames, for measuring what a frame costs in
// engine_run(). The frames are drawn outside the measured part and copied into buffers spaced like
// a device's, so that the engine finds them where DMA or a copy just left them: in the cache.
#pragma once

#include "harness.h"

#include <stdbool.h>
#include <stdint.h>

#define SCENE_BATCH	   32
#define SCENE_POOL	   4096 // prepared frames
#define SCENE_FRAME_MAX	   128
#define SCENE_BUFFER_BYTES 2304 // what one DPDK buffer takes, header included

enum scene_kind {
	SCENE_SYN,	 // random sources; answered with a cookie
	SCENE_ACK,	 // random sources and numbers; dropped
	SCENE_TO_SERVER, // segments of random established flows; translated
	SCENE_TO_CLIENT,
};

struct scene_settings {
	const char *name;
	enum scene_kind kind;
	uint32_t flows; // established ones in the table
	uint32_t rules; // 0: the harness's four. Only the last one matches
	bool ip6;
	bool plain;	  // without TCP options
	bool limited;	  // bad ACKs: the limit is used up, so no cookie is computed
	bool verified;	  // the device has verified the checksums
	unsigned batches; // in one window
};

struct scene {
	struct scene_settings set;
	struct node node;
	uint64_t random;
	bool huge_pages;     // under the engine's tables
	uint64_t unexpected; // frames whose verdict was another than this path has
	uint16_t frame_bytes;
	uint8_t pool[SCENE_POOL][SCENE_FRAME_MAX];
	uint8_t buffers[SCENE_BATCH][SCENE_BUFFER_BYTES];
	struct frame frames[SCENE_BATCH];
	struct verdict verdicts[SCENE_BATCH];
	uint64_t *windows; // TSC cycles per packet x 256, one per window
	unsigned window_count;
};

struct scene *scene_create(const struct scene_settings *set, unsigned windows);
void scene_destroy(struct scene *scene);

// Draws the next batch of frames.
void scene_draw(struct scene *scene);
// Runs it through the engine; returns the TSC cycles that took.
uint64_t scene_run(struct scene *scene);

// One window: set.batches batches. Kept in `windows`.
void scene_window(struct scene *scene);

// Reads the TSC after everything before it is done.
static inline uint64_t tsc_read(void)
{
	__builtin_ia32_lfence();
	return __builtin_ia32_rdtsc();
}
