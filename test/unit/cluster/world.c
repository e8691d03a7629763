#include "world.h"

#include "base/siphash.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <string.h>
#include <cmocka.h>

struct world *world_new(void)
{
	static struct world world;

	memset(&world, 0, sizeof(world));
	for (unsigned i = 0; i < 2; i++) {
		memset(world.contexts[i].secret, 0x11, KEYED_SECRET_BYTES);
		world.contexts[i].id = i == 0 ? 3 : 7;
		world.contexts[i].nonce = i << 20;
	}
	pair_init(&world.pair, &keyed_methods,
		(void *const[]){&world.contexts[0], &world.contexts[1]});
	return &world;
}

struct world *world_up(void)
{
	struct world *world = world_new();

	assert_true(pair_connect(&world->pair, 10 * MS, SECOND));
	return world;
}

void world_end(struct world *world)
{
	assert_true(world->contexts[0].alive <= 1 && world->contexts[1].alive <= 1);
	pair_finish(&world->pair);
	assert_int_equal(world->contexts[0].alive + world->contexts[1].alive, 0);
}

const struct channel_stats *world_stats(struct world *world, unsigned end)
{
	return channel_stats(world->pair.ends[end].channel);
}

void world_assert_works(struct world *world)
{
	struct pair *pair = &world->pair;
	const unsigned before[2] = {pair->ends[0].records, pair->ends[1].records};

	assert_true(pair_send(pair, 0, 1) && pair_send(pair, 1, 1));
	pair_turn(pair);
	assert_int_equal(pair->ends[0].records, before[0] + 1);
	assert_int_equal(pair->ends[1].records, before[1] + 1);
}

uint16_t world_tag(const char *name)
{
	return (uint16_t)siphash24((struct siphash_key){{0, 0}}, name, strlen(name));
}
