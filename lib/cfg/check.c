#include "cfg/check.h"

#include "cfg/config.h"
#include "cfg/device.h"
#include "flow/key.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPU_MAX 1023

static const char *good_text(struct document *document, struct element *element, enum key key)
{
	const struct value *value = value_of(document, element, key);

	return value->bad ? NULL : value->text;
}

static void check_node_name(struct document *document)
{
	const char *name = good_text(document, NULL, KEY_NODE);
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

	if (name != NULL && (*name == '\0' || name[strspn(name, allowed)] != '\0'))
		report(document, NULL, KEY_NODE,
			"`%.64s' is no name of lower-case letters, digits and `-'", name);
}

// The default contains the node's name.
static void fill_runtime(struct document *document)
{
	struct value *value = &document->values[KEY_RUNTIME];
	const char *node = document->values[KEY_NODE].text;
	char text[128];

	if (value->given)
		return;
	snprintf(text, sizeof(text), "/run/weir/%s", node ? node : "");
	free(value->text);
	value->text = strdup(text);
	if (value->text == NULL)
		report(document, NULL, KEY_RUNTIME, "out of memory");
}

static void check_runtime(struct document *document)
{
	const char *path;

	fill_runtime(document);
	path = good_text(document, NULL, KEY_RUNTIME);
	if (path != NULL && (path[0] != '/' || path[1] == '\0'))
		report(document, NULL, KEY_RUNTIME, "`%.64s' is no absolute path", path);
}

// Reads "2" or "2-5" and steps over it. Number of processors, 0 where it is neither.
static unsigned cpus_step(const char **text)
{
	char *end;
	unsigned long low, high;

	if (!isdigit((unsigned char)**text))
		return 0;
	low = high = strtoul(*text, &end, 10);
	if (*end == '-') {
		if (!isdigit((unsigned char)end[1]))
			return 0;
		high = strtoul(end + 1, &end, 10);
	}
	*text = end;
	return low <= high && high <= CPU_MAX ? (unsigned)(high - low + 1) : 0;
}

// Number of processors in "2-5,7", 0 where it is malformed.
static unsigned cpus_count(const char *text)
{
	unsigned total = 0;

	for (;;) {
		unsigned count = cpus_step(&text);

		total += count;
		if (count == 0 || (*text != ',' && *text != '\0'))
			return 0;
		if (*text == '\0')
			return total;
		text++;
	}
}

static void check_cpus(struct document *document)
{
	const char *text = good_text(document, NULL, KEY_EAL_CPUS);
	unsigned count;

	if (text == NULL || strcmp(text, "any") == 0)
		return;
	count = cpus_count(text);
	if (count == 0)
		report(document, NULL, KEY_EAL_CPUS,
			"`%.64s' is neither any nor a list such as 2-5,7", text);
	else if (count > CONFIG_CPUS_MAX)
		report(document, NULL, KEY_EAL_CPUS, "%u processors; %d at most", count,
			CONFIG_CPUS_MAX);
	else if (count < document->values[KEY_EAL_WORKERS].number)
		report(document, NULL, KEY_EAL_CPUS, "%u processors for %" PRId64 " workers", count,
			document->values[KEY_EAL_WORKERS].number);
}

static void check_log(struct document *document)
{
	const char *to = good_text(document, NULL, KEY_LOG_TO);
	char text[CONFIG_TEXT_BYTES];

	if (to == NULL || choice_find("auto|stderr|syslog", to) >= 0)
		return;
	// A misspelt word must not become a file.
	if (strchr(to, '/') == NULL)
		report(document, NULL, KEY_LOG_TO,
			"`%.64s' is none of auto, stderr, syslog, nor a file name with a slash",
			to);
	else if (!file_resolve(document->file, to, text, sizeof(text)))
		report(document, NULL, KEY_LOG_TO, "the file name is too long");
}

static void check_floors(struct document *document)
{
	if (document->values[KEY_TIMEOUTS_BELOW_FLOOR].number)
		return;
	for (enum key key = 0; key < KEY_COUNT; key++) {
		const struct value *value = &document->values[key];

		if (schema[key].floor != 0 && !value->bad && value->number < schema[key].floor)
			report(document, NULL, key,
				"%" PRId64 " is below the floor of %" PRId64
				"; a lab may set timeouts.below_floor = true",
				value->number, schema[key].floor);
	}
}

void check_node(struct document *document)
{
	check_node_name(document);
	check_runtime(document);
	check_cpus(document);
	check_log(document);
	check_floors(document);
}

static int compare_names(const void *a, const void *b)
{
	const struct element *one = *(struct element *const *)a;
	const struct element *two = *(struct element *const *)b;
	int order = strcmp(one->values[0].text, two->values[0].text);

	if (order != 0)
		return order;
	return one < two ? -1 : one > two;
}

static bool name_is_good(const char *name)
{
	for (const char *at = name; *at != '\0'; at++)
		if (!isalnum((unsigned char)*at) && *at != '-' && *at != '_')
			return false;
	return *name != '\0';
}

// Reports the second and later of equal names. `name` is the first key of each element.
static void check_unique(
	struct document *document, enum key name, struct element **sorted, unsigned count)
{
	qsort(sorted, count, sizeof(struct element *), compare_names);
	for (unsigned i = 1; i < count; i++) {
		const char *text = sorted[i]->values[0].text;

		if (strcmp(sorted[i - 1]->values[0].text, text) == 0)
			report(document, sorted[i], name, "`%s' is used more than once", text);
	}
}

void check_names(struct document *document, enum key list, enum key name)
{
	struct value *value = &document->values[list];
	struct element **sorted = calloc(value->count + 1, sizeof(struct element *));
	unsigned count = 0;

	for (unsigned i = 0; sorted != NULL && i < value->count; i++) {
		struct element *element = &value->elements[i];
		const char *text = good_text(document, element, name);

		if (text == NULL)
			continue;
		if (!name_is_good(text))
			report(document, element, name,
				"`%.64s' is no name of letters, digits, `-' and `_'", text);
		else
			sorted[count++] = element;
	}
	if (sorted != NULL)
		check_unique(document, name, sorted, count);
	else
		report(document, NULL, list, "out of memory");
	free(sorted);
}

static void check_device(struct document *document, struct element *port)
{
	const char *device = good_text(document, port, KEY_PORTS_DEVICE);
	char text[CONFIG_TEXT_BYTES];
	const char *wrong;

	if (device == NULL)
		return;
	wrong = device_check(device);
	if (wrong != NULL)
		report(document, port, KEY_PORTS_DEVICE, "`%.64s' %s", device, wrong);
	else if (!device_resolve(document->file, device, text, sizeof(text)))
		report(document, port, KEY_PORTS_DEVICE, "the file name is too long");
}

void check_ports(struct document *document)
{
	struct value *ports = &document->values[KEY_PORTS];
	unsigned of_side[2] = {0};

	check_names(document, KEY_PORTS, KEY_PORTS_NAME);
	for (unsigned i = 0; i < ports->count; i++) {
		struct element *port = &ports->elements[i];
		const struct value *side = value_of(document, port, KEY_PORTS_SIDE);

		check_device(document, port);
		// A side that is misspelt is reported as that, not as missing too.
		of_side[SIDE_OUTSIDE] += side->bad || side->number == SIDE_OUTSIDE;
		of_side[SIDE_INSIDE] += side->bad || side->number == SIDE_INSIDE;
	}
	if (ports->bad)
		return;
	if (of_side[SIDE_OUTSIDE] == 0 && of_side[SIDE_INSIDE] == 0)
		report(document, NULL, KEY_PORTS, "there is no port: give one of each side");
	else if (of_side[SIDE_OUTSIDE] == 0)
		report(document, NULL, KEY_PORTS, "there is no port with side = \"outside\"");
	else if (of_side[SIDE_INSIDE] == 0)
		report(document, NULL, KEY_PORTS, "there is no port with side = \"inside\"");
}

void document_check(struct document *document)
{
	check_node(document);
	check_ports(document);
	check_services(document);
	check_rules(document);
	check_cluster(document);
}
