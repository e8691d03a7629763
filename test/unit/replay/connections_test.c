// The table of connections against a plain list: finding, order of use, removal in any order.
#include "replay/connections.h"

#include "base/check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#define CAPACITY 40
#define KEYS	 60
#define STEPS	 20000

static uint32_t random_state;

static uint32_t choose(uint32_t bound)
{
	random_state = random_state * 1664525u + 1013904223u;
	return (random_state >> 8) % bound;
}

static struct flow_key key_of(unsigned i)
{
	return (struct flow_key){.outer_port = (uint16_t)i, .protocol = PROTOCOL_TCP};
}

// The keys that are there, idle longest first.
struct model {
	unsigned keys[CAPACITY];
	unsigned count;
};

static void model_remove(struct model *model, unsigned key)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < model->count; i++)
		if (model->keys[i] != key)
			model->keys[kept++] = model->keys[i];
	model->count = kept;
}

static void use(struct connections *all, struct model *model, unsigned number)
{
	struct flow_key key = key_of(number);
	struct connection *connection = connections_find(all, &key);

	if (connection != NULL) {
		connections_touch(all, connection);
		model_remove(model, number);
	} else {
		struct connection *victim = connections_victim(all);

		assert_int_equal(victim != NULL, model->count == CAPACITY);
		if (victim != NULL) {
			assert_int_equal(victim->key.outer_port, model->keys[0]);
			connections_remove(all, victim);
			model_remove(model, model->keys[0]);
		}
		connection = connections_add(all, &key);
		assert_false(connection->ready);
	}
	if (choose(3) == 0)
		connections_make_ready(all, connection);
	model->keys[model->count++] = number;
}

static void step(struct connections *all, struct model *model)
{
	unsigned number = choose(KEYS);
	struct flow_key key = key_of(number);
	struct connection *connection = connections_find(all, &key);

	if (choose(4) == 0 && connection != NULL) {
		connections_remove(all, connection);
		model_remove(model, number);
		assert_null(connections_find(all, &key));
	} else {
		use(all, model, number);
	}
	assert_int_equal(all->count, model->count);
	connection = connections_first(all);
	assert_int_equal(connection == NULL, model->count == 0);
	if (connection != NULL)
		assert_int_equal(connection->key.outer_port, model->keys[0]);
	connection = connections_ready(all);
	if (connection != NULL && choose(2) == 0) {
		assert_true(connection->ready);
		connections_end_ready(all, connection);
		assert_ptr_not_equal(connections_ready(all), connection);
	}
}

static void as_a_plain_list(void **state)
{
	struct connections all;
	struct model model = {.count = 0};
	void *memory = calloc(1, connections_bytes(CAPACITY));

	(void)state;
	CHECK(memory != NULL);
	random_state = 1;
	connections_init(&all, memory, CAPACITY);
	for (unsigned i = 0; i < STEPS; i++)
		step(&all, &model);
	assert_true(model.count > CAPACITY / 2);
	free(memory);
}

static void ready_in_order(void **state)
{
	struct connections all;
	struct connection *made[3];
	void *memory = calloc(1, connections_bytes(3));

	(void)state;
	CHECK(memory != NULL);
	connections_init(&all, memory, 3);
	for (unsigned i = 0; i < 3; i++) {
		struct flow_key key = key_of(i);

		made[i] = connections_add(&all, &key);
	}
	connections_make_ready(&all, made[2]);
	connections_make_ready(&all, made[0]);
	connections_make_ready(&all, made[2]); // is in the list already
	connections_make_ready(&all, made[1]);
	assert_ptr_equal(connections_ready(&all), made[2]);
	connections_end_ready(&all, made[2]);
	assert_ptr_equal(connections_ready(&all), made[0]);
	connections_remove(&all, made[0]);
	assert_ptr_equal(connections_ready(&all), made[1]);
	connections_end_ready(&all, made[1]);
	assert_null(connections_ready(&all));
	free(memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_a_plain_list),
		cmocka_unit_test(ready_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
