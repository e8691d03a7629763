// Values of typed arguments: what a word must look like, and what could stand there.
#include "weir/console/value.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const scopes[] = {"finder", "all", "none"};
static const char *const levels[] = {"error", "warning", "info", "debug"};

void value_choices(const struct grammar *grammar, enum grammar_type type, bool exact,
	struct grammar_choices *out)
{
	static const char *const protocols[] = {"tcp", "udp", "icmp"};

	if (type > TYPE_LEVEL && type != TYPE_SIDE)
		out->types |= 1u << type; // of the others all words are listed
	switch (type) {
	case TYPE_LEVEL:
		for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
			grammar_choice_add(out, levels[i]);
		return;
	case TYPE_SCOPE:
		for (unsigned i = 0; i < ARRAY_LEN(scopes); i++)
			grammar_choice_add(out, scopes[i]);
		return;
	case TYPE_PROTOCOL:
		for (unsigned i = 0; i < ARRAY_LEN(protocols); i++)
			grammar_choice_add(out, protocols[i]);
		break;
	case TYPE_SIDE:
		grammar_choice_add(out, "outside");
		grammar_choice_add(out, "inside");
		grammar->values(grammar->context, TYPE_PORT, out);
		return;
	case TYPE_PORT:
	case TYPE_SERVICE:
	case TYPE_PEER:
		grammar->values(grammar->context, type, out);
		return;
	default:
		break;
	}
	if (!exact && type >= TYPE_PROTOCOL)
		grammar_choice_add(out, "any");
}

static bool known_name(const struct grammar *grammar, enum grammar_type type, const char *word)
{
	struct grammar_choices choices = {.count = 0};

	value_choices(grammar, type, true, &choices);
	for (unsigned i = 0; i < choices.count; i++)
		if (strcmp(choices.word[i], word) == 0)
			return true;
	return false;
}

// Where nothing has such a name any word will do: the command says what is missing.
static bool has_none(const struct grammar *grammar, enum grammar_type type)
{
	struct grammar_choices choices = {.count = 0};

	value_choices(grammar, type, true, &choices);
	return choices.count == 0;
}

// A port may be given by its number, as in testpmd.
static bool is_port_number(const struct grammar *grammar, const char *word)
{
	struct grammar_choices ports = {.count = 0};
	char *end;
	unsigned long number = strtoul(word, &end, 10);

	grammar->values(grammar->context, TYPE_PORT, &ports);
	return *word >= '0' && *word <= '9' && !*end && number < ports.count;
}

static int parse_prefix(struct prefix *out, const char *word, bool exact, const char **why)
{
	int rc = exact && strcmp(word, "any") == 0 ? -ERR_MALFORMED : prefix_parse(out, word);

	if (rc == 0 && exact && out->bits != 128)
		rc = -ERR_MALFORMED;
	*why = rc == -ERR_EXISTS  ? "has bits set behind its prefix length"
	       : rc == -ERR_RANGE ? "has a prefix length that is too large"
	       : exact		  ? "is not an address"
				  : "is neither an address nor a prefix nor `any'";
	return rc;
}

static int parse_count(uint64_t *out, const char *word)
{
	char *end;

	errno = 0;
	*out = strtoull(word, &end, 10);
	return *word < '0' || *word > '9' || *end || errno ? -ERR_MALFORMED : 0;
}

static int parse_level(const char **out, const char *word)
{
	for (unsigned i = 0; i < ARRAY_LEN(levels); i++)
		if (strcmp(levels[i], word) == 0) {
			*out = levels[i];
			return 0;
		}
	return -ERR_MALFORMED;
}

int value_parse(const struct grammar *grammar, enum grammar_type type, bool exact, const char *word,
	struct grammar_args *args, const char **why)
{
	struct match *match = &args->match;

	switch (type) {
	case TYPE_PORT:
		*why = "is no port";
		args->port = word;
		return known_name(grammar, type, word) || is_port_number(grammar, word)
			       ? 0
			       : -ERR_MISSING;
	case TYPE_SERVICE:
		*why = "is no service";
		args->service = word;
		return known_name(grammar, type, word) ? 0 : -ERR_MISSING;
	case TYPE_PEER:
		*why = "is no peer";
		args->peer = word;
		return has_none(grammar, type) || known_name(grammar, type, word) ? 0
										  : -ERR_MISSING;
	case TYPE_SCOPE:
		*why = "is none of finder, all, none";
		args->scope = word;
		return known_name(grammar, type, word) ? 0 : -ERR_MISSING;
	case TYPE_LEVEL:
		*why = "is no log level";
		return parse_level(&args->level, word);
	case TYPE_FILE:
		*why = "is no file name";
		args->file = word;
		return *word ? 0 : -ERR_MALFORMED;
	case TYPE_NUMBER:
		*why = "is not a number";
		return parse_count(&args->number, word);
	case TYPE_PROTOCOL:
		*why = "is no protocol: tcp, udp, icmp, or its number (esp is 50)";
		if (exact && strcmp(word, "any") == 0)
			return -ERR_MALFORMED;
		return match_parse_protocol(match, word);
	case TYPE_SOURCE:
		return parse_prefix(&match->source, word, exact, why);
	case TYPE_DESTINATION:
		return parse_prefix(&match->destination, word, exact, why);
	case TYPE_SOURCE_PORT:
	case TYPE_DESTINATION_PORT:
		*why = exact ? "is no port number (0-65535)"
			     : "is neither a port number (1-65535) nor `any'";
		return match_parse_port(
			type == TYPE_SOURCE_PORT ? &match->source_port : &match->destination_port,
			word, !exact);
	case TYPE_SIDE:
		*why = "is neither a side nor a port";
		snprintf(match->in, sizeof(match->in), "%s", word);
		return known_name(grammar, type, word) ? 0 : -ERR_MISSING;
	default:
		return 0;
	}
}
