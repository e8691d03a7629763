// A worker's letters: those of its two mailboxes, and the answers.
#include "weir/worker_internal.h"

// Cells stay the same until one is posted, once there are enough.
unsigned worker_answer_room(struct worker *worker)
{
	if (worker->answer_room < ENGINE_BATCH_MAX)
		worker->answer_room =
			mailbox_room(&worker->answers, worker->answer_cells, ENGINE_BATCH_MAX);
	return worker->answer_room;
}

void worker_post_answers(struct worker *worker, unsigned count)
{
	mailbox_post(&worker->answers, count);
	if (count)
		worker->answer_room = 0;
}

// The mailboxes take turns in being first, and the first takes half of the room unless the other
// leaves more.
struct letters worker_read_mail(struct worker *worker, struct message **mail, unsigned room)
{
	struct letters letters = {.box = {&worker->mail, &worker->sync_mail}};
	struct message *ignored[ENGINE_BATCH_MAX];

	if (!worker->sync_mail.cells) {
		letters.count[0] = mailbox_read(&worker->mail, mail, room);
		return letters;
	}
	if (worker->first_box) {
		letters.box[0] = &worker->sync_mail;
		letters.box[1] = &worker->mail;
	}
	worker->first_box ^= 1;
	unsigned other = mailbox_read(letters.box[1], ignored, room / 2);
	letters.count[0] = mailbox_read(letters.box[0], mail, room - other);
	letters.count[1] =
		mailbox_read(letters.box[1], mail + letters.count[0], room - letters.count[0]);
	return letters;
}

void worker_release_mail(struct worker *worker, const struct letters *letters)
{
	mailbox_release(letters->box[0], letters->count[0]);
	if (worker->sync_mail.cells)
		mailbox_release(letters->box[1], letters->count[1]);
}
