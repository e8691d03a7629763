// What an update of the cluster costs, on the wire and on the processor, without devices: a sender,
// a receiver and its engine in one thread (duo.h). All flows are created, then each is changed, then
// each is closed, in an order that has nothing to do with that of creation.
//
//   updates [--flows N]
//
// Prints one JSON document. Of each phase the median over windows of turns counts, because the
// machine is shared. `applier` is the receiver's cluster_run() and engine_run(), the confirmations it
// makes included. Exit status 1 when an update was not applied.
#include "base/bytes.h"
#include "base/check.h"
#include "duo.h"
#include "scene.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FLOWS_DEFAULT (1u << 20)
#define WINDOW_TURNS  32
#define STEP	      0x9e3779b1u // odd: visits every flow of a power of two once
#define PARTS	      3

enum phase { PHASE_CREATE, PHASE_CHANGE, PHASE_CLOSE, PHASE_COUNT };

static const char *const phase_names[PHASE_COUNT] = {"created", "changed", "closed"};

struct form {
	const char *name;
	bool ip6;
	bool full;	 // of no service: nothing can be left out
	bool timestamps; // and window scaling are translated, as for most real clients
};

static const struct form forms[] = {{.name = "ip4"}, {.name = "ip6", .ip6 = true},
	{.name = "ip4_full", .full = true}, {.name = "ip6_full", .ip6 = true, .full = true},
	{.name = "ip4_translated", .timestamps = true}};

struct run {
	const struct form *form;
	struct duo *duo;
	uint32_t flows; // a power of two
	double tsc_hz;
	uint64_t *windows[PARTS]; // sender, receiver, engine; each x 256 per update
	unsigned window_count;
};

// --- updates ---

static struct flow_key key_of(const struct run *run, uint32_t flow)
{
	struct flow_key key = {.outer_port = (uint16_t)(1024 + (flow >> 17)),
		.inner_port = 80,
		.protocol = PROTOCOL_TCP};
	uint8_t client[16] = {0x20, 0x01, 0x0d, 0xb8}, server[16] = {0x20, 0x01, 0x0d, 0xb8, 0, 2};
	uint8_t server4[4] = {198, 51, 100, 10};

	if (!run->form->ip6) {
		be32_put(client, 0xc6120000u | (flow & 0x1ffff));
		key.outer = addr_from_ip4(client);
		key.inner = addr_from_ip4(server4);
		return key;
	}
	be32_put(client + 8, flow & 0x1ffff);
	server[15] = 10;
	key.outer = addr_from_ip6(client);
	key.inner = addr_from_ip6(server);
	return key;
}

static uint32_t incarnation_of(const struct run *run, uint32_t flow)
{
	return duo_tick(run->duo) << 12 | (flow * STEP >> 20);
}

static void write_created(const struct run *run, uint32_t flow, struct message *message)
{
	struct flow_record *record = &message->body.record;

	message->type = MESSAGE_OPENED;
	*record = (struct flow_record){.key = key_of(run, flow),
		.mode = run->form->full ? MODE_TRACK : MODE_PROXY,
		.state = TCP_ESTABLISHED,
		.bits = FLOW_CONFIRMED,
		.wscale = {7, 7},
		.service = run->form->full ? SERVICE_NONE : run->duo->node->services[0].id,
		.owner = DUO_SENDER,
		.generation = 1,
		.incarnation = incarnation_of(run, flow),
		.cookie = flow * STEP,
		.isn_client = ~flow,
		.translation = {.d = flow * STEP}};
	if (run->form->timestamps) {
		record->translation.ts_offset = flow * STEP;
		record->translation.bits = TRANSLATE_TIMESTAMPS | TRANSLATE_WINDOW;
		record->translation.to_client = (struct rescale){.left = 7, .right = 8};
	}
}

static void write_message(
	const struct run *run, enum phase phase, uint32_t number, struct message *message)
{
	uint32_t flow = phase == PHASE_CREATE ? number : number * STEP & (run->flows - 1);

	message->node = DUO_RECEIVER;
	message->worker = 0;
	message->frame_len = 0;
	if (phase == PHASE_CREATE) {
		write_created(run, flow, message);
		return;
	}
	message->type = MESSAGE_CHANGED;
	message->body.flow = (struct message_flow){.key = key_of(run, flow),
		.incarnation = incarnation_of(run, flow),
		.generation = 1,
		.bits = phase == PHASE_CHANGE ? CHANGE_FIN_CLIENT
					      : CHANGE_FIN_CLIENT | CHANGE_CLOSED};
}

// --- measuring ---

static void keep_window(struct run *run, const struct duo_cost *cost, unsigned updates)
{
	const uint64_t parts[PARTS] = {cost->sender, cost->receiver, cost->engine};

	for (unsigned i = 0; i < PARTS; i++)
		run->windows[i][run->window_count] = parts[i] * 256 / updates;
	run->window_count++;
}

static void settle(struct run *run)
{
	struct duo_cost ignored = {0};

	do
		duo_turn(run->duo, 0, &ignored);
	while (!duo_is_quiet(run->duo));
}

static void run_phase(struct run *run, enum phase phase)
{
	struct duo_cost cost = {0};
	unsigned turns = 0;

	run->window_count = 0;
	for (uint32_t at = 0; at < run->flows; at += CLUSTER_BATCH_MAX) {
		for (uint32_t i = 0; i < CLUSTER_BATCH_MAX; i++)
			write_message(run, phase, at + i, run->duo->posts[i]);
		duo_turn(run->duo, CLUSTER_BATCH_MAX, &cost);
		if (++turns % WINDOW_TURNS == 0) {
			keep_window(run, &cost, WINDOW_TURNS * CLUSTER_BATCH_MAX);
			cost = (struct duo_cost){0};
		}
	}
	settle(run);
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

// Median cost in ns of one update.
static double median_ns(const struct run *run, unsigned part)
{
	uint64_t *windows = run->windows[part];

	qsort(windows, run->window_count, sizeof(*windows), compare);
	return (double)windows[run->window_count / 2] / 256 * 1e9 / run->tsc_hz;
}

struct totals {
	uint64_t bytes, datagrams, back_bytes, back_datagrams, sent, applied;
};

static struct totals totals_of(const struct duo *duo)
{
	const struct cluster_peer_stats *sender = duo_stats(duo, DUO_SENDER);
	const struct cluster_peer_stats *receiver = duo_stats(duo, DUO_RECEIVER);

	return (struct totals){.bytes = counter_get(&sender->tx_bytes),
		.datagrams = duo->nodes[DUO_SENDER].datagrams,
		.back_bytes = counter_get(&receiver->tx_bytes),
		.back_datagrams = duo->nodes[DUO_RECEIVER].datagrams,
		.sent = counter_get(&sender->updates_sent),
		.applied = counter_get(&receiver->updates_applied)};
}

static double wire_bytes(uint64_t bytes, uint64_t datagrams, uint64_t updates)
{
	return (double)(bytes + datagrams * DUO_WIRE_BYTES) / (double)updates;
}

static bool print_phase(struct run *run, enum phase phase, const struct totals *before)
{
	const struct totals after = totals_of(run->duo);
	uint64_t sent = after.sent - before->sent, applied = after.applied - before->applied;
	double sender = median_ns(run, 0), receiver = median_ns(run, 1), engine = median_ns(run, 2);

	printf("%s\n  {\"form\": \"%s\", \"phase\": \"%s\", \"updates\": %llu, \"applied\": %llu, "
	       "\"bytes_per_update\": %.2f, \"updates_per_datagram\": %.1f, "
	       "\"bytes_back_per_update\": %.2f, "
	       "\"sender_ns\": %.1f, \"receiver_ns\": %.1f, \"engine_ns\": %.1f, "
	       "\"applied_per_s\": %.0f}",
		run->form == forms && phase == 0 ? "" : ",", run->form->name, phase_names[phase],
		(unsigned long long)sent, (unsigned long long)applied,
		wire_bytes(after.bytes - before->bytes, after.datagrams - before->datagrams, sent),
		(double)sent / (double)(after.datagrams - before->datagrams),
		wire_bytes(after.back_bytes - before->back_bytes,
			after.back_datagrams - before->back_datagrams, sent),
		sender, receiver, engine, 1e9 / (receiver + engine));
	return sent == run->flows && applied == run->flows;
}

static uint64_t state_count(const struct run *run, unsigned state)
{
	return counter_get(&engine_stats(run->duo->node->engine)->states[state]);
}

// What the engine must show after a phase, as far as time has not taken it away again.
static bool is_applied(const struct run *run, enum phase phase)
{
	static const uint8_t states[PHASE_COUNT] = {TCP_ESTABLISHED, TCP_CLOSING, TCP_CLOSED};

	return state_count(run, states[phase]) == run->flows;
}

static bool run_form(struct run *run)
{
	bool good = true;

	run->duo = duo_create(run->flows);
	for (unsigned phase = 0; phase < PHASE_COUNT; phase++) {
		struct totals before = totals_of(run->duo);

		run_phase(run, (enum phase)phase);
		good &= print_phase(run, (enum phase)phase, &before);
		good &= is_applied(run, (enum phase)phase);
	}
	duo_destroy(run->duo);
	return good;
}

static double measure_tsc_hz(void)
{
	struct timespec begin, end;
	uint64_t start = tsc_read();

	clock_gettime(CLOCK_MONOTONIC, &begin);
	do
		clock_gettime(CLOCK_MONOTONIC, &end);
	while ((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec < 50000000);
	return (double)(tsc_read() - start) * 1e9 /
	       (double)((end.tv_sec - begin.tv_sec) * 1000000000 + end.tv_nsec - begin.tv_nsec);
}

static void usage(void)
{
	fprintf(stderr, "usage: updates [--flows N] [--only FORM]\n");
	exit(2);
}

int main(int argc, char **argv)
{
	static const struct option table[] = {{"flows", required_argument, NULL, 'f'},
		{"only", required_argument, NULL, 'o'}, {NULL, 0, NULL, 0}};
	struct run run = {.flows = FLOWS_DEFAULT, .tsc_hz = measure_tsc_hz()};
	const char *only = NULL;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", table, NULL)) != -1) {
		if (option == 'f')
			run.flows = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'o')
			only = optarg;
		else
			usage();
	}
	if (optind != argc || run.flows < WINDOW_TURNS * CLUSTER_BATCH_MAX ||
		(run.flows & (run.flows - 1)) != 0)
		usage();
	for (unsigned i = 0; i < PARTS; i++)
		run.windows[i] = calloc(run.flows / CLUSTER_BATCH_MAX, sizeof(uint64_t));
	printf("{\"flows\": %u, \"tsc_hz\": %.0f, \"wire_bytes\": %d, \"rows\": [", run.flows,
		run.tsc_hz, DUO_WIRE_BYTES);
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		run.form = &forms[i];
		if (only == NULL || strcmp(only, forms[i].name) == 0)
			good &= run_form(&run);
	}
	printf("]}\n");
	for (unsigned i = 0; i < PARTS; i++)
		free(run.windows[i]);
	return good ? 0 : 1;
}
