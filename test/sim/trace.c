#include "trace.h"

#include "base/check.h"
#include "sim.h"

#include <stdarg.h>

void sim_trace(struct sim *sim, const char *format, ...)
{
	va_list list;

	if (!sim->verbose)
		return;
	printf("%8llu %10.6f  ", (unsigned long long)sim->scheduler.steps,
		(double)(sim->scheduler.now_ns - SIM_START_NS) / 1e9);
	va_start(list, format);
	vprintf(format, list);
	va_end(list);
	putchar('\n');
}

static const char *flags_text(const struct segment *segment, char out[8])
{
	static const char names[] = "FSRPA";
	unsigned len = 0;

	for (unsigned i = 0; i < 5; i++)
		if (segment->flags >> i & 1)
			out[len++] = names[i];
	out[len] = '\0';
	return out;
}

void trace_segment(struct sim *sim, const struct connection *connection, unsigned end,
	const char *what, const struct segment *segment)
{
	char flags[8];

	sim_count(sim, (uint64_t)segment->seq << 32 | segment->ack);
	if (sim->verbose)
		sim_trace(sim, "c%u %s %s %s seq %08x ack %08x len %u win %u sack %u/%u",
			connection->number, end == CLIENT ? "client" : "server", what,
			flags_text(segment, flags), segment->seq, segment->ack,
			segment->payload_len, segment->window, segment->sack_ok,
			segment->sack_count);
}

static const char *message_text(const struct message *message)
{
	static const char *const names[] = {[MESSAGE_INSTALL] = "INSTALL",
		[MESSAGE_VIEW] = "VIEW",
		[MESSAGE_UNSENT] = "UNSENT",
		[MESSAGE_RESYNC] = "RESYNC",
		[MESSAGE_CONFIRMED] = "CONFIRMED",
		[MESSAGE_CHANGED] = "CHANGED",
		[MESSAGE_FRAME] = "FRAME",
		[MESSAGE_NONE] = "NONE",
		[MESSAGE_EMIT] = "EMIT",
		[MESSAGE_OPENED] = "OPENED"};

	return message->type < ARRAY_LEN(names) && names[message->type] ? names[message->type]
									: "?";
}

void trace_message(struct sim *sim, unsigned index, const char *what, const struct message *message)
{
	sim_count(sim, (uint64_t)message->type << 16 | message->node);
	if (!sim->verbose)
		return;
	if (message->type == MESSAGE_OPENED || message->type == MESSAGE_INSTALL)
		sim_trace(sim,
			"n%u %s %s %u: ports %u %u state %u of %u at %08x gen %u d %08x e %08x "
			"frame %u",
			index, what, message_text(message), message->node,
			message->body.record.key.outer_port, message->body.record.key.inner_port,
			message->body.record.state, message->body.record.owner,
			message->body.record.incarnation, message->body.record.generation,
			message->body.record.translation.d, message->body.record.translation.e,
			message->frame_len);
	else if (message->type == MESSAGE_VIEW)
		sim_trace(sim, "n%u %s VIEW %#llx %d", index, what,
			(unsigned long long)message->body.view.active, message->body.view.decodes);
	else
		sim_trace(sim, "n%u %s %s %u: ports %u %u bits %u frame %u", index, what,
			message_text(message), message->node, message->body.flow.key.outer_port,
			message->body.flow.key.inner_port, message->body.flow.bits,
			message->frame_len);
}
