// Slots are used from 1 up, so that memory nobody needed stays untouched; those of removed
// connections are chained through `chain` and filled first.
#include "replay/connections.h"

#include "base/check.h"

#include <string.h>

// Nothing an attacker sends live gets here, and every run has to be like the one before it.
static const struct siphash_key hash_key;

static uint32_t bucket_count(uint32_t capacity)
{
	uint32_t count = 16;

	while (count < capacity && count < 1u << 30)
		count *= 2;
	return count;
}

static size_t slots_bytes(uint32_t capacity)
{
	return ((size_t)capacity + 1) * sizeof(struct connection);
}

size_t connections_bytes(uint32_t capacity)
{
	return slots_bytes(capacity) + bucket_count(capacity) * sizeof(uint32_t);
}

void connections_init(struct connections *all, void *memory, uint32_t capacity)
{
	CHECK(capacity > 0);
	*all = (struct connections){.slots = memory,
		.buckets = (uint32_t *)(void *)((uint8_t *)memory + slots_bytes(capacity)),
		.bucket_mask = bucket_count(capacity) - 1,
		.capacity = capacity};
}

static uint32_t slot_of(const struct connections *all, const struct connection *connection)
{
	return (uint32_t)(connection - all->slots);
}

static struct connection *at(struct connections *all, uint32_t slot)
{
	return slot == 0 ? NULL : &all->slots[slot];
}

static uint32_t *bucket_of(struct connections *all, const struct flow_key *key)
{
	return &all->buckets[flow_key_hash(hash_key, key) & all->bucket_mask];
}

// The links of a slot in one of the two lists.
static struct links *links_of(struct connections *all, const struct link_list *list, uint32_t slot)
{
	struct connection *connection = &all->slots[slot];

	return list == &all->used ? &connection->used : &connection->ready_links;
}

static void append(struct connections *all, struct link_list *list, uint32_t slot)
{
	*links_of(all, list, slot) = (struct links){.prev = list->last};
	if (list->last != 0)
		links_of(all, list, list->last)->next = slot;
	else
		list->first = slot;
	list->last = slot;
}

static void unlink_slot(struct connections *all, struct link_list *list, uint32_t slot)
{
	const struct links *links = links_of(all, list, slot);

	if (links->prev != 0)
		links_of(all, list, links->prev)->next = links->next;
	else
		list->first = links->next;
	if (links->next != 0)
		links_of(all, list, links->next)->prev = links->prev;
	else
		list->last = links->prev;
}

struct connection *connections_find(struct connections *all, const struct flow_key *key)
{
	uint32_t slot = *bucket_of(all, key);

	while (slot != 0 && !flow_key_equal(&all->slots[slot].key, key))
		slot = all->slots[slot].chain;
	return at(all, slot);
}

void connections_touch(struct connections *all, struct connection *connection)
{
	uint32_t slot = slot_of(all, connection);

	unlink_slot(all, &all->used, slot);
	append(all, &all->used, slot);
}

struct connection *connections_victim(struct connections *all)
{
	return all->count < all->capacity ? NULL : at(all, all->used.first);
}

void connections_remove(struct connections *all, struct connection *connection)
{
	uint32_t slot = slot_of(all, connection);
	uint32_t *link = bucket_of(all, &connection->key);

	while (*link != slot)
		link = &all->slots[*link].chain;
	*link = connection->chain;
	unlink_slot(all, &all->used, slot);
	connections_end_ready(all, connection);
	connection->chain = all->free;
	all->free = slot;
	all->count--;
}

struct connection *connections_add(struct connections *all, const struct flow_key *key)
{
	uint32_t *bucket = bucket_of(all, key);
	uint32_t slot = all->free;
	struct connection *connection;

	CHECK(all->count < all->capacity);
	if (slot != 0)
		all->free = all->slots[slot].chain;
	else
		slot = ++all->high;
	all->count++;
	connection = &all->slots[slot];
	memset(connection, 0, sizeof(*connection));
	connection->key = *key;
	connection->chain = *bucket;
	*bucket = slot;
	append(all, &all->used, slot);
	return connection;
}

void connections_make_ready(struct connections *all, struct connection *connection)
{
	if (connection->ready)
		return;
	connection->ready = true;
	append(all, &all->ready, slot_of(all, connection));
}

void connections_end_ready(struct connections *all, struct connection *connection)
{
	if (!connection->ready)
		return;
	connection->ready = false;
	unlink_slot(all, &all->ready, slot_of(all, connection));
}

struct connection *connections_ready(struct connections *all)
{
	return at(all, all->ready.first);
}

struct connection *connections_first(struct connections *all)
{
	return at(all, all->used.first);
}
