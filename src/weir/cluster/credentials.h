// What a node proves itself to others with: the files the configuration names, opened and read.
#pragma once

#include "cfg/config.h"
#include "weir/cluster/dtls.h"
#include "weir/cluster/psk.h"

struct credentials {
	struct psk psk;
	struct dtls *dtls;
};

// NULL where all is well, else the path of the key that is not, and why in *error. *out stays where
// it is while it is open.
const char *credentials_open(
	struct credentials *out, const struct config_cluster *config, struct dtls_error *error);
void credentials_close(struct credentials *credentials);

// Adds every error there is, with file and line (`weir check`).
void credentials_check(const struct config *config, struct config_errors *errors);
