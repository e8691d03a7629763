// A handshake is an SSL object on a BIO of ours (datagram_bio.h): feed() lends it a datagram,
// next() takes what the library wrote. The library repeats its flights by its own timer, which
// next() asks.
#include "weir/cluster/dtls.h"

#include "base/check.h"
#include "base/error.h"
#include "weir/cluster/certificate.h"
#include "weir/cluster/datagram_bio.h"
#include "weir/cluster/psk.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLUSTER_BYTES  64
#define NAME_BYTES     128 // "weir:CLUSTER:ID:ID"
#define ERROR_BYTES    192
#define REPEAT_US      100000
#define REPEAT_MAX_US  1000000
#define EXPORTER_LABEL "EXPORTER-weir-cluster"
#define RECORD_HEADER  13 // of DTLS: type 1, version 2, epoch 2, sequence 6, length 2
#define PSK_CIPHERS    "ECDHE-PSK-CHACHA20-POLY1305"
#define GROUPS	       "X25519:P-256"
#define CERTIFICATE_CIPHERS                                                                        \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                               \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256"

struct dtls {
	SSL_CTX *ctx;
	BIO_METHOD *bio_method;
	char cluster[CLUSTER_BYTES];
	uint16_t id;
	size_t (*psk)(void *context, uint16_t peer, uint8_t *out, size_t room);
	void *psk_context;
	unsigned repeat_us;
};

struct handshake {
	struct dtls *dtls;
	SSL *ssl;
	uint16_t peer;
	bool client;
	enum handshake_state state;
	struct datagram_queue queue;
	char error[ERROR_BYTES];
};

// The first reason stays: later ones follow from it.
__attribute__((format(printf, 2, 3))) static void explain(
	struct handshake *handshake, const char *format, ...)
{
	va_list list;

	if (handshake->error[0] != 0)
		return;
	va_start(list, format);
	vsnprintf(handshake->error, sizeof(handshake->error), format, list);
	va_end(list);
	// It may quote the peer.
	for (char *c = handshake->error; *c != 0; c++)
		if (!isprint((unsigned char)*c))
			*c = '?';
}

static void name_pair(const struct handshake *handshake, char out[NAME_BYTES])
{
	const struct dtls *dtls = handshake->dtls;

	snprintf(out, NAME_BYTES, "weir:%s:%u:%u", dtls->cluster,
		handshake->client ? dtls->id : handshake->peer,
		handshake->client ? handshake->peer : dtls->id);
}

// What both sides of a pre-shared key have to do: the peer's idea of who we two are, then the key.
static unsigned give_psk(
	struct handshake *handshake, const char *said, unsigned char *out, unsigned room)
{
	const struct dtls *dtls = handshake->dtls;
	char name[NAME_BYTES];
	size_t len;

	name_pair(handshake, name);
	if (said == NULL || strcmp(said, name) != 0) {
		explain(handshake, "the peer says this is \"%.80s\", not \"%s\"",
			said == NULL ? "" : said, name);
		return 0;
	}
	len = dtls->psk(dtls->psk_context, handshake->peer, out, room);
	if (len < PSK_BYTES_MIN || len > room) {
		explain(handshake, "there is no pre-shared key for node %u", handshake->peer);
		return 0;
	}
	return (unsigned)len;
}

static unsigned psk_of_server(SSL *ssl, const char *identity, unsigned char *psk, unsigned psk_room)
{
	return give_psk(SSL_get_app_data(ssl), identity, psk, psk_room);
}

static unsigned psk_of_client(SSL *ssl, const char *hint, char *identity, unsigned identity_room,
	unsigned char *psk, unsigned psk_room)
{
	struct handshake *handshake = SSL_get_app_data(ssl);
	char name[NAME_BYTES];

	name_pair(handshake, name);
	snprintf(identity, identity_room, "%s", name);
	return give_psk(handshake, hint, psk, psk_room);
}

static const char *why_not_verified(int error)
{
	switch (error) {
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_SIGNATURE_FAILURE: // of another CA of that name
		return "it is signed by a CA that is not in this node's cluster.ca_file";
	default:
		return X509_verify_cert_error_string(error);
	}
}

static int verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct handshake *handshake = SSL_get_app_data(ssl);
	X509 *certificate = X509_STORE_CTX_get_current_cert(store);
	char name[NAME_BYTES];

	if (!good) {
		explain(handshake, "the peer's certificate is refused: %s",
			why_not_verified(X509_STORE_CTX_get_error(store)));
		return 0;
	}
	if (X509_STORE_CTX_get_error_depth(store) > 0)
		return 1;
	snprintf(name, sizeof(name), "weir:%s:%u", handshake->dtls->cluster, handshake->peer);
	if (certificate_is_of(certificate, name))
		return 1;
	explain(handshake, "the peer's certificate is not of \"%s\"", name);
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 0;
}

static unsigned repeat_after(SSL *ssl, unsigned previous_us)
{
	const struct handshake *handshake = SSL_get_app_data(ssl);

	if (previous_us == 0)
		return handshake->dtls->repeat_us;
	return previous_us < REPEAT_MAX_US / 2 ? previous_us * 2 : REPEAT_MAX_US;
}

static const char *load_certificates(SSL_CTX *ctx, const struct dtls_config *config)
{
	if (config->certificate == NULL || config->key == NULL || config->ca == NULL)
		return "neither pre-shared keys nor certificate, key and CA are given";
	if (SSL_CTX_use_certificate_chain_file(ctx, config->certificate) != 1)
		return config->certificate;
	if (SSL_CTX_use_PrivateKey_file(ctx, config->key, SSL_FILETYPE_PEM) != 1 ||
		SSL_CTX_check_private_key(ctx) != 1)
		return config->key;
	if (SSL_CTX_load_verify_locations(ctx, config->ca, NULL) != 1)
		return config->ca;
	SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, verify);
	return NULL;
}

// NULL, or what is wrong.
static const char *set_up(SSL_CTX *ctx, const struct dtls_config *config)
{
	const char *ciphers = config->psk != NULL ? PSK_CIPHERS : CERTIFICATE_CIPHERS;

	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET |
					 SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) != 1 ||
		SSL_CTX_set_max_proto_version(ctx, DTLS1_2_VERSION) != 1 ||
		SSL_CTX_set_cipher_list(ctx, ciphers) != 1 ||
		SSL_CTX_set1_groups_list(ctx, GROUPS) != 1)
		return "the crypto library lacks DTLS 1.2 with its ciphers";
	if (config->psk == NULL)
		return load_certificates(ctx, config);
	SSL_CTX_set_psk_client_callback(ctx, psk_of_client);
	SSL_CTX_set_psk_server_callback(ctx, psk_of_server);
	return NULL;
}

// The library's oldest reason; "" where it has none.
static const char *library_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_SYSTEM_ERROR(code) ? strerror(ERR_GET_REASON(code))
						    : ERR_reason_error_string(code);

	return code == 0 || reason == NULL ? "" : reason;
}

struct dtls *dtls_create(const struct dtls_config *config, struct dtls_error *error)
{
	struct dtls *dtls = calloc(1, sizeof(*dtls));
	const char *wrong = "out of memory", *reason;

	if (dtls != NULL) {
		dtls->ctx = SSL_CTX_new(DTLS_method());
		dtls->bio_method = datagram_bio_method();
		snprintf(dtls->cluster, sizeof(dtls->cluster), "%s", config->cluster);
		dtls->id = config->id;
		dtls->psk = config->psk;
		dtls->psk_context = config->psk_context;
		dtls->repeat_us = config->repeat_ms > 0 ? config->repeat_ms * 1000 : REPEAT_US;
		if (dtls->ctx != NULL && dtls->bio_method != NULL)
			wrong = set_up(dtls->ctx, config);
	}
	if (wrong == NULL)
		return dtls;
	reason = library_reason();
	error->file = NULL;
	if (wrong == config->certificate || wrong == config->key || wrong == config->ca)
		error->file = wrong;
	snprintf(error->text, sizeof(error->text), "%s%s%s", wrong, reason[0] == 0 ? "" : ": ",
		reason);
	ERR_clear_error();
	dtls_destroy(dtls);
	return NULL;
}

void dtls_destroy(struct dtls *dtls)
{
	if (dtls == NULL)
		return;
	SSL_CTX_free(dtls->ctx);
	BIO_meth_free(dtls->bio_method);
	free(dtls);
}

static void end(void *of)
{
	struct handshake *handshake = of;

	SSL_free(handshake->ssl); // and the BIO
	free(handshake);
}

static bool prepare(struct handshake *handshake)
{
	struct dtls *dtls = handshake->dtls;
	BIO *bio = BIO_new(dtls->bio_method);
	char name[NAME_BYTES];

	handshake->ssl = SSL_new(dtls->ctx);
	if (handshake->ssl == NULL || bio == NULL) {
		BIO_free(bio);
		return false;
	}
	BIO_set_data(bio, &handshake->queue);
	SSL_set_bio(handshake->ssl, bio, bio);
	SSL_set_app_data(handshake->ssl, handshake);
	SSL_set_mtu(handshake->ssl, DTLS_DATAGRAM_BYTES);
	DTLS_set_timer_cb(handshake->ssl, repeat_after);
	name_pair(handshake, name);
	if (handshake->client)
		SSL_set_connect_state(handshake->ssl);
	else
		SSL_set_accept_state(handshake->ssl);
	return handshake->client || dtls->psk == NULL ||
	       SSL_use_psk_identity_hint(handshake->ssl, name) == 1;
}

static const char *why_nothing_in_common(const struct handshake *handshake)
{
	return handshake->dtls->psk != NULL
		       ? "this node has cluster.psk_file, the peer certificates: give both the same"
		       : "this node has certificates, the peer cluster.psk_file: give both the "
			 "same";
}

// What the library's latest reason means between two nodes; NULL: no more than it says.
static const char *meaning(const struct handshake *handshake)
{
	unsigned long code = ERR_peek_error();

	if (ERR_GET_LIB(code) != ERR_LIB_SSL)
		return NULL;
	switch (ERR_GET_REASON(code)) {
	case SSL_R_NO_SHARED_CIPHER:
		return why_nothing_in_common(handshake);
	case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
		// Before there is a cipher it is about that.
		return SSL_get_pending_cipher(handshake->ssl) == NULL
			       ? why_nothing_in_common(handshake)
			       : "the peer refuses this node: its log says why";
	case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
		return "the peer refuses this node's certificate: the CA that signed it is not in "
		       "the peer's cluster.ca_file";
	case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
		return "the peer refuses this node's certificate: it has expired, as the peer's "
		       "clock says";
	case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
	case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
	case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
	case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
		return "the peer refuses this node's certificate: its log says why";
	default:
		return NULL;
	}
}

// What the library made of it, in words.
static void explain_failure(struct handshake *handshake)
{
	const char *reason = library_reason();
	const char *means = meaning(handshake);

	if (means != NULL)
		explain(handshake, "%s", means);
	explain(handshake, "DTLS: %s", reason[0] == 0 ? "the handshake failed" : reason);
}

static void step(struct handshake *handshake)
{
	int result;

	ERR_clear_error();
	result = SSL_do_handshake(handshake->ssl);
	if (result == 1 && SSL_get_extms_support(handshake->ssl) == 1) {
		handshake->state = HANDSHAKE_DONE;
	} else if (result == 1) {
		explain(handshake, "the peer does without the extended master secret");
		handshake->state = HANDSHAKE_FAILED;
	} else if (SSL_get_error(handshake->ssl, result) != SSL_ERROR_WANT_READ) {
		explain_failure(handshake);
		handshake->state = HANDSHAKE_FAILED;
	}
	ERR_clear_error();
}

static void *start(void *context, uint16_t peer, bool client)
{
	struct handshake *handshake = calloc(1, sizeof(*handshake));

	if (handshake == NULL)
		return NULL;
	handshake->dtls = context;
	handshake->peer = peer;
	handshake->client = client;
	if (!prepare(handshake)) {
		end(handshake);
		ERR_clear_error();
		return NULL;
	}
	if (client)
		step(handshake);
	return handshake;
}

// True where a record in the datagram is encrypted.
static bool is_encrypted(const uint8_t *data, size_t len)
{
	while (len >= RECORD_HEADER) {
		size_t record = RECORD_HEADER + (size_t)(data[11] << 8 | data[12]);

		if (data[3] != 0 || data[4] != 0)
			return true;
		if (record > len)
			return false;
		data += record;
		len -= record;
	}
	return false;
}

// DTLS drops a record whose tag is wrong, as if it were lost, so a peer with another key would look
// like one that is silent. Its first encrypted record is its last of the handshake: where
// everything before that is there, and it does not end the handshake, the keys differ.
static void check_finished(struct handshake *handshake, const uint8_t *data, size_t len)
{
	OSSL_HANDSHAKE_STATE at = SSL_get_state(handshake->ssl);

	if (handshake->state != HANDSHAKE_RUNNING || handshake->dtls->psk == NULL ||
		(at != TLS_ST_SR_CHANGE && at != TLS_ST_CR_CHANGE) || !is_encrypted(data, len))
		return;
	explain(handshake, "node %u has another pre-shared key", handshake->peer);
	handshake->state = HANDSHAKE_FAILED;
}

static enum handshake_state feed(void *of, const uint8_t *data, size_t len)
{
	struct handshake *handshake = of;
	uint8_t nothing[16];

	handshake->queue.in = data;
	handshake->queue.in_len = len;
	if (handshake->state == HANDSHAKE_RUNNING) {
		step(handshake);
		check_finished(handshake, data, len);
	} else if (handshake->state == HANDSHAKE_DONE) {
		// A repeated flight of the peer makes the library repeat its own.
		ERR_clear_error();
		SSL_read(handshake->ssl, nothing, sizeof(nothing));
		ERR_clear_error();
	}
	handshake->queue.in = NULL;
	return handshake->state;
}

// The library keeps its own time; the caller's is not needed.
static size_t next(void *of, uint64_t now_ns, uint8_t *out, size_t room)
{
	struct handshake *handshake = of;

	(void)now_ns;
	CHECK(room >= DTLS_DATAGRAM_BYTES);
	if (handshake->state == HANDSHAKE_RUNNING && handshake->queue.count == 0) {
		ERR_clear_error();
		DTLSv1_handle_timeout(handshake->ssl); // does nothing before its time
		ERR_clear_error();
	}
	return datagram_queue_take(&handshake->queue, out);
}

static int export(
	void *of, const uint8_t *bound, size_t bound_len, uint8_t out[HANDSHAKE_KEYS_BYTES])
{
	struct handshake *handshake = of;
	int done = SSL_export_keying_material(handshake->ssl, out, HANDSHAKE_KEYS_BYTES,
		EXPORTER_LABEL, strlen(EXPORTER_LABEL), bound, bound_len, 1);

	ERR_clear_error();
	return done == 1 ? 0 : -ERR_CRYPTO;
}

static const char *error(void *of)
{
	struct handshake *handshake = of;

	// The server has all it needs of a client that got this far, but for the proof of the key.
	if (handshake->state == HANDSHAKE_RUNNING && handshake->client &&
		SSL_get_state(handshake->ssl) == TLS_ST_CW_FINISHED)
		explain(handshake, "node %u does not accept this node's proof: %s", handshake->peer,
			handshake->dtls->psk != NULL ? "it has another pre-shared key"
						     : "its log says why");
	return handshake->error;
}

const struct handshake_methods dtls_methods = {
	.start = start,
	.feed = feed,
	.next = next,
	.export = export,
	.error = error,
	.end = end,
};
