// What the single steps of the SYN path cost, each run over a batch by itself.
#pragma once

#include "scene.h"

enum stage {
	STAGE_TAKE,
	STAGE_RULES,
	STAGE_SERVICE,
	STAGE_HASH,
	STAGE_OPTIONS,
	STAGE_COOKIE,
	STAGE_ANSWER,
	STAGE_COUNT
};

extern const char *const stage_names[STAGE_COUNT];

// Draws a batch of the scene (one of SYNs) and runs every stage over it; adds the TSC cycles of the
// batch to cycles[].
void stages_run(struct scene *scene, uint64_t cycles[STAGE_COUNT]);
