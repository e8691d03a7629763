#include "cluster/profile.h"

#include "base/bytes.h"
#include "cluster/update.h"

#include <string.h>

#define HEAD_BYTES 3 // type and length
#define SET_BYTES  7 // epoch, author, flags

enum set_flag {
	SET_FIRST = 1 << 0, // the first message of a set
	SET_LAST = 1 << 1,
	SET_FLAGS = (1 << 2) - 1,
};

enum entry_bit {
	ENTRY_SACK = 1 << 0,
	ENTRY_TIMESTAMPS = 1 << 1,
	ENTRY_ECN = 1 << 2,
	ENTRY_BITS = (1 << 3) - 1,
};

const struct profile *profile_find(const struct profile_set *set, const char *name, unsigned hint)
{
	for (unsigned i = 0; i < set->count; i++) {
		const struct named_profile *entry = &set->list[(hint + i) % set->count];

		if (strcmp(entry->name, name) == 0)
			return &entry->profile;
	}
	return NULL;
}

bool profile_equal(const struct profile *a, const struct profile *b)
{
	return a->mss == b->mss && a->wscale == b->wscale && a->sack == b->sack &&
	       a->timestamps == b->timestamps && a->ecn == b->ecn && a->known == b->known;
}

bool profile_set_equal(const struct profile_set *a, const struct profile_set *b)
{
	if (a->count != b->count)
		return false;
	for (unsigned i = 0; i < a->count; i++)
		if (strcmp(a->list[i].name, b->list[i].name) != 0 ||
			!profile_equal(&a->list[i].profile, &b->list[i].profile))
			return false;
	return true;
}

static void put_entry(struct cursor *out, const struct named_profile *entry)
{
	const struct profile *profile = &entry->profile;
	size_t name_len = strnlen(entry->name, SERVICE_NAME_BYTES - 1);

	cursor_put8(out, (uint8_t)name_len);
	cursor_put(out, entry->name, name_len);
	cursor_put16(out, profile->mss);
	cursor_put8(out, profile->wscale);
	cursor_put8(out, (uint8_t)((profile->sack ? ENTRY_SACK : 0) |
				   (profile->timestamps ? ENTRY_TIMESTAMPS : 0) |
				   (profile->ecn ? ENTRY_ECN : 0)));
	cursor_put8(out, profile->known);
}

static bool get_entry(struct cursor *in, struct named_profile *entry)
{
	uint8_t name_len = cursor_get8(in), bits;
	const uint8_t *name = cursor_take(in, name_len);
	struct profile *profile = &entry->profile;

	memset(entry, 0, sizeof(*entry));
	profile->mss = cursor_get16(in);
	profile->wscale = cursor_get8(in);
	bits = cursor_get8(in);
	profile->known = cursor_get8(in);
	if (in->failed || name_len == 0 || name_len >= SERVICE_NAME_BYTES ||
		memchr(name, 0, name_len) != NULL || profile->wscale > OPTIONS_WSCALE_NONE ||
		(bits & ~ENTRY_BITS) || (profile->known & ~PROFILE_ALL))
		return false;
	memcpy(entry->name, name, name_len);
	profile->sack = bits & ENTRY_SACK;
	profile->timestamps = (bits & ENTRY_TIMESTAMPS) != 0;
	profile->ecn = (bits & ENTRY_ECN) != 0;
	return true;
}

bool profile_put_set(struct cursor *out, const struct profile_set *set, unsigned *next)
{
	uint8_t *start = out->at;
	unsigned first = *next;
	size_t len;

	if (first == PROFILE_SET_DONE || cursor_left(out) < HEAD_BYTES + SET_BYTES)
		return false;
	out->at += HEAD_BYTES + SET_BYTES;
	for (; *next < set->count; (*next)++) {
		struct cursor at = *out;

		put_entry(&at, &set->list[*next]);
		if (at.failed)
			break;
		*out = at;
	}
	if (*next == first && first < set->count) {
		out->at = start;
		return false;
	}
	len = (size_t)(out->at - start) - HEAD_BYTES;
	start[0] = UPDATE_PROFILES;
	be16_put(start + 1, (uint16_t)len);
	be32_put(start + 3, set->epoch);
	be16_put(start + 7, set->author);
	start[9] = (uint8_t)((first == 0 ? SET_FIRST : 0) | (*next == set->count ? SET_LAST : 0));
	if (*next == set->count)
		*next = PROFILE_SET_DONE;
	return true;
}

bool profile_get_set(struct profile_set *set, const uint8_t *body, size_t len, bool *whole)
{
	struct cursor in = cursor_read(body, len);
	uint32_t epoch = cursor_get32(&in);
	uint16_t author = cursor_get16(&in);
	uint8_t flags = cursor_get8(&in);
	bool follows = set->valid && set->epoch == epoch && set->author == author;

	set->valid = false;
	*whole = false;
	if (in.failed || author >= NODES_MAX || (flags & ~SET_FLAGS) || epoch > KEYRING_EPOCH_MAX ||
		(!(flags & SET_FIRST) && !follows))
		return false;
	if (flags & SET_FIRST)
		set->count = 0;
	set->epoch = epoch;
	set->author = author;
	while (cursor_left(&in) > 0) {
		struct named_profile *entry = &set->list[set->count];

		if (set->count++ == SERVICE_COUNT_MAX || !get_entry(&in, entry) ||
			entry->profile.mss < PROFILE_MSS_LOW)
			return false;
	}
	set->valid = true;
	*whole = flags & SET_LAST;
	return true;
}

bool profile_put_learnt(struct cursor *out, const void *learnt)
{
	struct cursor at = *out;
	uint8_t *start = out->at;

	cursor_put8(&at, UPDATE_LEARNT);
	cursor_put16(&at, 0);
	put_entry(&at, learnt);
	if (at.failed)
		return false;
	be16_put(start + 1, (uint16_t)((size_t)(at.at - start) - HEAD_BYTES));
	*out = at;
	return true;
}

bool profile_get_learnt(struct named_profile *learnt, const uint8_t *body, size_t len)
{
	struct cursor in = cursor_read(body, len);

	return get_entry(&in, learnt) && cursor_left(&in) == 0 &&
	       (!(learnt->profile.known & PROFILE_MSS) || learnt->profile.mss >= PROFILE_MSS_LOW);
}
