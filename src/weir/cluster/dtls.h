// The handshake of cluster/handshake.h as DTLS 1.2 (RFC 6347): OpenSSL, over datagrams in memory.
// Peers prove themselves with a pre-shared key per pair of nodes, or with certificates.
//
// Pre-shared key: ECDHE-PSK with ChaCha20-Poly1305. Identity (the client's) and hint (the server's)
// are `weir:CLUSTER:CLIENT ID:SERVER ID`; each side compares what it hears with what it says
// itself.
//
// Certificates: ECDHE with AES-GCM. A certificate must be issued by the CA and name its node
// `weir:CLUSTER:ID`, as a URI among the subject's alternative names, or, where there is no URI, as
// the subject's common name. Revocation is not looked up: certificates should be short-lived.
//
// Always: extended master secret, no renegotiation, no tickets, no resumption, datagrams of at most
// DTLS_DATAGRAM_BYTES. One thread at a time uses a struct dtls and its handshakes.
#pragma once

#include "cluster/handshake.h"

#include <stddef.h>
#include <stdint.h>

#define DTLS_DATAGRAM_BYTES 1200

struct dtls_config {
	const char *cluster;
	uint16_t id; // own
	// The key shared with the peer, at least PSK_BYTES_MIN bytes; returns its length, 0: none.
	size_t (*psk)(void *context, uint16_t peer, uint8_t *out, size_t room);
	void *psk_context;
	// Where psk is NULL, paths of PEM files: the own chain, its private key, and the CA's.
	const char *certificate, *key, *ca;
	uint32_t repeat_ms; // the first repetition of a flight; later ones double up to 1 s. 0: 100
};

struct dtls;

struct dtls_error {
	const char *file; // which of the configuration's is not right, NULL: none of them
	char text[256];	  // one sentence
};

// The context of dtls_methods. Copies what it is given but psk_context. NULL, and *error, where a
// file or the library is not right.
struct dtls *dtls_create(const struct dtls_config *config, struct dtls_error *error);
void dtls_destroy(struct dtls *dtls); // after the handshakes

extern const struct handshake_methods dtls_methods;
