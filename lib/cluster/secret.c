#include "cluster/secret.h"

#include <openssl/crypto.h>
#include <string.h>

#define ROUND_MAX     (UINT64_MAX >> SECRET_ROUND_SHIFT)
#define EPOCHS_AHEAD  2 // when a rotation counts: time for every node to hear of it
#define EPOCHS_BEHIND 2 // how long a cookie is answered after its epoch

static uint64_t number(uint64_t round, uint16_t id, const uint8_t bytes[CLUSTER_SECRET_BYTES])
{
	uint64_t digest = siphash24(siphash_key(bytes), bytes + SIPHASH_KEY_BYTES,
		CLUSTER_SECRET_BYTES - SIPHASH_KEY_BYTES);

	return round << SECRET_ROUND_SHIFT | (uint64_t)id << SECRET_ID_SHIFT | (uint32_t)digest;
}

bool generation_is_same(struct generation a, struct generation b)
{
	return a.founded_ns == b.founded_ns && a.number == b.number;
}

bool generation_is_later(struct generation a, struct generation b)
{
	if (a.number == 0 || b.number == 0 || a.founded_ns == b.founded_ns)
		return a.number > b.number;
	return a.founded_ns < b.founded_ns;
}

void secrets_found(struct secrets *secrets, uint64_t founded_ns, uint16_t id,
	const uint8_t bytes[CLUSTER_SECRET_BYTES])
{
	secrets_wipe(secrets);
	secrets->newest.generation = (struct generation){founded_ns, number(1, id, bytes)};
	memcpy(secrets->newest.bytes, bytes, CLUSTER_SECRET_BYTES);
}

static void replace(struct secrets *secrets, const struct secret *secret, uint32_t epoch)
{
	if (secrets->newest.first_epoch <= epoch)
		secrets->previous = secrets->newest;
	secrets->newest = *secret;
}

bool secrets_adopt(struct secrets *secrets, const struct secret *secret, struct generation told,
	uint32_t epoch)
{
	struct generation own = secrets->newest.generation;

	if (!secrets->open && generation_is_later(secret->generation, own)) {
		replace(secrets, secret, epoch);
		return true;
	}
	if (!secrets->open &&
		(generation_is_same(secret->generation, own) || !generation_is_later(told, own)))
		return false;
	secrets_wipe(secrets);
	secrets->newest = *secret;
	return true;
}

bool secrets_rotate(struct secrets *secrets, uint16_t id, uint32_t epoch,
	const uint8_t bytes[CLUSTER_SECRET_BYTES])
{
	uint64_t round = secrets->newest.generation.number >> SECRET_ROUND_SHIFT;
	struct secret secret = {
		.generation = secrets->newest.generation, .first_epoch = epoch + EPOCHS_AHEAD};

	if (round == ROUND_MAX)
		return false;
	secret.generation.number = number(round + 1, id, bytes);
	memcpy(secret.bytes, bytes, CLUSTER_SECRET_BYTES);
	replace(secrets, &secret, epoch);
	OPENSSL_cleanse(&secret, sizeof(secret));
	return true;
}

bool secrets_overlap(const struct secrets *secrets, uint32_t epoch)
{
	return secrets->previous.generation.number != 0 &&
	       epoch < (uint64_t)secrets->newest.first_epoch + EPOCHS_BEHIND;
}

void secrets_wipe(struct secrets *secrets)
{
	OPENSSL_cleanse(secrets, sizeof(*secrets));
}
