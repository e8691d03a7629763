#include "cfg/nearest.h"

#include <string.h>

#define WORD_MAX 40

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

// Optimal string alignment: three rows of the usual matrix.
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
	unsigned rows[3][WORD_MAX + 1];

	for (size_t j = 0; j <= b_len; j++)
		rows[0][j] = (unsigned)j;
	for (size_t i = 1; i <= a_len; i++) {
		unsigned *row = rows[i % 3];
		const unsigned *above = rows[(i + 2) % 3];
		const unsigned *second = rows[(i + 1) % 3];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_len; j++) {
			row[j] = above[j - 1] + (a[i - 1] != b[j - 1]);
			row[j] = least(row[j], least(above[j], row[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[j] = least(row[j], second[j - 2] + 1);
		}
	}
	return rows[a_len % 3][b_len];
}

struct nearest nearest_start(const char *word)
{
	size_t len = strlen(word);

	// One slip in a short word, two in longer ones: `on' is no slip for `off'.
	return (struct nearest){.word = word, .distance = len < 4 ? 2 : 3};
}

bool nearest_offer(struct nearest *nearest, const char *candidate)
{
	size_t word_len = strlen(nearest->word);
	size_t candidate_len = strlen(candidate);
	unsigned found;

	if (word_len > WORD_MAX || candidate_len > WORD_MAX)
		return false;
	found = distance(nearest->word, word_len, candidate, candidate_len);
	if (found >= nearest->distance)
		return false;
	nearest->distance = found;
	nearest->best = candidate;
	return true;
}
