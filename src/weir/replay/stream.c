#include "weir/replay/stream.h"

#include "weir/replay/interrupt.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUFFER_BYTES (256 << 10)
#define LOOK_MS	     200 // for a signal that came just before waiting
#define GZIP_BITS    (15 + 16)

// One read, however little it brings: a live capture is played as it comes. A signal ends it.
static ssize_t read_file(struct stream *stream, void *out, size_t size)
{
	struct pollfd wait = {.fd = stream->fd, .events = POLLIN};
	ssize_t got;

	do {
		while (!stream->regular && interrupt_signal() == 0 && poll(&wait, 1, LOOK_MS) == 0)
			;
		if (interrupt_signal() != 0)
			return 0;
		got = read(stream->fd, out, size);
	} while (got < 0 && errno == EINTR);
	stream->read_bytes += got > 0 ? (uint64_t)got : 0;
	return got;
}

// At least `wanted` bytes in the room, or what there is. Negative on errors.
static ssize_t fill(struct stream *stream, size_t wanted)
{
	ssize_t got = 1;

	if (stream->have > 0 && stream->have < wanted)
		memmove(stream->room, stream->room + stream->at, stream->have);
	if (stream->have < wanted)
		stream->at = 0;
	while (stream->have < wanted && got > 0) {
		got = read_file(stream, stream->room + stream->have, BUFFER_BYTES - stream->have);
		stream->have += got > 0 ? (size_t)got : 0;
	}
	return got < 0 ? -1 : (ssize_t)stream->have;
}

static bool is_gzip(const struct stream *stream)
{
	const uint8_t *data = stream->room + stream->at;

	return stream->have >= 2 && data[0] == 0x1f && data[1] == 0x8b;
}

static int look(struct stream *stream)
{
	if (fill(stream, 2) < 0)
		return -1;
	stream->looked = true;
	stream->compressed = is_gzip(stream);
	if (stream->compressed && inflateInit2(&stream->zlib, GZIP_BITS) != Z_OK) {
		stream->compressed = false;
		errno = ENOMEM;
		return -1;
	}
	return 0;
}

static ssize_t copy(struct stream *stream, char *out, size_t size)
{
	if (stream->have == 0)
		return read_file(stream, out, size);
	size = size < stream->have ? size : stream->have;
	memcpy(out, stream->room + stream->at, size);
	stream->at += size;
	stream->have -= size;
	return (ssize_t)size;
}

// What is in the room, or a part of it, into zlib's output.
static void expand_room(struct stream *stream)
{
	z_stream *zlib = &stream->zlib;
	int status;

	zlib->next_in = stream->room + stream->at;
	zlib->avail_in = (unsigned)stream->have;
	status = inflate(zlib, Z_NO_FLUSH);
	stream->at += stream->have - zlib->avail_in;
	stream->have = zlib->avail_in;
	if (status == Z_STREAM_END) {
		stream->between = true;
		inflateReset(zlib);
	} else if (status != Z_OK && status != Z_BUF_ERROR) {
		stream->over = stream->cut = true;
	}
}

// Behind a part another one may follow; what is none is not looked at. That one ends early is said
// once everything before was given out.
static ssize_t expand(struct stream *stream, char *out, size_t size)
{
	ssize_t got;

	stream->zlib.next_out = (uint8_t *)out;
	stream->zlib.avail_out = (unsigned)size;
	while (stream->zlib.avail_out == size && !stream->over) {
		got = fill(stream, stream->between ? 2 : 1);
		if (got < 0)
			return -1;
		if (stream->between)
			stream->over = !is_gzip(stream);
		else if (got == 0)
			stream->over = stream->cut = true;
		stream->between = false;
		if (!stream->over)
			expand_room(stream);
	}
	return (ssize_t)(size - stream->zlib.avail_out);
}

static ssize_t read_stream(void *cookie, char *out, size_t size)
{
	struct stream *stream = cookie;
	ssize_t got;

	if (!stream->looked && look(stream))
		return -1;
	got = stream->compressed ? expand(stream, out, size) : copy(stream, out, size);
	stream->given_bytes += got > 0 ? (uint64_t)got : 0;
	return got;
}

// Of a file that is stored as it is.
static int seek_stream(void *cookie, off64_t *offset, int whence)
{
	struct stream *stream = cookie;

	if (!stream->regular || stream->compressed || whence != SEEK_SET ||
		lseek(stream->fd, *offset, SEEK_SET) < 0)
		return -1;
	stream->at = stream->have = 0;
	stream->read_bytes = stream->given_bytes = (uint64_t)*offset;
	return 0;
}

static int close_stream(void *cookie)
{
	struct stream *stream = cookie;

	if (stream->compressed)
		inflateEnd(&stream->zlib);
	close(stream->fd);
	free(stream->room);
	stream->room = NULL;
	return 0;
}

static FILE *refuse(const char *path, const char *why)
{
	fprintf(stderr, "weir: replay: %s: %s\n", path, why);
	return NULL;
}

static FILE *wrap(struct stream *stream, const char *path)
{
	static const cookie_io_functions_t functions = {
		.read = read_stream, .seek = seek_stream, .close = close_stream};
	FILE *file;

	stream->room = malloc(BUFFER_BYTES);
	file = stream->room != NULL ? fopencookie(stream, "rb", functions) : NULL;
	if (file == NULL) {
		close_stream(stream);
		return refuse(path, "not enough memory");
	}
	setvbuf(file, NULL, _IOFBF, BUFFER_BYTES);
	__fsetlocking(file, FSETLOCKING_BYCALLER); // one thread reads it
	return file;
}

FILE *stream_open(struct stream *stream, const char *path)
{
	int fd = strcmp(path, "-") == 0 ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC);
	struct stat status;

	*stream = (struct stream){.fd = fd};
	if (fd < 0)
		return refuse(path, strerror(errno));
	if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
		close(fd);
		return refuse(path, "is a directory; name a capture file in it");
	}
	stream->regular = S_ISREG(status.st_mode);
	stream->size_bytes = stream->regular ? (uint64_t)status.st_size : 0;
	return wrap(stream, path);
}

uint64_t stream_at_bytes(const struct stream *stream)
{
	return stream->size_bytes > 0 ? stream->read_bytes - stream->have : 0;
}
