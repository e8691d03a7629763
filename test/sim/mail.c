#include "mail.h"

#include "base/check.h"

#include <stdlib.h>

void mail_create(struct mail *mail)
{
	mail->cells = calloc(MAIL_CELLS, sizeof(mail->cells[0]));
	CHECK(mail->cells != NULL);
	mail_clear(mail);
}

void mail_free(struct mail *mail)
{
	free(mail->cells);
	mail->cells = NULL;
}

void mail_clear(struct mail *mail)
{
	mail->first = mail->count = 0;
	mail->spare_count = MAIL_CELLS;
	for (unsigned i = 0; i < MAIL_CELLS; i++)
		mail->spare[i] = &mail->cells[MAIL_CELLS - 1 - i];
}

unsigned mail_lend(struct mail *mail, struct message **lent, unsigned room)
{
	unsigned count = room < mail->spare_count ? room : mail->spare_count;

	for (unsigned i = 0; i < count; i++)
		lent[i] = mail->spare[mail->spare_count - 1 - i];
	return count;
}

void mail_use(struct mail *mail, unsigned used)
{
	CHECK(used <= mail->spare_count);
	mail->spare_count -= used;
}

void mail_queue(struct mail *mail, struct message *message)
{
	CHECK(mail->count < MAIL_CELLS);
	mail->queue[(mail->first + mail->count++) % MAIL_CELLS] = message;
}

void mail_release(struct mail *mail, struct message *message)
{
	CHECK(mail->spare_count < MAIL_CELLS);
	mail->spare[mail->spare_count++] = message;
}

unsigned mail_take(struct mail *mail, struct message **taken, unsigned room)
{
	unsigned count = room < mail->count ? room : mail->count;

	for (unsigned i = 0; i < count; i++)
		taken[i] = mail->queue[(mail->first + i) % MAIL_CELLS];
	mail->first = (mail->first + count) % MAIL_CELLS;
	mail->count -= count;
	return count;
}
