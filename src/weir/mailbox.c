// tail and head count cells for ever and wrap; cell i lies at i & mask. The producer owns the cells
// [tail, head + size), the consumer those of [head, tail).
#include "weir/mailbox.h"

#include "base/check.h"
#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

int bell_init(struct bell *bell)
{
	bell->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	atomic_init(&bell->rings, false);
	return bell->fd < 0 ? -ERR_MEMORY : 0;
}

void bell_finish(struct bell *bell)
{
	if (bell->fd >= 0)
		close(bell->fd);
	bell->fd = -1;
}

void bell_ring(struct bell *bell)
{
	uint64_t one = 1;

	// acq_rel: what was posted before is seen by whoever clears the bell after (bell_clear).
	if (atomic_exchange_explicit(&bell->rings, true, memory_order_acq_rel))
		return;
	while (write(bell->fd, &one, sizeof(one)) < 0 && errno == EINTR) {
	}
}

void bell_clear(struct bell *bell)
{
	uint64_t count;

	while (read(bell->fd, &count, sizeof(count)) < 0 && errno == EINTR) {
	}
	// Cleared after the read and before the mailboxes are looked at: a post in between rings
	// again. acq_rel pairs with bell_ring.
	atomic_exchange_explicit(&bell->rings, false, memory_order_acq_rel);
}

int mailbox_init(struct mailbox *mailbox, uint32_t cells, struct bell *bell)
{
	CHECK(cells > 0 && (cells & (cells - 1)) == 0);
	mailbox->cells = calloc(cells, sizeof(*mailbox->cells));
	mailbox->mask = cells - 1;
	mailbox->bell = bell;
	atomic_init(&mailbox->tail, 0);
	atomic_init(&mailbox->head, 0);
	return mailbox->cells ? 0 : -ERR_MEMORY;
}

void mailbox_finish(struct mailbox *mailbox)
{
	free(mailbox->cells);
	mailbox->cells = NULL;
}

static unsigned collect(
	struct mailbox *mailbox, uint32_t first, unsigned count, struct message **cells)
{
	for (unsigned i = 0; i < count; i++)
		cells[i] = &mailbox->cells[(first + i) & mailbox->mask];
	return count;
}

unsigned mailbox_room(struct mailbox *mailbox, struct message **cells, unsigned max)
{
	uint32_t tail = atomic_load_explicit(&mailbox->tail, memory_order_relaxed);
	// Acquire pairs with the release in mailbox_release: the consumer is done with these cells.
	uint32_t head = atomic_load_explicit(&mailbox->head, memory_order_acquire);
	uint32_t room = mailbox->mask + 1 - (tail - head);

	return collect(mailbox, tail, room < max ? room : max, cells);
}

void mailbox_post(struct mailbox *mailbox, unsigned count)
{
	if (count == 0)
		return;
	uint32_t tail = atomic_load_explicit(&mailbox->tail, memory_order_relaxed);
	// Release pairs with the acquire in mailbox_read: the cells' content is visible.
	atomic_store_explicit(&mailbox->tail, tail + count, memory_order_release);
	bell_ring(mailbox->bell);
}

unsigned mailbox_read(struct mailbox *mailbox, struct message **cells, unsigned max)
{
	uint32_t head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);
	// Acquire pairs with the release in mailbox_post.
	uint32_t posted = atomic_load_explicit(&mailbox->tail, memory_order_acquire) - head;

	return collect(mailbox, head, posted < max ? posted : max, cells);
}

void mailbox_release(struct mailbox *mailbox, unsigned count)
{
	uint32_t head = atomic_load_explicit(&mailbox->head, memory_order_relaxed);
	// Release pairs with the acquire in mailbox_room.
	atomic_store_explicit(&mailbox->head, head + count, memory_order_release);
}
