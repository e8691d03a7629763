#include "base/reason.h"

struct reason_words {
	const char *name;
	const char *text;
};

static const struct reason_words words[REASON_COUNT] = {[REASON_NONE] = {"none", "not dropped"},
#define X(name, text) [REASON_##name] = {#name, text},
	REASONS(X)
#undef X
};

static const struct reason_words unknown = {"unknown", "a number that is no drop reason"};

static const struct reason_words *find(enum reason reason)
{
	return (unsigned)reason < REASON_COUNT ? &words[reason] : &unknown;
}

const char *reason_name(enum reason reason)
{
	return find(reason)->name;
}

const char *reason_text(enum reason reason)
{
	return find(reason)->text;
}
