// A configuration: the text up to the first NUL, then a --set after each. What is accepted must
// dump to a text that is accepted and dumps to the same; what is refused must say why.
#include "cfg/config.h"
#include "fuzz.h"

#include "base/check.h"

#include <stdlib.h>
#include <string.h>

#define SETS_MAX 8

// libconfig 1.5 loses its scanner's buffer on some broken texts; our own leaks still count.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:libconfig.so";
}

static char *dump_of(const char *text, const char *const *sets, unsigned count)
{
	struct config_errors errors;
	struct config *config = config_parse("fuzz.cfg", text, sets, count, &errors);
	char *dump = NULL;

	CHECK((config == NULL) == (errors.count > 0));
	if (config != NULL) {
		config_warn(config, &errors);
		config_overrides(config, &errors);
		dump = config_dump(config);
	}
	config_free(config);
	config_errors_free(&errors);
	return dump;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char *text = calloc(1, len + 1);
	const char *sets[SETS_MAX];
	unsigned count = 0;
	char *first;

	if (text == NULL)
		return 0;
	if (len > 0)
		memcpy(text, data, len);
	for (size_t at = strlen(text) + 1; at < len && count < SETS_MAX; count++) {
		sets[count] = text + at;
		at += strlen(text + at) + 1;
	}
	first = dump_of(text, sets, count);
	if (first != NULL) {
		char *second = dump_of(first, NULL, 0);

		CHECK(second != NULL && strcmp(first, second) == 0);
		free(second);
	}
	free(first);
	free(text);
	return 0;
}
