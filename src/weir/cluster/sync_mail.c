// Messages between the workers, the cluster and control. A worker has one mailbox for everything it
// says: what is for lib/cluster stays there while that reads it, the rest is copied on to control.
// What the cluster says goes to the workers' second mailboxes (worker_sync_mail), so that each
// mailbox has one producer.
#include "weir/cluster/sync_internal.h"

#include "base/check.h"
#include "weir/worker.h"

#include <stddef.h>
#include <string.h>

// Without the part of the frame that is not used.
static void copy(struct message *to, const struct message *from)
{
	size_t frame = from->frame_len < MESSAGE_FRAME_MAX ? from->frame_len : MESSAGE_FRAME_MAX;

	memcpy(to, from, offsetof(struct message, frame) + frame);
}

static bool post(struct mailbox *mailbox, const struct message *message, unsigned worker)
{
	struct message *cell;

	if (mailbox_room(mailbox, &cell, 1) == 0)
		return false;
	copy(cell, message);
	cell->worker = (uint16_t)worker;
	mailbox_post(mailbox, 1);
	return true;
}

void sync_take_policy(struct sync *sync)
{
	struct message *letter, *answer;

	while (mailbox_read(&sync->mail, &letter, 1) && mailbox_room(&sync->answers, &answer, 1)) {
		const struct policy *former = sync->policy;

		CHECK(letter->type == MESSAGE_POLICY);
		sync->policy = letter->body.policy;
		cluster_set_policy(sync->cluster, sync->policy);
		mailbox_release(&sync->mail, 1);
		memset(answer, 0, offsetof(struct message, frame));
		answer->type = MESSAGE_POLICY;
		answer->node = NODE_NONE;
		answer->worker = (uint16_t)sync->node->worker_count;
		answer->body.policy = former;
		mailbox_post(&sync->answers, 1);
	}
}

static bool is_for_cluster(const struct message *message)
{
	switch ((enum message_type)message->type) {
	case MESSAGE_OPENED:
	case MESSAGE_CONFIRMED:
	case MESSAGE_CHANGED:
	case MESSAGE_FRAME:
	case MESSAGE_NONE:
	case MESSAGE_EMIT:
	case MESSAGE_LEARNT:
		return true;
	default:
		return false;
	}
}

unsigned sync_gather(struct sync *sync)
{
	unsigned workers = sync->node->worker_count;
	unsigned share = CLUSTER_BATCH_MAX / workers;
	unsigned count = 0;

	sync->first_worker = (sync->first_worker + 1) % workers;
	sync->in_more = false;
	for (unsigned i = 0; i < workers; i++) {
		unsigned w = (sync->first_worker + i) % workers, taken = 0;
		struct mailbox *answers = worker_answers(sync->node->workers[w]);
		struct message *cells[CLUSTER_BATCH_MAX];
		unsigned got = mailbox_read(answers, cells, share);

		sync->in_more |= got == share;
		for (; taken < got; taken++) {
			if (is_for_cluster(cells[taken]))
				sync->in[count++] = cells[taken];
			else if (!post(&sync->answers, cells[taken], w))
				break; // control is busy: later
		}
		sync->taken[w] = taken;
	}
	return count;
}

void sync_release(struct sync *sync)
{
	for (unsigned w = 0; w < sync->node->worker_count; w++)
		mailbox_release(worker_answers(sync->node->workers[w]), sync->taken[w]);
}

// To each worker of `message` that is not blocked; those that have no room are from now on. True
// where all got it. A message to all goes to all at once or to none.
static bool deliver_to_workers(struct sync *sync, const struct message *message, uint64_t *blocked)
{
	unsigned workers = sync->node->worker_count;
	bool all = message->worker == WORKER_ALL;
	unsigned first = all ? 0 : message->worker, end = all ? workers : first + 1u;
	struct message *cell;

	CHECK(end <= workers);
	for (unsigned w = first; w < end; w++) {
		if (mailbox_room(worker_sync_mail(sync->node->workers[w]), &cell, 1) == 0)
			*blocked |= UINT64_C(1) << w;
	}
	for (unsigned w = first; w < end; w++) {
		if (*blocked >> w & 1) {
			// Nothing may overtake what waits for all.
			*blocked |= all ? UINT64_MAX : 0;
			return false;
		}
	}
	for (unsigned w = first; w < end; w++)
		post(worker_sync_mail(sync->node->workers[w]), message, w);
	return true;
}

void sync_deliver(struct sync *sync)
{
	uint64_t blocked = 0;
	bool control_blocked = false;
	unsigned kept = 0;

	for (unsigned i = 0; i < sync->pending_count; i++) {
		struct message *message = sync->pending[i];
		bool done;

		if (message->type == MESSAGE_SECRET || message->type == MESSAGE_PROFILES) {
			done = !control_blocked && post(&sync->answers, message, WORKER_ALL);
			control_blocked |= !done;
			if (done && message->type == MESSAGE_SECRET)
				explicit_bzero(&message->body.secret, sizeof(message->body.secret));
		} else {
			done = deliver_to_workers(sync, message, &blocked);
		}
		if (done)
			sync->free[sync->free_count++] = message;
		else
			sync->pending[kept++] = message;
	}
	sync->pending_count = kept;
}
