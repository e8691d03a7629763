#include "reader.h"

#include <stdarg.h>
#include <setjmp.h>
#include <cmocka.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *next_text(struct reader *reader)
{
	char *text = strsep(&reader->rest, " \n");

	assert_non_null(text);
	return text;
}

uint32_t next_number(struct reader *reader, int base)
{
	const char *text = next_text(reader);
	char *end;
	unsigned long value = strtoul(text, &end, base);

	assert_true(end != text && *end == '\0' && value <= UINT32_MAX);
	return (uint32_t)value;
}

size_t next_bytes(struct reader *reader, uint8_t *out, size_t room)
{
	const char *text = next_text(reader);
	size_t len = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;

	assert_true(len <= room);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(sscanf(text + 2 * i, "%2" SCNx8, &out[i]), 1);
	return len;
}

struct addr next_addr(struct reader *reader)
{
	uint8_t bytes[16];

	return next_bytes(reader, bytes, sizeof(bytes)) == 4 ? addr_from_ip4(bytes)
							     : addr_from_ip6(bytes);
}
