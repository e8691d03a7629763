#include "cluster/hello.h"

#include <string.h>

#define MESSAGE_HEAD_BYTES 3
#define HELLO_BYTES	   22 // without the name
#define HEARTBEAT_BYTES	   54
#define SECRET_BYTES	   (36 + CLUSTER_SECRET_BYTES)

static bool start(struct cursor *out, uint8_t type, size_t len)
{
	if (cursor_left(out) < MESSAGE_HEAD_BYTES + len)
		return false;
	cursor_put8(out, type);
	cursor_put16(out, (uint16_t)len);
	return true;
}

bool hello_put(struct cursor *out, const struct hello *hello)
{
	size_t name_len = strnlen(hello->node, CLUSTER_NAME_BYTES - 1);

	if (!start(out, UPDATE_HELLO, HELLO_BYTES + name_len))
		return false;
	cursor_put8(out, hello->lowest);
	cursor_put8(out, hello->highest);
	cursor_put16(out, hello->max_id);
	cursor_put(out, hello->table_key, SIPHASH_KEY_BYTES);
	cursor_put8(out, hello->workers);
	cursor_put8(out, (uint8_t)name_len);
	cursor_put(out, hello->node, name_len);
	return true;
}

bool hello_get(struct hello *hello, const uint8_t *body, size_t len)
{
	struct cursor in = cursor_read(body, len);
	const uint8_t *key, *name;
	uint8_t name_len;

	*hello = (struct hello){.lowest = cursor_get8(&in), .highest = cursor_get8(&in)};
	hello->max_id = cursor_get16(&in);
	key = cursor_take(&in, SIPHASH_KEY_BYTES);
	hello->workers = cursor_get8(&in);
	name_len = cursor_get8(&in);
	name = cursor_take(&in, name_len);
	if (in.failed || key == NULL || name == NULL || name_len >= CLUSTER_NAME_BYTES)
		return false;
	memcpy(hello->table_key, key, SIPHASH_KEY_BYTES);
	memcpy(hello->node, name, name_len);
	return true; // fields of later versions follow
}

static void put_generation(struct cursor *out, struct generation generation)
{
	cursor_put64(out, generation.founded_ns);
	cursor_put64(out, generation.number);
}

static struct generation get_generation(struct cursor *in)
{
	uint64_t founded_ns = cursor_get64(in);

	return (struct generation){.founded_ns = founded_ns, .number = cursor_get64(in)};
}

bool heartbeat_put(struct cursor *out, const struct heartbeat *beat)
{
	if (!start(out, UPDATE_HEARTBEAT, HEARTBEAT_BYTES))
		return false;
	cursor_put8(out, beat->state);
	cursor_put8(out, beat->alone);
	cursor_put32(out, beat->age_s);
	cursor_put64(out, beat->counter_ns);
	cursor_put64(out, beat->time_ns);
	cursor_put64(out, beat->echo_ns);
	cursor_put64(out, beat->held_ns);
	put_generation(out, beat->generation);
	return true;
}

bool heartbeat_get(struct heartbeat *beat, const uint8_t *body, size_t len)
{
	struct cursor in = cursor_read(body, len);

	beat->state = cursor_get8(&in);
	beat->alone = cursor_get8(&in) != 0;
	beat->age_s = cursor_get32(&in);
	beat->counter_ns = cursor_get64(&in);
	beat->time_ns = cursor_get64(&in);
	beat->echo_ns = cursor_get64(&in);
	beat->held_ns = cursor_get64(&in);
	beat->generation = get_generation(&in);
	return !in.failed && beat->state <= HEARTBEAT_DRAINING && beat->time_ns != 0;
}

bool secret_put(struct cursor *out, const struct secret *secret, struct generation newest)
{
	if (!start(out, UPDATE_SECRET, SECRET_BYTES))
		return false;
	put_generation(out, newest);
	put_generation(out, secret->generation);
	cursor_put32(out, secret->first_epoch);
	cursor_put(out, secret->bytes, CLUSTER_SECRET_BYTES);
	return true;
}

bool secret_get(struct secret *secret, struct generation *newest, const uint8_t *body, size_t len)
{
	struct cursor in = cursor_read(body, len);
	const uint8_t *bytes;

	*newest = get_generation(&in);
	secret->generation = get_generation(&in);
	secret->first_epoch = cursor_get32(&in);
	bytes = cursor_take(&in, CLUSTER_SECRET_BYTES);
	if (in.failed || bytes == NULL || secret->generation.number == 0)
		return false;
	memcpy(secret->bytes, bytes, CLUSTER_SECRET_BYTES);
	return true;
}

bool bye_put(struct cursor *out)
{
	return start(out, UPDATE_BYE, 0);
}
