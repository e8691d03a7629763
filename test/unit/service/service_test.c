#include "service/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define ICMP  1
#define TCP   6
#define UDP   17
#define ICMP6 58

static struct service service(const char *to, enum rule_protocol protocol)
{
	struct service out = {.to_count = 1,
		.protocol = (uint8_t)protocol,
		.ports = {{0, UINT16_MAX}},
		.port_count = 1};

	assert_int_equal(prefix_parse(&out.to[0], to), 0);
	return out;
}

static uint16_t find(const struct service *services, unsigned count, const char *dst,
	uint16_t dport, uint8_t protocol)
{
	struct addr addr;

	assert_int_equal(addr_parse(&addr, dst), 0);
	return service_find(services, count, &addr, dport, protocol, SIDE_OUTSIDE);
}

static void the_first_match_counts(void **state)
{
	struct service services[] = {service("198.51.100.10/32", RULE_TCP),
		service("198.51.100.0/24", RULE_TCP), service("any", RULE_ANY)};

	assert_int_equal(find(services, 3, "198.51.100.10", 80, TCP), 0);
	assert_int_equal(find(services, 3, "198.51.100.11", 80, TCP), 1);
	assert_int_equal(find(services, 3, "198.51.100.10", 80, UDP), 2);
	assert_int_equal(find(services, 2, "198.51.100.10", 80, UDP), SERVICE_NONE);
	assert_int_equal(find(services, 0, "198.51.100.10", 80, TCP), SERVICE_NONE);
	(void)state;
}

static void every_prefix_of_a_service_counts(void **state)
{
	struct service one = service("198.51.100.0/24", RULE_TCP);

	assert_int_equal(prefix_parse(&one.to[1], "2001:db8:2::/64"), 0);
	assert_int_equal(find(&one, 1, "2001:db8:2::10", 80, TCP), SERVICE_NONE);
	one.to_count = 2;
	assert_int_equal(find(&one, 1, "2001:db8:2::10", 80, TCP), 0);
	assert_int_equal(find(&one, 1, "2001:db8:3::10", 80, TCP), SERVICE_NONE);
	(void)state;
}

static void ports_include_both_ends(void **state)
{
	struct service one = service("any", RULE_TCP);

	one.ports[0] = (struct port_range){80, 81};
	assert_int_equal(find(&one, 1, "192.0.2.1", 79, TCP), SERVICE_NONE);
	assert_int_equal(find(&one, 1, "192.0.2.1", 80, TCP), 0);
	assert_int_equal(find(&one, 1, "192.0.2.1", 81, TCP), 0);
	assert_int_equal(find(&one, 1, "192.0.2.1", 82, TCP), SERVICE_NONE);
	(void)state;
}

static void every_range_of_a_service_counts(void **state)
{
	struct service one = service("198.51.100.0/24", RULE_TCP);

	one.ports[0] = (struct port_range){80, 80};
	one.ports[1] = (struct port_range){8000, 8080};
	one.port_count = 2;
	assert_int_equal(find(&one, 1, "198.51.100.1", 80, TCP), 0);
	assert_int_equal(find(&one, 1, "198.51.100.1", 8080, TCP), 0);
	assert_int_equal(find(&one, 1, "198.51.100.1", 443, TCP), SERVICE_NONE);
	assert_int_equal(find(&one, 1, "198.51.101.1", 8080, TCP), SERVICE_NONE);
	one.port_count = 1;
	assert_int_equal(find(&one, 1, "198.51.100.1", 8080, TCP), SERVICE_NONE);
	one.port_count = 0;
	assert_int_equal(find(&one, 1, "198.51.100.1", 80, TCP), SERVICE_NONE);
	(void)state;
}

static void sides(void **state)
{
	struct service one = service("any", RULE_TCP);
	struct addr addr;

	assert_int_equal(addr_parse(&addr, "192.0.2.1"), 0);
	one.from = RULE_FROM_INSIDE;
	assert_int_equal(service_find(&one, 1, &addr, 80, TCP, SIDE_INSIDE), 0);
	assert_int_equal(service_find(&one, 1, &addr, 80, TCP, SIDE_OUTSIDE), SERVICE_NONE);
	one.from = RULE_FROM_ANY;
	assert_int_equal(service_find(&one, 1, &addr, 80, TCP, SIDE_OUTSIDE), 0);
	(void)state;
}

static void icmp_is_that_of_the_family(void **state)
{
	struct service one = service("any", RULE_ICMP);

	assert_int_equal(find(&one, 1, "192.0.2.1", 8, ICMP), 0);
	assert_int_equal(find(&one, 1, "192.0.2.1", 8, ICMP6), SERVICE_NONE);
	assert_int_equal(find(&one, 1, "2001:db8::1", 128, ICMP6), 0);
	(void)state;
}

static const struct profile rich = {.mss = 1460,
	.wscale = 9,
	.sack = true,
	.timestamps = true,
	.ecn = true,
	.known = PROFILE_ALL};
static const struct profile poor = {
	.mss = 1220, .wscale = OPTIONS_WSCALE_NONE, .known = PROFILE_ALL};

static void assert_profile(const struct profile *a, const struct profile *b)
{
	assert_int_equal(a->mss, b->mss);
	assert_int_equal(a->wscale, b->wscale);
	assert_int_equal(a->sack, b->sack);
	assert_int_equal(a->timestamps, b->timestamps);
	assert_int_equal(a->ecn, b->ecn);
}

static void the_first_profile_seen_is_taken_whole(void **state)
{
	struct profile seen = {.mss = 536, .wscale = 7};

	profile_merge(&seen, &rich);
	assert_profile(&seen, &rich);
	assert_int_equal(seen.known, PROFILE_ALL);
	(void)state;
}

static void then_the_least_of_both(void **state)
{
	struct profile seen = {.mss = 536};
	struct profile middle = {
		.mss = 1400, .wscale = 3, .timestamps = true, .known = PROFILE_ALL};

	profile_merge(&seen, &rich);
	profile_merge(&seen, &middle);
	assert_profile(&seen, &middle);
	profile_merge(&seen, &rich);
	assert_profile(&seen, &middle);
	(void)state;
}

// Proves: TCP.md 10, "shift 0" and "no window scale" confused.
static void no_scaling_is_less_than_shift_zero(void **state)
{
	struct profile seen = {0};
	struct profile zero = rich;

	zero.wscale = 0;
	profile_merge(&seen, &rich);
	profile_merge(&seen, &zero);
	assert_int_equal(seen.wscale, 0);
	profile_merge(&seen, &poor);
	assert_profile(&seen, &poor);
	profile_merge(&seen, &zero);
	assert_profile(&seen, &poor);
	(void)state;
}

// What a server was not asked for says nothing about it.
static void unknown_fields_do_not_count(void **state)
{
	struct profile seen = {0}, announced = {.mss = 1400, .wscale = 7, .sack = true};
	struct profile bare = {.mss = 1300, .known = PROFILE_MSS};

	profile_merge(&seen, &rich);
	profile_merge(&seen, &bare);
	assert_int_equal(seen.mss, 1300);
	assert_true(seen.timestamps);
	seen = (struct profile){0};
	profile_merge(&seen, &bare);
	profile_learn(&announced, &seen);
	assert_int_equal(announced.mss, 1300);
	assert_int_equal(announced.wscale, 7);
	assert_true(announced.sack);
	assert_int_equal(announced.known, PROFILE_MSS);
	(void)state;
}

// Addresses that share the bits that decide have the same service, whichever that is.
static void bits_that_decide(void **state)
{
	struct service services[] = {service("198.51.100.10/32", RULE_TCP),
		service("198.51.100.64/26", RULE_TCP), service("198.51.100.0/24", RULE_TCP)};
	struct addr addr, other;
	unsigned bits[4] = {0}; // how often 25, 26, ...

	(void)state;
	services[1].to[services[1].to_count++] = services[0].to[0];
	assert_int_equal(addr_parse(&addr, "198.51.100.0"), 0);
	other = addr;
	for (unsigned a = 0; a < 256; a++) {
		unsigned deciding;

		addr.b[15] = (uint8_t)a;
		deciding = service_deciding_bits(services, 3, &addr);
		assert_in_range(deciding, 96 + 24, 128);
		bits[deciding == 128 ? 3 : deciding > 96 + 26 ? 2 : deciding - 96 - 25]++;
		for (unsigned b = 0; b < 256; b++) {
			if ((a ^ b) >> (128 - deciding) != 0)
				continue;
			other.b[15] = (uint8_t)b;
			assert_int_equal(service_find(services, 3, &addr, 80, TCP, SIDE_OUTSIDE),
				service_find(services, 3, &other, 80, TCP, SIDE_OUTSIDE));
		}
	}
	assert_int_equal(bits[0], 128);
	assert_int_equal(bits[1], 64);
	assert_int_equal(bits[3], 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_match_counts),
		cmocka_unit_test(every_prefix_of_a_service_counts),
		cmocka_unit_test(ports_include_both_ends),
		cmocka_unit_test(every_range_of_a_service_counts),
		cmocka_unit_test(sides),
		cmocka_unit_test(icmp_is_that_of_the_family),
		cmocka_unit_test(bits_that_decide),
		cmocka_unit_test(the_first_profile_seen_is_taken_whole),
		cmocka_unit_test(unknown_fields_do_not_count),
		cmocka_unit_test(then_the_least_of_both),
		cmocka_unit_test(no_scaling_is_less_than_shift_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
