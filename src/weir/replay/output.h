// The capture a replay writes: what left through each port, and what was dropped with its reason.
#pragma once

#include "engine/engine.h"

#include <stdint.h>
#include <stdio.h>

struct replay_output {
	FILE *file; // NULL: nothing is written
	const struct policy *policy;
};

// Opens `path` (NULL: none). Interface 0 and 1 are the ports `outside` and `inside`. 0 or 1.
int replay_output_open(struct replay_output *output, const char *path, const char *const names[2],
	const struct policy *policy);

void replay_output_sent(struct replay_output *output, uint64_t time_ns, uint8_t port,
	const uint8_t *data, uint16_t len, const char *how);
void replay_output_dropped(struct replay_output *output, uint64_t time_ns, uint8_t port,
	const uint8_t *data, uint16_t len, const struct verdict *verdict);

// 0, or 1 where something could not be written.
int replay_output_close(struct replay_output *output);
