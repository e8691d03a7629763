#include "weir/replay/input.h"

#include "flow/key.h"
#include "policy/policy.h"
#include "replay/synthetic.h"

#include <stdio.h>

#define LOOKED_MAX 100000

static bool is_inside(const struct replay_input *input, const struct addr *addr)
{
	const struct replay_options *options = input->options;
	const struct policy *policy = input->policy;

	for (unsigned i = 0; i < options->inside_count; i++)
		if (prefix_contains(&options->inside[i], addr))
			return true;
	for (unsigned s = 0; options->inside_count == 0 && s < policy->service_count; s++)
		for (unsigned i = 0; i < policy->services[s].to_count; i++)
			if (prefix_contains(&policy->services[s].to[i], addr))
				return true;
	return false;
}

static bool is_protected(const struct policy *policy, const struct addr *addr)
{
	for (unsigned s = 0; s < policy->service_count; s++) {
		const struct service *service = &policy->services[s];

		for (unsigned i = 0; service->from != RULE_FROM_INSIDE && i < service->to_count;
			i++)
			if (prefix_contains(&service->to[i], addr))
				return true;
	}
	return false;
}

// Whether the side is the one that the services' prefixes say: of the first packets, which are
// enough to see a mistake.
static void compare(struct replay_input *input, const struct replay_packet *packet)
{
	bool from, to;

	if (packet->view.bits == 0 || input->looked == LOOKED_MAX)
		return;
	input->looked++;
	from = is_protected(input->policy, &packet->view.src);
	to = is_protected(input->policy, &packet->view.dst);
	if (from == to)
		return;
	input->compared++;
	input->turned += from != (packet->side == SIDE_INSIDE);
}

static void look_at(struct replay_input *input, struct replay_packet *packet)
{
	struct frame frame = {.data = (uint8_t *)(uintptr_t)packet->data,
		.len = packet->len,
		.flags = packet->truncated ? FRAME_TRUNCATED : 0};

	if (view_parse(&packet->view, &frame) != REASON_NONE)
		packet->view.bits = 0;
	// The side a packet arrives on is its source's. What is not IP counts as from the outside.
	if (input->count == 1)
		packet->side = packet->view.bits != 0 && is_inside(input, &packet->view.src)
				       ? SIDE_INSIDE
				       : SIDE_OUTSIDE;
	if (input->synthetic == NULL)
		compare(input, packet);
}

static void look_ahead(struct replay_input *input, unsigned i)
{
	input->has_ahead[i] = source_next(&input->sources[i], &input->ahead[i]);
	if (!input->has_ahead[i])
		return;
	input->ahead[i].side = i == 0 ? SIDE_OUTSIDE : SIDE_INSIDE;
}

static int open_sources(struct replay_input *input)
{
	const struct replay_options *options = input->options;

	input->count = 1;
	if (options->in != NULL)
		return source_open(&input->sources[0], options->in);
	input->count = 2;
	return source_open(&input->sources[0], options->in_outside) ||
	       source_open(&input->sources[1], options->in_inside);
}

static bool is_again(const struct replay_input *input)
{
	for (unsigned i = 0; i < input->count; i++)
		if (!input->sources[i].stream.regular)
			return false;
	return true;
}

int replay_input_open(struct replay_input *input, const struct replay_options *options,
	const struct policy *policy, struct synthetic *synthetic)
{
	*input =
		(struct replay_input){.options = options, .policy = policy, .synthetic = synthetic};
	if (synthetic != NULL)
		return 0;
	if (open_sources(input))
		return 1;
	if (options->loops > 1 && !is_again(input)) {
		fprintf(stderr, "weir: replay: --loop reads a capture again, which a pipe cannot: "
				"save it to a file first\n");
		return 1;
	}
	for (unsigned i = 0; input->count == 2 && i < 2; i++)
		look_ahead(input, i);
	return 0;
}

void replay_input_close(struct replay_input *input)
{
	for (unsigned i = 0; i < input->count; i++)
		source_close(&input->sources[i]);
}

int replay_input_rewind(struct replay_input *input)
{
	for (unsigned i = 0; i < input->count; i++)
		if (source_rewind(&input->sources[i]))
			return 1;
	for (unsigned i = 0; input->count == 2 && i < 2; i++)
		look_ahead(input, i);
	return 0;
}

// Of two packets the earlier one; of the same time that of the outside.
static bool merge(struct replay_input *input, struct replay_packet *packet)
{
	unsigned first = 0;

	if (!input->has_ahead[0] && !input->has_ahead[1])
		return false;
	if (!input->has_ahead[0] ||
		(input->has_ahead[1] && input->ahead[1].time_ns < input->ahead[0].time_ns))
		first = 1;
	*packet = input->ahead[first];
	return true;
}

static bool make(struct synthetic *synthetic, struct replay_packet *packet)
{
	struct synthetic_packet made;

	if (!synthetic_next(synthetic, &made))
		return false;
	*packet = (struct replay_packet){
		.time_ns = made.at_ns, .data = made.data, .len = made.len, .side = made.side};
	return true;
}

bool replay_input_next(struct replay_input *input, struct replay_packet *packet)
{
	bool got;

	if (input->synthetic != NULL) {
		got = make(input->synthetic, packet);
	} else if (input->count == 1) {
		got = source_next(&input->sources[0], packet);
	} else {
		// The packet handed out last lies in its reader's memory: it goes only now.
		if (input->taken)
			look_ahead(input, input->taken - 1);
		got = merge(input, packet);
		input->taken = got ? (packet->side == SIDE_OUTSIDE ? 1 : 2) : 0;
	}
	if (got)
		look_at(input, packet);
	return got;
}

bool replay_input_is_cut(const struct replay_input *input)
{
	return input->sources[0].cut || (input->count == 2 && input->sources[1].cut);
}

uint64_t replay_input_size(const struct replay_input *input)
{
	uint64_t size = input->synthetic != NULL ? input->synthetic->config.count : 0;

	for (unsigned i = 0; i < input->count; i++) {
		if (input->sources[i].stream.size_bytes == 0)
			return 0;
		size += input->sources[i].stream.size_bytes;
	}
	return size;
}

uint64_t replay_input_at(const struct replay_input *input)
{
	uint64_t at = input->synthetic != NULL ? input->synthetic->made : 0;

	for (unsigned i = 0; i < input->count; i++)
		at += source_at_bytes(&input->sources[i]);
	return at;
}
