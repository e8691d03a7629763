#include "weir/replay/input.h"

#include "flow/key.h"
#include "policy/policy.h"
#include "replay/synthetic.h"

#include <stdio.h>

#define LOOKED_MAX 100000

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

	if (packet->view.bits == 0)
		return;
	input->looked++;
	from = is_protected(input->policy, &packet->view.src);
	to = is_protected(input->policy, &packet->view.dst);
	if (from == to)
		return;
	input->compared++;
	input->turned += from != (packet->side == SIDE_INSIDE);
}

static void view(struct replay_packet *packet)
{
	struct frame frame = {.data = (uint8_t *)(uintptr_t)packet->data,
		.len = packet->len,
		.flags = packet->truncated ? FRAME_TRUNCATED : 0};

	if (view_parse(&packet->view, &frame) != REASON_NONE)
		packet->view.bits = 0;
}

// The side a packet arrives on is its source's. What is not IP counts as from the outside.
static enum side side_of(const struct replay_input *input, const struct view *view)
{
	return view->bits != 0 && inside_has(&input->inside, &view->src) ? SIDE_INSIDE
									 : SIDE_OUTSIDE;
}

static void look_at(struct replay_input *input, struct replay_packet *packet)
{
	view(packet);
	if (input->count == 1)
		packet->side = side_of(input, &packet->view);
	if (input->synthetic == NULL && input->looked < LOOKED_MAX)
		compare(input, packet);
}

// Where their sides are all that is asked for.
static void choose_sides(
	const struct replay_input *input, struct replay_packet *packets, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		struct replay_packet *packet = &packets[i];
		bool inside;

		if (inside_has_source(&input->inside, packet->data, packet->len, &inside)) {
			packet->side = inside ? SIDE_INSIDE : SIDE_OUTSIDE;
			continue;
		}
		view(packet);
		packet->side = side_of(input, &packet->view);
	}
}

static void look_at_all(struct replay_input *input, struct replay_packet *packets, unsigned count)
{
	bool compared = input->synthetic == NULL && input->looked < LOOKED_MAX;

	if (!input->viewed && !compared) {
		if (input->count == 1)
			choose_sides(input, packets, count);
		return;
	}
	for (unsigned i = 0; i < count; i++)
		look_at(input, &packets[i]);
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
	if (inside_open(&input->inside, options->inside, options->inside_count, policy)) {
		fprintf(stderr, "weir: replay: not enough memory\n");
		return 1;
	}
	if (open_sources(input))
		return 1;
	if (options->loops > 1 && !is_again(input)) {
		fprintf(stderr, "weir: replay: --loop reads a capture again, which a pipe cannot: "
				"save it to a file first\n");
		return 1;
	}
	return 0;
}

void replay_input_close(struct replay_input *input)
{
	for (unsigned i = 0; i < input->count; i++)
		source_close(&input->sources[i]);
	inside_close(&input->inside);
}

int replay_input_rewind(struct replay_input *input)
{
	for (unsigned i = 0; i < input->count; i++)
		if (source_rewind(&input->sources[i]))
			return 1;
	for (unsigned i = 0; i < input->count; i++) {
		input->ahead[i].at = input->ahead[i].count = 0;
		input->ahead[i].over = false;
	}
	return 0;
}

// What was handed out lies in its reader's memory: it goes only now.
static void look_ahead(struct replay_input *input, unsigned i)
{
	struct replay_ahead *ahead = &input->ahead[i];

	if (ahead->at < ahead->count || ahead->over)
		return;
	ahead->at = 0;
	ahead->count = source_take(&input->sources[i], ahead->packets, REPLAY_TAKE_MAX);
	ahead->over = ahead->count == 0;
	for (unsigned k = 0; k < ahead->count; k++)
		ahead->packets[k].side = i == 0 ? SIDE_OUTSIDE : SIDE_INSIDE;
}

static const struct replay_packet *next_of(const struct replay_ahead *ahead)
{
	return ahead->at < ahead->count ? &ahead->packets[ahead->at] : NULL;
}

// Of two packets the earlier one; of the same time that of the outside. As long as there is one of
// each, or never will be.
static unsigned merge(struct replay_input *input, struct replay_packet *packets, unsigned most)
{
	unsigned count = 0, first;

	look_ahead(input, 0);
	look_ahead(input, 1);
	while (count < most) {
		const struct replay_packet *one = next_of(&input->ahead[0]);
		const struct replay_packet *other = next_of(&input->ahead[1]);

		if ((one == NULL && !input->ahead[0].over) ||
			(other == NULL && !input->ahead[1].over) || (one == NULL && other == NULL))
			break;
		first = one == NULL || (other != NULL && other->time_ns < one->time_ns);
		packets[count++] = *(first == 0 ? one : other);
		input->ahead[first].at++;
	}
	return count;
}

static unsigned make(struct synthetic *synthetic, struct replay_packet *packet)
{
	struct synthetic_packet made;

	if (!synthetic_next(synthetic, &made))
		return 0;
	*packet = (struct replay_packet){
		.time_ns = made.at_ns, .data = made.data, .len = made.len, .side = made.side};
	return 1;
}

unsigned replay_input_take(struct replay_input *input, struct replay_packet *packets, unsigned most)
{
	unsigned count;

	if (input->synthetic != NULL)
		count = make(input->synthetic, packets);
	else if (input->count == 1)
		count = source_take(&input->sources[0], packets, most);
	else
		count = merge(input, packets, most);
	look_at_all(input, packets, count);
	return count;
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
