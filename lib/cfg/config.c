// The life of a configuration: config_parse() reads the text into libconfig's tree, applies the
// --set values to it, walks it into a document (values with defaults), checks that, and builds the
// typed configuration and its policy. Tree and errors are per call; the document stays for
// config_dump(). Nothing is shared between calls, and no file or clock is touched.
#include "cfg/config.h"

#include "cfg/build.h"
#include "cfg/check.h"
#include "cfg/read.h"
#include "cfg/write.h"

#include <openssl/evp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Each text is followed by its NUL, so that moving a byte from one to the next shows.
static bool digest_run(EVP_MD_CTX *context, const char *text, const char *const *sets,
	unsigned set_count, uint8_t digest[EVP_MAX_MD_SIZE])
{
	if (!EVP_DigestInit_ex(context, EVP_sha256(), NULL) ||
		!EVP_DigestUpdate(context, text, strlen(text) + (set_count > 0)))
		return false;
	for (unsigned i = 0; i < set_count; i++)
		if (!EVP_DigestUpdate(context, sets[i], strlen(sets[i]) + 1))
			return false;
	return EVP_DigestFinal_ex(context, digest, NULL);
}

static bool fill_sha256(char out[65], const char *text, const char *const *sets, unsigned set_count)
{
	uint8_t digest[EVP_MAX_MD_SIZE];
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool done = context != NULL && digest_run(context, text, sets, set_count, digest);

	EVP_MD_CTX_free(context);
	for (unsigned i = 0; done && i < 32; i++)
		snprintf(out + 2 * i, 3, "%02x", digest[i]);
	return done;
}

// Reads and checks; what is wrong is in document->errors.
static void document_load(
	struct document *document, const char *text, const char *const *sets, unsigned set_count)
{
	config_t tree;

	config_init(&tree);
	if (tree_parse(&tree, document, text)) {
		tree_apply_sets(&tree, document, sets, set_count);
		document_read(document, &tree);
		document_check(document);
	}
	config_destroy(&tree);
}

static void refuse_memory(const char *file, struct config_errors *errors)
{
	errors_add(errors, file, (struct place){.line = 1}, NULL, "out of memory");
}

struct config *config_parse(const char *file, const char *text, const char *const *sets,
	unsigned set_count, struct config_errors *errors)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!errors_start(errors)) {
		free(config);
		return NULL;
	}
	if (config != NULL)
		config->document = document_create(file, errors);
	if (config == NULL || config->document == NULL) {
		refuse_memory(file, errors);
		config_free(config);
		return NULL;
	}
	document_load(config->document, text, sets, set_count);
	if (errors->count == 0 && (!config_build(config, config->document) ||
					  !fill_sha256(config->sha256, text, sets, set_count)))
		refuse_memory(file, errors);
	if (errors->count != 0) {
		errors_sort(errors);
		config_free(config);
		return NULL;
	}
	config_errors_free(errors);
	snprintf(config->file, sizeof(config->file), "%s", file);
	// Both were the caller's.
	config->document->file = config->file;
	config->document->errors = NULL;
	return config;
}

void config_free(struct config *config)
{
	if (config == NULL)
		return;
	if (config->policy != NULL)
		policy_finish(config->policy);
	free(config->policy);
	document_destroy(config->document);
	free(config);
}

void config_errors_free(struct config_errors *errors)
{
	free(errors->list);
	*errors = (struct config_errors){0};
}

struct policy *config_take_policy(struct config *config)
{
	struct policy *policy = config->policy;

	config->policy = NULL;
	return policy;
}

char *config_dump(const struct config *config)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (out == NULL)
		return NULL;
	document_write(out, config->document, false);
	fclose(out);
	return text;
}

void config_complain(const struct config *config, const char *path, struct config_errors *errors,
	const char *format, ...)
{
	char text[400];
	struct place place = {.line = 1};
	va_list arguments;

	for (enum key key = 0; key < KEY_COUNT; key++)
		if (strcmp(schema[key].path, path) == 0)
			place = place_of_key(config->document, key);
	if (errors->list == NULL && !errors_start(errors))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	errors_add(errors, config->file, place, path, "%s", text);
}
