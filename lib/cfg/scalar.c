#include "cfg/scalar.h"

#include "base/error.h"
#include "rule/rule.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17
#define SEPARATORS   ", "
#define BLANKS	     " "
#define ENTRIES_MAX  65536
#define ENTRY_BYTES  80

void scalar_clear(struct value *value)
{
	free(value->text);
	free(value->prefixes);
	free(value->ranges);
	value->text = NULL;
	value->prefixes = NULL;
	value->ranges = NULL;
	value->count = 0;
	value->number = 0;
}

// Room for one more entry; the count is a power of two whenever it grows.
static void *grow(void *list, unsigned count, size_t size)
{
	if (count != 0 && (count & (count - 1)) != 0)
		return list;
	return realloc(list, (count ? count * 2 : 1) * size);
}

static int whole_number(const char *text, int64_t *number)
{
	size_t digits = strspn(text + (text[0] == '-'), "0123456789");

	if (digits == 0 || text[digits + (text[0] == '-')] != '\0')
		return -ERR_MALFORMED;
	errno = 0;
	*number = strtoll(text, NULL, 10);
	return errno == ERANGE ? -ERR_RANGE : 0;
}

int prefix_add(struct value *value, enum key key, const char *text, char *why, size_t why_size)
{
	struct prefix prefix;
	struct prefix *grown;
	int failed = prefix_parse(&prefix, text);

	if (failed == -ERR_EXISTS)
		snprintf(why, why_size,
			"`%.64s' has bits set behind its length: name the network, or one host",
			text);
	else if (failed == -ERR_RANGE)
		snprintf(why, why_size, "the length of `%.64s' is too large", text);
	else if (failed != 0)
		snprintf(why, why_size,
			"`%.64s' is no prefix, such as 192.0.2.0/24, 2001:db8::/32 or any", text);
	if (failed != 0)
		return failed;
	if ((int64_t)value->count >= schema[key].max) {
		snprintf(why, why_size, "more than %" PRId64 " prefixes", schema[key].max);
		return -ERR_FULL;
	}
	grown = grow(value->prefixes, value->count, sizeof(prefix));
	if (grown == NULL) {
		snprintf(why, why_size, "out of memory");
		return -ERR_MEMORY;
	}
	value->prefixes = grown;
	value->prefixes[value->count++] = prefix;
	return 0;
}

static int range_store(struct value *value, int64_t low, int64_t high)
{
	struct range *grown = grow(value->ranges, value->count, sizeof(*grown));

	if (grown == NULL)
		return -ERR_MEMORY;
	value->ranges = grown;
	value->ranges[value->count++] = (struct range){(uint16_t)low, (uint16_t)high};
	return 0;
}

// "80" or "1-65535" in two numbers.
static int range_split(const char *text, int64_t *low, int64_t *high)
{
	char first[ENTRY_BYTES];
	const char *dash = strchr(text, '-');

	if (strlen(text) >= sizeof(first) || dash == text)
		return -ERR_MALFORMED;
	snprintf(first, sizeof(first), "%.*s", dash ? (int)(dash - text) : (int)strlen(text), text);
	if (whole_number(first, low) != 0)
		return -ERR_MALFORMED;
	return whole_number(dash ? dash + 1 : first, high) == 0 ? 0 : -ERR_MALFORMED;
}

int range_add(struct value *value, enum key key, const char *text, char *why, size_t why_size)
{
	int64_t low = schema[key].min;
	int64_t high = schema[key].max;

	if (strcmp(text, "any") != 0 && range_split(text, &low, &high) != 0) {
		snprintf(why, why_size,
			"`%.64s' is no number or range, such as \"80\", \"1-65535\" or \"any\"",
			text);
		return -ERR_MALFORMED;
	}
	if (low < schema[key].min || high > schema[key].max || low > high) {
		snprintf(why, why_size, "`%.64s' is no range within %" PRId64 "..%" PRId64, text,
			schema[key].min, schema[key].max);
		return -ERR_RANGE;
	}
	if (value->count == ENTRIES_MAX || range_store(value, low, high) != 0) {
		snprintf(why, why_size, "too many ranges");
		return -ERR_FULL;
	}
	return 0;
}

typedef int (*entry_reader)(
	struct value *value, enum key key, const char *text, char *why, size_t why_size);

// Entries between commas, blanks or both.
static int entries_parse(entry_reader add, struct value *value, enum key key, const char *text,
	char *why, size_t why_size)
{
	char entry[ENTRY_BYTES] = "";
	int failed = 0;

	text += strspn(text, BLANKS);
	if (*text == '\0') {
		snprintf(why, why_size, "is empty; leave the key out, or write \"any\"");
		return -ERR_MALFORMED;
	}
	for (bool more = true; more && failed == 0;) {
		size_t len = strcspn(text, SEPARATORS);

		if (len >= sizeof(entry)) {
			snprintf(why, why_size, "`%.64s...' is too long", text);
			return -ERR_MALFORMED;
		}
		if (len == 0) {
			snprintf(why, why_size, "lacks an entry behind `%s,'", entry);
			return -ERR_MALFORMED;
		}
		snprintf(entry, sizeof(entry), "%.*s", (int)len, text);
		failed = add(value, key, entry, why, why_size);
		text += len;
		text += strspn(text, BLANKS);
		more = *text != '\0';
		text += *text == ',';
		text += strspn(text, BLANKS);
	}
	return failed;
}

int scalar_store(struct value *value, enum key key, int64_t number, char *why, size_t why_size)
{
	const struct schema_key *entry = &schema[key];

	if (number < entry->min || number > entry->max) {
		snprintf(why, why_size, "%" PRId64 " is outside %" PRId64 "..%" PRId64, number,
			entry->min, entry->max);
		return -ERR_RANGE;
	}
	if (entry->type == TYPE_RANGES) {
		if (value->count < ENTRIES_MAX && range_store(value, number, number) == 0)
			return 0;
		snprintf(why, why_size, "too many numbers");
		return -ERR_FULL;
	}
	value->number = number;
	if (entry->type == TYPE_PROTOCOL && number == PROTOCOL_TCP)
		value->number = protocol_code(RULE_TCP, 0);
	else if (entry->type == TYPE_PROTOCOL && number == PROTOCOL_UDP)
		value->number = protocol_code(RULE_UDP, 0);
	else if (entry->type == TYPE_PROTOCOL)
		value->number = protocol_code(RULE_OTHER, (unsigned)number);
	return 0;
}

static int number_parse(
	struct value *value, enum key key, const char *text, char *why, size_t why_size)
{
	int64_t number;
	int failed = whole_number(text, &number);

	if (failed == 0)
		return scalar_store(value, key, number, why, why_size);
	snprintf(why, why_size, "`%.64s' is no whole number", text);
	return failed;
}

static int choice_parse(
	struct value *value, enum key key, const char *text, char *why, size_t why_size)
{
	const char *choices = schema[key].choices;
	int index = choice_find(choices, text);
	char nearest[64];
	char hint[96];

	if (index >= 0) {
		value->number = index;
		return 0;
	}
	hint_format(choice_nearest(choices, text, nearest, sizeof(nearest)), hint, sizeof(hint));
	snprintf(why, why_size, "`%.64s' is none of %s%s%s", text, choices,
		schema[key].type == TYPE_PROTOCOL ? ", nor an IP protocol number" : "", hint);
	return -ERR_MALFORMED;
}

static int text_parse(
	struct value *value, enum key key, const char *text, char *why, size_t why_size)
{
	if ((int64_t)strlen(text) > schema[key].max) {
		snprintf(why, why_size, "is longer than %" PRId64 " characters", schema[key].max);
		return -ERR_RANGE;
	}
	for (const char *at = text; *at != '\0'; at++) {
		if ((unsigned char)*at < 0x20 || *at == 0x7f) {
			snprintf(why, why_size, "holds a control character");
			return -ERR_MALFORMED;
		}
	}
	value->text = strdup(text);
	if (value->text == NULL) {
		snprintf(why, why_size, "out of memory");
		return -ERR_MEMORY;
	}
	return 0;
}

int scalar_parse(struct value *value, enum key key, const char *text, char *why, size_t why_size)
{
	switch (schema[key].type) {
	case TYPE_INT:
		return number_parse(value, key, text, why, why_size);
	case TYPE_PROTOCOL:
		if (text[0] >= '0' && text[0] <= '9')
			return number_parse(value, key, text, why, why_size);
		return choice_parse(value, key, text, why, why_size);
	case TYPE_CHOICE:
		return choice_parse(value, key, text, why, why_size);
	case TYPE_BOOL:
		value->number = strcmp(text, "true") == 0;
		return 0;
	case TYPE_TEXT:
		return text_parse(value, key, text, why, why_size);
	case TYPE_PREFIXES:
		return entries_parse(prefix_add, value, key, text, why, why_size);
	case TYPE_RANGES:
		return entries_parse(range_add, value, key, text, why, why_size);
	case TYPE_GROUP:
	case TYPE_LIST:
		break;
	}
	snprintf(why, why_size, "takes no value");
	return -ERR_MALFORMED;
}

static void print_quoted(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', out);
		fputc(*text, out);
	}
	fputc('"', out);
}

static void print_prefixes(FILE *out, const struct value *value)
{
	char text[ADDR_TEXT_BYTES];

	fputs("[ ", out);
	for (unsigned i = 0; i < value->count; i++) {
		const struct prefix *prefix = &value->prefixes[i];

		fprintf(out, "%s\"%s\"", i ? ", " : "",
			prefix->family == 0 ? "any" : prefix_format(prefix, text));
	}
	fputs(" ]", out);
}

static void print_ranges(FILE *out, enum key key, const struct value *value)
{
	fputc('"', out);
	for (unsigned i = 0; i < value->count; i++) {
		const struct range *range = &value->ranges[i];

		fputs(i ? "," : "", out);
		if (range->low == schema[key].min && range->high == schema[key].max)
			fputs("any", out);
		else if (range->low == range->high)
			fprintf(out, "%u", range->low);
		else
			fprintf(out, "%u-%u", range->low, range->high);
	}
	fputc('"', out);
}

static void print_choice(FILE *out, enum key key, const struct value *value)
{
	char name[64];

	if (schema[key].type == TYPE_PROTOCOL && protocol_of(value->number) == RULE_OTHER)
		fprintf(out, "%u", protocol_number(value->number));
	else
		print_quoted(out, choice_name(schema[key].choices, (unsigned)value->number, name,
					  sizeof(name)));
}

void scalar_print(FILE *out, enum key key, const struct value *value)
{
	switch (schema[key].type) {
	case TYPE_INT:
		// A number past 31 bits needs libconfig's suffix.
		fprintf(out, "%" PRId64 "%s", value->number, value->number > INT32_MAX ? "L" : "");
		break;
	case TYPE_BOOL:
		fputs(value->number ? "true" : "false", out);
		break;
	case TYPE_TEXT:
		print_quoted(out, value->text ? value->text : "");
		break;
	case TYPE_CHOICE:
	case TYPE_PROTOCOL:
		print_choice(out, key, value);
		break;
	case TYPE_PREFIXES:
		print_prefixes(out, value);
		break;
	case TYPE_RANGES:
		print_ranges(out, key, value);
		break;
	case TYPE_GROUP:
	case TYPE_LIST:
		break;
	}
}
