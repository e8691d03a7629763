#include "weir/replay/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zlib.h>

// What is not compressed goes past zlib's buffer, which must be no more than half of it for that.
#define BUFFER_BYTES (256 << 10)

// zlib reports a file that ends within its compressed form once everything before was given out.
static ssize_t read_stream(void *cookie, char *out, size_t size)
{
	struct stream *stream = cookie;
	int got = gzread(stream->gz, out, (unsigned)size), error;

	if (got > 0) {
		stream->given_bytes += (uint64_t)got;
		return got;
	}
	gzerror(stream->gz, &error);
	if (error == Z_BUF_ERROR || error == Z_DATA_ERROR)
		stream->cut = true;
	return got < 0 && error == Z_ERRNO ? -1 : 0;
}

static int close_stream(void *cookie)
{
	struct stream *stream = cookie;

	gzclose(stream->gz);
	stream->gz = NULL;
	return 0;
}

static FILE *refuse(const char *path, const char *why)
{
	fprintf(stderr, "weir: replay: %s: %s\n", path, why);
	return NULL;
}

static FILE *wrap(struct stream *stream, const char *path, int fd)
{
	static const cookie_io_functions_t functions = {.read = read_stream, .close = close_stream};
	FILE *file;

	stream->gz = gzdopen(fd, "rb");
	if (stream->gz == NULL) {
		close(fd);
		return refuse(path, "not enough memory");
	}
	gzbuffer(stream->gz, BUFFER_BYTES / 2);
	file = fopencookie(stream, "rb", functions);
	if (file == NULL) {
		gzclose(stream->gz);
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

	*stream = (struct stream){0};
	if (fd < 0)
		return refuse(path, strerror(errno));
	if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
		close(fd);
		return refuse(path, "is a directory; name a capture file in it");
	}
	stream->regular = S_ISREG(status.st_mode);
	stream->size_bytes = stream->regular ? (uint64_t)status.st_size : 0;
	return wrap(stream, path, fd);
}

uint64_t stream_at_bytes(const struct stream *stream)
{
	z_off_t at = stream->size_bytes > 0 && stream->gz != NULL ? gzoffset(stream->gz) : 0;

	return at > 0 ? (uint64_t)at : 0;
}

bool stream_is_compressed(const struct stream *stream)
{
	return stream->gz != NULL && !gzdirect(stream->gz);
}
