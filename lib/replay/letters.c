#include "replay/letters.h"

#include "base/check.h"

static struct message *cell(const struct letters *letters, unsigned i)
{
	return &letters->cells[(letters->first + i) % LETTERS_MAX];
}

unsigned letters_lend(const struct letters *letters, struct message **lent, unsigned room)
{
	unsigned spare = LETTERS_MAX - letters->count, count = room < spare ? room : spare;

	for (unsigned i = 0; i < count; i++)
		lent[i] = cell(letters, letters->count + i);
	return count;
}

void letters_post(struct letters *letters, unsigned used)
{
	CHECK(letters->count + used <= LETTERS_MAX);
	letters->count += used;
}

unsigned letters_read(const struct letters *letters, struct message **read, unsigned room)
{
	unsigned count = room < letters->count ? room : letters->count;

	for (unsigned i = 0; i < count; i++)
		read[i] = cell(letters, i);
	return count;
}

void letters_release(struct letters *letters, unsigned read)
{
	CHECK(read <= letters->count);
	letters->first = (letters->first + read) % LETTERS_MAX;
	letters->count -= read;
}
