// What somebody should know who reads a report: what is not whole, and what looks like a mistake of
// its input. On the page, in the JSON and, as far as it is advice, on standard error.
#pragma once

#include "weir/replay/report.h"

#define REPLAY_NOTES_MAX  9
#define REPLAY_NOTE_BYTES 400

struct replay_note {
	const char *name; // in the JSON
	const char *title;
	bool advice; // nothing else on standard error says so
	char text[REPLAY_NOTE_BYTES];
};

// Returns how many there are.
unsigned replay_notes(const struct replay_report *report, struct replay_note out[REPLAY_NOTES_MAX]);

// The whole in one line, then the advice.
void replay_notes_tell(const struct replay_report *report, FILE *out);
