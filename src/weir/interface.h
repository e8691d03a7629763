// A kernel interface a port lives on, taken for as long as this process lives. Both what keeps
// others away and what makes the interface hear every frame hang off open files: whatever ends the
// process, the kernel undoes them.
#pragma once

#include "weir/lock_file.h"

// Where the locks of all nodes are, whatever their runtime folders: for this user only.
#define INTERFACE_LOCKS "/run/weir/.interfaces"

struct interface {
	struct lock_file claim;
	int hearing; // packet socket with promiscuous membership, -1: none
};

#define INTERFACE_NONE                                                                             \
	{                                                                                          \
		.claim = LOCK_FILE_NONE, .hearing = -1                                             \
	}

// Takes the interface `name` of this network namespace for `node`. 0; -ERR_EXISTS where another
// weir has it, described in `holder`; -ERR_MISSING with errno where the lock cannot be made. On
// failure nothing is held.
int interface_take(struct interface *interface, const char *name, const char *node,
	char holder[LOCK_FILE_HOLDER_BYTES]);

// Makes the interface hear every frame, not only its own address's. 0 or -ERR_MISSING with errno.
int interface_hear_all(struct interface *interface, const char *name);

void interface_release(struct interface *interface);
