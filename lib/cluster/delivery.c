// Sending. Messages are appended to the newest record until it is full or a turn ends; then it is
// sent and kept, as plaintext, until it is acknowledged. Each record has a time of its own: it is
// sent again when its retransmission time is over (doubling), or when DELIVERY_PASSED records that
// were sent later have arrived. A record is never changed once it was sent.
//
// Receiving. A record is kept until its turn in number order comes and all its messages have been
// handled, which may take several calls; so the acknowledgement says what arrived, and the window
// is held open by what was handled: a receiver that cannot go on costs its peer a window, no more.
//
// Numbers are 64 bits here and 32 on the wire, where 0 means "no number": a number whose low 32
// bits are 0 is never sent, and both sides count it as arrived.
#include "cluster/delivery.h"

#include <string.h>

#define RTO_START_NS	   100000000ULL
#define RTO_DOUBLINGS_MAX  4
#define SEEN_BITS	   32
#define ACK_COUNT_MAX	   32 // records that arrived: acknowledge at once
#define RTT_SAMPLE_MAX_NS  10000000000ULL
#define NUMBER_IS_VOID(n)  ((uint32_t)(n) == 0)
#define EXPAND(wire, near) ((near) + (uint64_t)(int64_t)(int32_t)((wire) - (uint32_t)(near)))

void record_head_put(struct cursor *out, const struct record_head *head)
{
	cursor_put8(out, RECORD_FORMAT);
	cursor_put8(out, head->rows);
	cursor_put32(out, head->number);
	cursor_put32(out, head->ack);
	cursor_put32(out, head->seen);
	cursor_put32(out, head->tick);
}

bool record_head_get(struct cursor *in, struct record_head *head)
{
	uint8_t format = cursor_get8(in);

	head->rows = cursor_get8(in);
	head->number = cursor_get32(in);
	head->ack = cursor_get32(in);
	head->seen = cursor_get32(in);
	head->tick = cursor_get32(in);
	return !in->failed && format == RECORD_FORMAT;
}

static struct sent_record *sent_at(struct delivery *delivery, uint64_t number)
{
	return &delivery->sent[number % DELIVERY_RECORDS];
}

static struct arrived_record *arrived_at(struct delivery *delivery, uint64_t number)
{
	return &delivery->arrived[number % DELIVERY_RECORDS];
}

void delivery_start(struct delivery *delivery, uint16_t room, uint64_t number)
{
	for (unsigned i = 0; i < DELIVERY_RECORDS; i++)
		delivery->arrived[i].present = false;
	delivery->first = delivery->unsent = delivery->next = delivery->scan = number;
	delivery->order = 0;
	delivery->scan_earliest_ns = delivery->timer_ns = UINT64_MAX;
	delivery->passed = delivery->open = false;
	delivery->room = room < RECORD_MESSAGES_MAX ? room : RECORD_MESSAGES_MAX;
	delivery->rtt_ns = delivery->rtt_var_ns = 0;
	delivery->turn = number;
	delivery->ack = number - 1;
	delivery->ack_due_ns = 0;
	delivery->ack_count = delivery->early_count = 0;
}

// Makes a record; NULL where the window is full.
static struct sent_record *make(struct delivery *delivery)
{
	struct sent_record *record;

	if (NUMBER_IS_VOID(delivery->next) && delivery_queued(delivery) < DELIVERY_RECORDS) {
		record = sent_at(delivery, delivery->next++);
		record->acked = true;
		record->len = 0;
	}
	if (delivery_queued(delivery) >= DELIVERY_RECORDS)
		return NULL;
	record = sent_at(delivery, delivery->next++);
	record->sends = record->passed = 0;
	record->acked = false;
	return record;
}

struct cursor *delivery_room(struct delivery *delivery, uint8_t rows, uint32_t tick)
{
	struct sent_record *record;

	if (delivery->open) {
		record = sent_at(delivery, delivery->next - 1);
		if (record->rows == rows && record->tick == tick)
			return &delivery->out;
		delivery_close(delivery);
	}
	record = make(delivery);
	if (record == NULL)
		return NULL;
	record->rows = rows;
	record->tick = tick;
	delivery->open = true;
	delivery->out = cursor_write(record->data, delivery->room);
	return &delivery->out;
}

void delivery_close(struct delivery *delivery)
{
	struct sent_record *record = sent_at(delivery, delivery->next - 1);

	if (!delivery->open)
		return;
	delivery->open = false;
	record->len = (uint16_t)(delivery->out.at - record->data);
	if (record->len == 0)
		delivery->next--;
}

unsigned delivery_queued(const struct delivery *delivery)
{
	return (unsigned)(delivery->next - delivery->first);
}

static uint64_t rto_ns(const struct delivery *delivery)
{
	uint64_t spread = 4 * delivery->rtt_var_ns;
	uint64_t rto;

	if (delivery->rtt_ns == 0)
		return RTO_START_NS;
	// The other side may keep an acknowledgement back.
	rto = delivery->rtt_ns + (spread > DELIVERY_ACK_WAIT_NS ? spread : DELIVERY_ACK_WAIT_NS);
	if (rto < DELIVERY_RTO_MIN_NS)
		return DELIVERY_RTO_MIN_NS;
	return rto > DELIVERY_RTO_MAX_NS ? DELIVERY_RTO_MAX_NS : rto;
}

static uint64_t deadline_ns(const struct delivery *delivery, const struct sent_record *record)
{
	unsigned doublings = record->sends > 0 ? record->sends - 1u : 0;
	uint64_t wait = rto_ns(delivery)
			<< (doublings < RTO_DOUBLINGS_MAX ? doublings : RTO_DOUBLINGS_MAX);

	return record->sent_ns + (wait < DELIVERY_RTO_MAX_NS ? wait : DELIVERY_RTO_MAX_NS);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

// The next record that has to be sent again, 0: none. One search goes over the window once, however
// many calls it takes.
static uint64_t find_lost(struct delivery *delivery, uint64_t now_ns)
{
	if (now_ns < delivery->timer_ns && !delivery->passed)
		return 0;
	if (delivery->scan <= delivery->first) {
		delivery->scan = delivery->first;
		delivery->scan_earliest_ns = UINT64_MAX;
	}
	for (; delivery->scan < delivery->unsent; delivery->scan++) {
		struct sent_record *record = sent_at(delivery, delivery->scan);
		uint64_t deadline = deadline_ns(delivery, record);

		if (record->acked)
			continue;
		if (record->passed >= DELIVERY_PASSED || deadline <= now_ns)
			return delivery->scan++;
		delivery->scan_earliest_ns = earlier(delivery->scan_earliest_ns, deadline);
	}
	delivery->timer_ns = delivery->scan_earliest_ns;
	delivery->scan = delivery->first;
	delivery->passed = false;
	return 0;
}

static uint64_t find_unsent(struct delivery *delivery)
{
	uint64_t end = delivery->next - (delivery->open ? 1 : 0);

	while (delivery->unsent < end && NUMBER_IS_VOID(delivery->unsent))
		delivery->unsent++;
	return delivery->unsent < end ? delivery->unsent++ : 0;
}

static uint32_t seen_map(struct delivery *delivery)
{
	uint32_t seen = 0;

	for (unsigned i = 0; i < SEEN_BITS; i++) {
		uint64_t number = delivery->ack + 2 + i;

		if (number < delivery->turn + DELIVERY_RECORDS &&
			arrived_at(delivery, number)->present)
			seen |= 1u << i;
	}
	return seen;
}

void delivery_head(struct delivery *delivery, struct record_head *head)
{
	head->number = 0;
	head->ack = (uint32_t)delivery->ack;
	head->seen = seen_map(delivery);
	delivery->ack_due_ns = 0;
	delivery->ack_count = 0;
}

size_t delivery_next(struct delivery *delivery, uint64_t now_ns, uint8_t *out, bool *again)
{
	uint64_t number = find_lost(delivery, now_ns);
	struct record_head head;
	struct sent_record *record;
	struct cursor cursor = cursor_write(out, RECORD_BYTES_MAX);

	*again = number != 0;
	if (number == 0)
		number = find_unsent(delivery);
	if (number == 0)
		return 0;
	record = sent_at(delivery, number);
	record->sent_ns = now_ns;
	record->order = ++delivery->order;
	record->passed = 0;
	if (record->sends < UINT8_MAX)
		record->sends++;
	delivery->timer_ns = earlier(delivery->timer_ns, deadline_ns(delivery, record));
	delivery->scan_earliest_ns =
		earlier(delivery->scan_earliest_ns, deadline_ns(delivery, record));
	delivery_head(delivery, &head);
	head.number = (uint32_t)number;
	head.rows = record->rows;
	head.tick = record->tick;
	record_head_put(&cursor, &head);
	cursor_put(&cursor, record->data, record->len);
	return (size_t)(cursor.at - out);
}

void delivery_rtt(struct delivery *delivery, uint64_t rtt_ns)
{
	uint64_t error;

	if (rtt_ns > RTT_SAMPLE_MAX_NS)
		return;
	rtt_ns += rtt_ns == 0; // 0 means: not measured
	if (delivery->rtt_ns == 0) {
		delivery->rtt_ns = rtt_ns;
		delivery->rtt_var_ns = rtt_ns / 2;
		delivery->timer_ns = 0; // what was sent before may be due now
		return;
	}
	error = rtt_ns > delivery->rtt_ns ? rtt_ns - delivery->rtt_ns : delivery->rtt_ns - rtt_ns;
	delivery->rtt_var_ns = (3 * delivery->rtt_var_ns + error) / 4;
	delivery->rtt_ns = (7 * delivery->rtt_ns + rtt_ns) / 8;
}

// One acknowledgement's findings: of records that were sent once, the time is known, and they were
// sent in order.
struct finding {
	uint64_t sent_ns; // of the latest
	uint64_t order;
};

static bool acknowledge(struct delivery *delivery, uint64_t number, struct finding *finding)
{
	struct sent_record *record = sent_at(delivery, number);

	if (record->acked)
		return false;
	record->acked = true;
	if (record->sends == 1 && record->order > finding->order) {
		finding->sent_ns = record->sent_ns;
		finding->order = record->order;
	}
	return true;
}

// Records behind `ack` that are missing, though later ones have arrived just now (`fresh`).
static void notice_passed(struct delivery *delivery, uint64_t ack, uint32_t fresh, uint64_t order)
{
	unsigned later = 0;

	for (int i = SEEN_BITS - 1; i >= -1; i--) {
		uint64_t number = ack + 2 + (uint64_t)(int64_t)i;
		struct sent_record *record = sent_at(delivery, number);
		unsigned passed;

		if (i >= 0 && fresh >> i & 1) {
			later++;
			continue;
		}
		if (number >= delivery->unsent || later == 0 || record->acked)
			continue;
		// One that was sent again was passed only by those sent after that.
		passed = record->passed + (record->sends == 1 ? later : order > record->order);
		record->passed = (uint8_t)(passed < UINT8_MAX ? passed : UINT8_MAX);
		if (record->passed >= DELIVERY_PASSED) {
			delivery->passed = true;
			delivery->scan = delivery->first;
		}
	}
}

bool delivery_acked(struct delivery *delivery, uint64_t now_ns, const struct record_head *head)
{
	uint64_t ack = EXPAND(head->ack, delivery->first - 1);
	struct finding finding = {0};
	uint32_t fresh = 0;

	if (ack + 1 < delivery->first)
		return true; // overtaken by a later one
	if (ack == delivery->unsent && NUMBER_IS_VOID(ack))
		ack--; // counts as arrived before it is made
	if (ack >= delivery->unsent)
		return false;
	for (uint64_t number = delivery->first; number <= ack; number++)
		acknowledge(delivery, number, &finding);
	for (unsigned i = 0; i < SEEN_BITS; i++)
		if (head->seen >> i & 1 && ack + 2 + i < delivery->unsent &&
			acknowledge(delivery, ack + 2 + i, &finding))
			fresh |= 1u << i;
	if (finding.order != 0)
		delivery_rtt(delivery, now_ns - finding.sent_ns);
	if (fresh != 0)
		notice_passed(delivery, ack, fresh, finding.order);
	while (delivery->first < delivery->unsent && sent_at(delivery, delivery->first)->acked)
		delivery->first++;
	return true;
}

static void want_ack(struct delivery *delivery, uint64_t now_ns, bool at_once)
{
	uint64_t due = at_once || ++delivery->ack_count >= ACK_COUNT_MAX
			       ? now_ns
			       : now_ns + DELIVERY_ACK_WAIT_NS;

	if (delivery->ack_due_ns == 0 || due < delivery->ack_due_ns)
		delivery->ack_due_ns = due + (due == 0);
}

static void advance_ack(struct delivery *delivery)
{
	uint64_t end = delivery->turn + DELIVERY_RECORDS;

	while (delivery->ack + 1 < end && (NUMBER_IS_VOID(delivery->ack + 1) ||
						  arrived_at(delivery, delivery->ack + 1)->present))
		delivery->ack++;
}

struct arrived_record *delivery_arrive(struct delivery *delivery, uint64_t now_ns,
	const struct record_head *head, const uint8_t *data, size_t len)
{
	uint64_t number = EXPAND(head->number, delivery->turn);
	struct arrived_record *record = arrived_at(delivery, number);

	if (len > RECORD_MESSAGES_MAX || number >= delivery->turn + DELIVERY_RECORDS)
		return NULL;
	if (number < delivery->turn || record->present) {
		want_ack(delivery, now_ns, true); // the one before got lost
		return NULL;
	}
	record->tick = head->tick;
	record->rows = head->rows;
	record->len = (uint16_t)len;
	record->at = record->early_at = 0;
	record->present = true;
	record->early = number != delivery->turn;
	delivery->early_count += record->early;
	memcpy(record->data, data, len);
	advance_ack(delivery);
	want_ack(delivery, now_ns, number > delivery->ack);
	return record;
}

struct arrived_record *delivery_turn(struct delivery *delivery)
{
	struct arrived_record *record;

	if (NUMBER_IS_VOID(delivery->turn) && delivery->ack >= delivery->turn)
		delivery->turn++;
	record = arrived_at(delivery, delivery->turn);
	return record->present && delivery->ack >= delivery->turn ? record : NULL;
}

void delivery_turn_done(struct delivery *delivery)
{
	struct arrived_record *record = arrived_at(delivery, delivery->turn);

	delivery_early_done(delivery, record);
	record->present = false;
	delivery->turn++;
}

struct arrived_record *delivery_early(struct delivery *delivery)
{
	if (delivery->early_count == 0)
		return NULL;
	for (uint64_t i = 0; i < DELIVERY_RECORDS; i++) {
		struct arrived_record *record = arrived_at(delivery, delivery->turn + i);

		if (record->present && record->early)
			return record;
	}
	return NULL;
}

void delivery_early_done(struct delivery *delivery, struct arrived_record *record)
{
	delivery->early_count -= record->early;
	record->early = false;
}

uint64_t delivery_due_ns(const struct delivery *delivery, bool resend)
{
	uint64_t due = delivery->ack_due_ns != 0 ? delivery->ack_due_ns : UINT64_MAX;

	if (!resend)
		return due;
	if (delivery->unsent + delivery->open < delivery->next || delivery->passed)
		return 0;
	return delivery->first < delivery->unsent ? earlier(due, delivery->timer_ns) : due;
}

bool delivery_ack_is_due(const struct delivery *delivery, uint64_t now_ns)
{
	return delivery->ack_due_ns != 0 && delivery->ack_due_ns <= now_ns;
}
