// The certificate a node shows its peers: whom it is of, and what they would refuse it for.
#pragma once

#include <openssl/x509.h>

#include <stdbool.h>

#define CERTIFICATE_FAULTS_MAX 5
#define CERTIFICATE_NAME_BYTES 128 // "weir:CLUSTER:ID"

// Has it this name: as a URI of its subjectAltName, or where that has none, as the common name?
bool certificate_is_of(X509 *certificate, const char *name);

struct certificate_files {
	const char *certificate, *key, *ca; // PEM
};

struct certificate_fault {
	const char *file; // one of the three
	char text[400];
};

// Every reason for which peers would refuse it now, or for which the key is none: the name, the
// dates, the CA, the key, who may read that. Returns how many. A file that cannot be read as what
// it is to be is dtls_create()'s to report, and nothing that needs it is checked.
unsigned certificate_faults(const struct certificate_files *files, const char *name,
	struct certificate_fault faults[CERTIFICATE_FAULTS_MAX]);
