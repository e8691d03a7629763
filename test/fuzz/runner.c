// Replays a fuzz target's corpus without libFuzzer: each argument is a file or a folder of files.
// Counts what it ran and fails where there was nothing to run.
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static unsigned long runs;

static int run_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = malloc(FUZZ_INPUT_MAX);
	size_t len;

	if (file == NULL || data == NULL) {
		fprintf(stderr, "%s: cannot read\n", path);
		free(data);
		return 1;
	}
	len = fread(data, 1, FUZZ_INPUT_MAX, file);
	fclose(file);
	// An exact-size copy, so that a sanitizer sees a read one byte behind the input.
	uint8_t *input = malloc(len ? len : 1);

	if (input == NULL) {
		free(data);
		return 1;
	}
	memcpy(input, data, len);
	LLVMFuzzerTestOneInput(input, len);
	runs++;
	free(input);
	free(data);
	return 0;
}

static int run_path(const char *path)
{
	struct stat st;
	struct dirent *entry;
	DIR *dir;
	int failed = 0;

	if (stat(path, &st) != 0) {
		perror(path);
		return 1;
	}
	if (!S_ISDIR(st.st_mode))
		return run_file(path);
	dir = opendir(path);
	if (dir == NULL)
		return 1;
	while ((entry = readdir(dir)) != NULL) {
		char child[4096];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(child, sizeof(child), "%s/%s", path, entry->d_name);
		failed |= run_path(child);
	}
	closedir(dir);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++)
		failed |= run_path(argv[i]);
	printf("%lu inputs replayed\n", runs);
	return failed || runs == 0;
}
