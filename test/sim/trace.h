// What --verbose shows, and what of it makes the fingerprint.
#pragma once

#include <stdbool.h>

struct connection;
struct message;
struct segment;
struct sim;

void trace_segment(struct sim *sim, const struct connection *connection, unsigned end,
	const char *what, const struct segment *segment);
void trace_message(
	struct sim *sim, unsigned index, const char *what, const struct message *message);
