// A kernel interface a port lives on, taken for as long as this process lives. Both what keeps
// others away and what makes the interface hear every frame hang off sockets: whatever ends the
// process, the kernel undoes them.
#pragma once

struct interface {
	int claim;   // abstract socket that names the interface, -1: none
	int hearing; // packet socket with promiscuous membership, -1: none
};

#define INTERFACE_NONE                                                                             \
	{                                                                                          \
		-1, -1                                                                             \
	}

// Takes the interface `name` of this network namespace. 0; -ERR_EXISTS where another weir has it;
// -ERR_MISSING with errno where a socket is refused. On failure nothing is held.
int interface_take(struct interface *interface, const char *name);

// Makes the interface hear every frame, not only its own address's. 0 or -ERR_MISSING with errno.
int interface_hear_all(struct interface *interface, const char *name);

void interface_release(struct interface *interface);
