#include "weir/cluster/psk.h"

#include "base/error.h"

#include <openssl/crypto.h>

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_BYTES_MAX 1024

struct text {
	char bytes[FILE_BYTES_MAX + 1];
	size_t len;
};

const char *why_not_private(int file)
{
	struct stat status;

	if (fstat(file, &status) != 0)
		return strerror(errno);
	if (!S_ISREG(status.st_mode))
		return "is not a regular file";
	if (status.st_uid != 0 && status.st_uid != geteuid())
		return "must belong to root";
	if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		return "must not be open to others (chmod 600)";
	return NULL;
}

static int read_text(const char *path, struct text *text, char *error, size_t room)
{
	// O_NONBLOCK: a FIFO must not stop the program before it is seen to be one.
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = file < 0 ? strerror(errno) : why_not_private(file);
	ssize_t len = -1;

	if (why == NULL) {
		len = read(file, text->bytes, sizeof(text->bytes));
		if (len < 0)
			why = strerror(errno);
		else if (len > FILE_BYTES_MAX)
			why = "is too long to be a key";
	}
	if (file >= 0)
		close(file);
	if (why != NULL) {
		snprintf(error, room, "pre-shared key %s: %s%s", path, why,
			file < 0 ? "; make one: umask 077; openssl rand -hex 32 >FILE" : "");
		return file < 0 ? -ERR_MISSING : -ERR_RANGE;
	}
	text->len = (size_t)len;
	return 0;
}

static bool is_blank(char c)
{
	return isspace((unsigned char)c) != 0;
}

static void trim(struct text *text)
{
	size_t first = 0;

	while (text->len > 0 && is_blank(text->bytes[text->len - 1]))
		text->len--;
	while (first < text->len && is_blank(text->bytes[first]))
		first++;
	text->len -= first;
	memmove(text->bytes, text->bytes + first, text->len);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)tolower((unsigned char)c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex(const struct text *text)
{
	for (size_t i = 0; i < text->len; i++)
		if (digit(text->bytes[i]) < 0)
			return false;
	return text->len % 2 == 0 && text->len >= (size_t)2 * PSK_BYTES_MIN;
}

static const char *parse(const struct text *text, struct psk *out)
{
	const bool hex = is_hex(text);

	if (memchr(text->bytes, '\n', text->len) != NULL)
		return "must be one line";
	out->len = hex ? text->len / 2 : text->len;
	if (out->len < PSK_BYTES_MIN)
		return "is too short: 64 hexadecimal digits, or 32 characters, are the least";
	if (out->len > PSK_BYTES_MAX)
		return "is too long to be a key";
	for (size_t i = 0; i < out->len; i++)
		out->bytes[i] = hex ? (uint8_t)(digit(text->bytes[2 * i]) << 4 |
						digit(text->bytes[2 * i + 1]))
				    : (uint8_t)text->bytes[i];
	return NULL;
}

int psk_file_read(const char *path, struct psk *out, char *error, size_t error_room)
{
	struct text text;
	const char *why;
	int result = read_text(path, &text, error, error_room);

	out->len = 0;
	if (result == 0) {
		trim(&text);
		why = parse(&text, out);
		if (why != NULL) {
			snprintf(error, error_room, "pre-shared key %s: %s", path, why);
			psk_wipe(out);
			result = -ERR_MALFORMED;
		}
	}
	OPENSSL_cleanse(&text, sizeof(text));
	return result;
}

void psk_wipe(struct psk *psk)
{
	OPENSSL_cleanse(psk, sizeof(*psk));
}
