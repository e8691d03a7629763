// What a node proves itself to others with: the files the configuration names, opened and read.
#pragma once

#include "cfg/config.h"
#include "weir/cluster/dtls.h"
#include "weir/cluster/psk.h"

#define CREDENTIAL_FILES	4
#define CREDENTIAL_DIGEST_BYTES 32

struct credentials {
	struct psk psk;
	struct dtls *dtls;
	uint8_t digests[CREDENTIAL_FILES][CREDENTIAL_DIGEST_BYTES]; // of the files, as they were
};

// NULL where all is well, else the path of the key that is not, and why in *error. *out stays where
// it is while it is open.
const char *credentials_open(
	struct credentials *out, const struct config_cluster *config, struct dtls_error *error);
void credentials_close(struct credentials *credentials);

// Of the configuration's file number `file' < CREDENTIAL_FILES: the path of its key in the
// configuration and in *name its own, where it has another content than when these were opened.
// NULL: it has not, or there is none.
const char *credentials_changed(const struct credentials *credentials,
	const struct config_cluster *config, unsigned file, const char **name);

// Adds every error there is, with file and line (`weir check`).
void credentials_check(const struct config *config, struct config_errors *errors);
