#include "weir/replay/draft.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int refuse(const struct draft *draft, const char *what)
{
	fprintf(stderr, "weir: replay: cannot write %s: %s\n", draft->path, what);
	return 1;
}

static void forget(struct draft *draft)
{
	free(draft->temporary);
	free(draft->target);
	*draft = (struct draft){0};
}

// The file gets the rights that fopen() would have given it.
static int create(struct draft *draft)
{
	mode_t mask = umask(0);
	int fd;

	umask(mask);
	if (asprintf(&draft->temporary, "%s.XXXXXX", draft->target) < 0) {
		draft->temporary = NULL;
		return refuse(draft, "not enough memory");
	}
	fd = mkstemp(draft->temporary);
	if (fd < 0) {
		free(draft->temporary);
		draft->temporary = NULL;
		return refuse(draft, strerror(errno));
	}
	fchmod(fd, 0666 & ~mask);
	draft->file = fdopen(fd, "wb");
	return draft->file == NULL ? refuse(draft, strerror(errno)) : 0;
}

int draft_open(struct draft *draft, const char *path)
{
	struct stat status;
	bool exists;
	int failed;

	if (path != NULL && strcmp(path, "-") == 0)
		path = "/dev/stdout";
	*draft = (struct draft){.path = path};
	if (path == NULL)
		return 0;
	exists = stat(path, &status) == 0;
	if (exists && S_ISDIR(status.st_mode))
		return refuse(draft, strerror(EISDIR));
	if (exists && !S_ISREG(status.st_mode)) {
		draft->file = fopen(path, "wb");
		return draft->file == NULL ? refuse(draft, strerror(errno)) : 0;
	}
	draft->target = exists ? realpath(path, NULL) : strdup(path);
	failed = draft->target == NULL ? refuse(draft, strerror(errno)) : create(draft);
	if (failed)
		draft_discard(draft);
	return failed;
}

int draft_finish(struct draft *draft)
{
	int failed;

	if (draft->file == NULL)
		return 0;
	failed = ferror(draft->file) != 0;
	failed |= fclose(draft->file) != 0;
	draft->file = NULL;
	if (!failed && draft->temporary != NULL)
		failed = rename(draft->temporary, draft->target) != 0;
	if (failed) {
		refuse(draft, errno != 0 ? strerror(errno) : "not all of it could be written");
		if (draft->temporary != NULL)
			unlink(draft->temporary);
	}
	forget(draft);
	return failed;
}

void draft_discard(struct draft *draft)
{
	if (draft->file != NULL)
		fclose(draft->file);
	if (draft->temporary != NULL)
		unlink(draft->temporary);
	forget(draft);
}
