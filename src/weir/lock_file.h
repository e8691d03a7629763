// A file that says who holds something. What holds it is the kernel's lock on the file, which goes
// with the process whatever ends it; the text is for the others to read.
#pragma once

#define LOCK_FILE_PATH_BYTES   320
#define LOCK_FILE_HOLDER_BYTES 128

struct lock_file {
	int fd; // -1: not held
	char path[LOCK_FILE_PATH_BYTES];
};

#define LOCK_FILE_NONE                                                                             \
	{                                                                                          \
		.fd = -1                                                                           \
	}

// Makes and locks `path` and writes this process's id into it, and `name` behind that (NULL: no
// name). 0; -ERR_EXISTS where another process has it, which `holder` then describes ("pid 12, node
// pop-a"); -ERR_MISSING with errno where the file cannot be made. On failure nothing is held.
int lock_file_take(struct lock_file *lock, const char *path, const char *name,
	char holder[LOCK_FILE_HOLDER_BYTES]);

// Removes the file and gives the lock up. Harmless where it is not held.
void lock_file_release(struct lock_file *lock);
