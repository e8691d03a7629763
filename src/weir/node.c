#include "weir/node.h"

#include "base/check.h"
#include "flow/key.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CONFIG_FILE_BYTES_MAX (16u << 20)

const char *node_state_name(enum node_state state)
{
	static const char *const names[] = {"starting", "forwarding", "stopped", "draining"};

	CHECK((unsigned)state < ARRAY_LEN(names));
	return names[state];
}

uint64_t node_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t node_counter_ns(const struct node *node, uint64_t now_ns)
{
	// Relaxed: the offset stands for itself.
	int64_t offset = atomic_load_explicit(&node->counter_offset_ns, memory_order_relaxed);

	return now_ns + (uint64_t)offset;
}

uint32_t node_tick(const struct node *node, uint64_t now_ns)
{
	return (uint32_t)(node_counter_ns(node, now_ns) / KEYRING_TICK_NS);
}

unsigned node_flow_worker(const struct node *node, const struct flow_key *key)
{
	uint64_t hash = flow_key_hash(siphash_key(node->table_key), key);

	return flow_worker(hash, node->worker_count);
}

uint64_t node_available_mb(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kb = 0;

	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "MemAvailable: %" SCNu64, &kb) == 1)
			break;
	}
	if (file)
		fclose(file);
	return kb ? kb / 1024 : UINT64_MAX;
}

char *node_path(const struct node *node, const char *name, char out[NODE_PATH_BYTES])
{
	snprintf(out, NODE_PATH_BYTES, "%s/%s", node->config->runtime, name);
	return out;
}

// The whole file as text (heap), or NULL with errno set.
static char *read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = NULL;

	if (!file)
		return NULL;
	size_t size = 0, used = 0, got;
	do {
		size = size ? size * 2 : 65536;
		char *more = size <= CONFIG_FILE_BYTES_MAX ? realloc(text, size) : NULL;
		if (!more) {
			errno = EFBIG;
			goto fail;
		}
		text = more;
		got = fread(text + used, 1, size - 1 - used, file);
		used += got;
	} while (used == size - 1);
	if (ferror(file))
		goto fail;
	text[used] = '\0';
	fclose(file);
	return text;
fail:;
	int saved = errno;
	free(text);
	fclose(file);
	errno = saved;
	return NULL;
}

struct config *node_read_config(const struct node *node, struct config_errors *errors)
{
	char *text = read_file(node->file);

	if (!text) {
		int error = errno;
		errors->list = calloc(1, sizeof(*errors->list));
		errors->count = errors->list ? 1 : 0;
		if (errors->list)
			snprintf(errors->list->text, sizeof(errors->list->text), "%s: %s",
				node->file, strerror(error));
		return NULL;
	}
	struct config *config = config_parse(node->file, text, node->sets, node->set_count, errors);
	free(text);
	return config;
}
