// Proves: RELIABILITY 5 (DTLS 1.2, pre-shared keys and certificates, identity of nodes).
// The library keeps real time, so these tests do as well: they wait for what must happen, for as
// long as it takes, and assert no duration.
#include "pair.h"

#include "base/error.h"
#include "weir/cluster/dtls.h"
#include "weir/cluster/psk.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#define SECOND 1000000000ULL
#define CLIENT 0
#define SERVER 1

struct side {
	struct psk psk;
	uint16_t peer; // whose key it has
	struct dtls *dtls;
};

static char folder[] = "/tmp/weir_dtls_XXXXXX";
static struct pair pair;
static struct side sides[2];

static uint64_t skipped_ns;

// What has to wait for a channel's time limit need not.
static uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return skipped_ns + (uint64_t)now.tv_sec * SECOND + (uint64_t)now.tv_nsec;
}

static size_t psk_of(void *context, uint16_t peer, uint8_t *out, size_t room)
{
	const struct side *side = context;

	assert_true(side->psk.len <= room);
	if (peer != side->peer)
		return 0;
	memcpy(out, side->psk.bytes, side->psk.len);
	return side->psk.len;
}

static void side_init(unsigned i, struct dtls_config *config)
{
	struct dtls_error error = {.text = ""};

	sides[i].peer = i == 0 ? 7 : 3;
	sides[i].psk.len = 32;
	memset(sides[i].psk.bytes, 0x42, 32);
	config->repeat_ms = 20;
	if (config->certificate == NULL) {
		config->psk = psk_of;
		config->psk_context = &sides[i];
	}
	sides[i].dtls = dtls_create(config, &error);
	assert_string_equal(error.text, "");
	assert_non_null(sides[i].dtls);
}

static void connect_ends(void)
{
	pair_init(&pair, &dtls_methods, (void *const[]){sides[0].dtls, sides[1].dtls});
	pair.now_ns = clock_ns();
}

static void psk_setup(void)
{
	for (unsigned i = 0; i < 2; i++)
		side_init(i, &(struct dtls_config){.cluster = "lab", .id = i == 0 ? 3 : 7});
	connect_ends();
}

static void teardown(void)
{
	pair_finish(&pair);
	for (unsigned i = 0; i < 2; i++)
		dtls_destroy(sides[i].dtls);
	memset(sides, 0, sizeof(sides));
	assert_int_equal(ERR_peek_error(), 0);
}

// Turns in real time until a condition holds. It must come to pass.
static void until(bool (*condition)(void))
{
	do {
		pair.now_ns = clock_ns();
		pair_turn(&pair);
	} while (!condition());
}

static bool both_up(void)
{
	return pair.ends[0].ups > 0 && pair.ends[1].ups > 0;
}

static bool server_has_error(void)
{
	return channel_error(pair.ends[SERVER].channel)[0] != 0;
}

static bool client_has_error(void)
{
	return channel_error(pair.ends[CLIENT].channel)[0] != 0;
}

static bool client_rekeyed(void)
{
	return counter_get(&channel_stats(pair.ends[CLIENT].channel)->rekeys) > 0;
}

static void assert_works(void)
{
	const unsigned before[2] = {pair.ends[0].records, pair.ends[1].records};

	assert_true(pair_send(&pair, 0, 1));
	pair_turn(&pair);
	assert_true(pair_send(&pair, 1, 1));
	pair_turn(&pair);
	assert_int_equal(pair.ends[0].records, before[0] + 1);
	assert_int_equal(pair.ends[1].records, before[1] + 1);
}

static void assert_refused(unsigned end)
{
	assert_false(channel_is_up(pair.ends[0].channel) || channel_is_up(pair.ends[1].channel));
	assert_true(counter_get(&channel_stats(pair.ends[end].channel)->bad_auth) > 0);
}

static void psk_both_roles(void **state)
{
	(void)state;
	psk_setup();
	until(both_up);
	assert_int_equal(pair.ends[0].ups, 1);
	assert_int_equal(pair.ends[1].ups, 1);
	assert_works();
	channel_rekey(pair.ends[SERVER].channel);
	until(client_rekeyed);
	assert_works();
	assert_int_equal(pair.ends[0].ups + pair.ends[1].ups, 2);
	teardown();
}

static void a_bad_wire(void **state)
{
	(void)state;
	for (unsigned seed = 1; seed <= 10; seed++) {
		psk_setup();
		pair.random = seed;
		pair.loss = 20;
		pair.repeat = 20;
		pair.reorder = 20;
		until(both_up);
		channel_rekey(pair.ends[CLIENT].channel);
		skipped_ns += 2 * SECOND; // no record has shown that the server uses these
		until(client_rekeyed);
		pair.loss = pair.repeat = pair.reorder = 0;
		pair_turn(&pair);
		assert_works();
		assert_int_equal(pair.ends[0].ups + pair.ends[1].ups, 2);
		teardown();
	}
}

static void restarts(void **state)
{
	(void)state;
	psk_setup();
	until(both_up);
	for (unsigned i = 0; i < 3; i++) {
		pair.ends[0].ups = pair.ends[1].ups = 0;
		if (i != SERVER)
			pair_restart(&pair, CLIENT);
		if (i != CLIENT)
			pair_restart(&pair, SERVER);
		channel_restart(pair.ends[CLIENT].channel, pair.now_ns, 0);
		until(both_up);
		assert_works();
	}
	teardown();
}

static void another_psk(void **state)
{
	(void)state;
	psk_setup();
	sides[SERVER].psk.bytes[31] ^= 1;
	until(server_has_error);
	assert_string_equal(
		channel_error(pair.ends[SERVER].channel), "node 3 has another pre-shared key");
	assert_refused(SERVER);
	skipped_ns += 5 * SECOND;
	until(client_has_error);
	assert_string_equal(channel_error(pair.ends[CLIENT].channel),
		"node 7 does not accept this node's proof: it has another pre-shared key");
	// Both know it for a while, and both have counted it.
	for (unsigned i = 0; i < 2; i++) {
		assert_true(channel_is_refused(pair.ends[i].channel, pair.now_ns));
		assert_false(
			channel_is_refused(pair.ends[i].channel, pair.now_ns + CHANNEL_REFUSED_NS));
		assert_true(channel_stats(pair.ends[i].channel)->bad_auth > 0);
	}
	sides[SERVER].psk.bytes[31] ^= 1;
	skipped_ns += SECOND;
	until(both_up);
	assert_string_equal(channel_error(pair.ends[CLIENT].channel), "");
	for (unsigned i = 0; i < 2; i++)
		assert_false(channel_is_refused(pair.ends[i].channel, pair.now_ns));
	assert_works();
	teardown();
}

static void no_psk_for_the_peer(void **state)
{
	(void)state;
	psk_setup();
	sides[SERVER].psk.len = 31; // too short is none
	until(server_has_error);
	assert_string_equal(
		channel_error(pair.ends[SERVER].channel), "there is no pre-shared key for node 3");
	assert_refused(SERVER);
	teardown();
}

// The channels agree, the method's identities do not: each side looks at the other's.
static void another_identity(void **state)
{
	(void)state;
	side_init(CLIENT, &(struct dtls_config){.cluster = "lab", .id = 3});
	side_init(SERVER, &(struct dtls_config){.cluster = "lob", .id = 7});
	connect_ends();
	until(client_has_error);
	assert_string_equal(channel_error(pair.ends[CLIENT].channel),
		"the peer says this is \"weir:lob:3:7\", not \"weir:lab:3:7\"");
	assert_refused(CLIENT);
	teardown();
	side_init(CLIENT, &(struct dtls_config){.cluster = "lab", .id = 3});
	side_init(SERVER, &(struct dtls_config){.cluster = "lab", .id = 8});
	connect_ends();
	until(client_has_error);
	assert_string_equal(channel_error(pair.ends[CLIENT].channel),
		"the peer says this is \"weir:lab:3:8\", not \"weir:lab:3:7\"");
	teardown();
}

// Says another identity than it heard; otherwise as it should be.
static unsigned lying_client(SSL *ssl, const char *hint, char *identity, unsigned room,
	unsigned char *psk, unsigned psk_room)
{
	(void)ssl;
	(void)hint;
	assert_true(psk_room >= 32);
	snprintf(identity, room, "weir:lab:4:7\n");
	memset(psk, 0x42, 32);
	return 32;
}

// A client of plain OpenSSL against our server's methods; what the server says about it.
static enum handshake_state meet(SSL_CTX *ctx, char error[200])
{
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	void *server = dtls_methods.start(sides[SERVER].dtls, 3, false);
	enum handshake_state state = HANDSHAKE_RUNNING;
	uint8_t data[4000];

	assert_non_null(server);
	SSL_set_bio(ssl, in, out);
	SSL_set_connect_state(ssl);
	for (unsigned i = 0; i < 10; i++) {
		size_t len;
		int got;

		SSL_do_handshake(ssl);
		while ((got = BIO_read(out, data, sizeof(data))) > 0)
			state = dtls_methods.feed(server, data, (size_t)got);
		while ((len = dtls_methods.next(server, 0, data, sizeof(data))) > 0)
			BIO_write(in, data, (int)len);
	}
	snprintf(error, 200, "%s", dtls_methods.error(server));
	dtls_methods.end(server);
	SSL_free(ssl);
	ERR_clear_error();
	return state;
}

static unsigned honest_client(SSL *ssl, const char *hint, char *identity, unsigned room,
	unsigned char *psk, unsigned psk_room)
{
	unsigned len = lying_client(ssl, hint, identity, room, psk, psk_room);

	snprintf(identity, room, "%s", hint);
	return len;
}

static void strange_clients(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(DTLS_client_method());
	char error[200];

	(void)state;
	psk_setup();
	SSL_CTX_set_psk_client_callback(ctx, honest_client);
	assert_int_equal(meet(ctx, error), HANDSHAKE_DONE);
	assert_string_equal(error, "");
	SSL_CTX_set_psk_client_callback(ctx, lying_client);
	assert_int_equal(meet(ctx, error), HANDSHAKE_FAILED);
	assert_string_equal(error, "the peer says this is \"weir:lab:4:7?\", not \"weir:lab:3:7\"");
	SSL_CTX_set_psk_client_callback(ctx, honest_client);
	SSL_CTX_set_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	assert_int_equal(meet(ctx, error), HANDSHAKE_FAILED);
	assert_string_equal(error, "the peer does without the extended master secret");
	SSL_CTX_clear_options(ctx, SSL_OP_NO_EXTENDED_MASTER_SECRET);
	// Neither a key exchange without forward secrecy nor an older protocol.
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, "PSK-CHACHA20-POLY1305"), 1);
	assert_int_equal(meet(ctx, error), HANDSHAKE_FAILED);
	assert_string_equal(
		error, "this node has cluster.psk_file, the peer certificates: give both the same");
	SSL_CTX_free(ctx);
	teardown();
}

static void broken_datagrams(void **state)
{
	(void)state;
	psk_setup();
	for (unsigned i = 0; i < 2000; i++) {
		void *handshake = dtls_methods.start(sides[i % 2].dtls, i % 2 ? 3 : 7, i % 2 == 0);
		void *peer = dtls_methods.start(sides[1 - i % 2].dtls, i % 2 ? 7 : 3, i % 2 == 1);
		uint8_t data[DTLS_DATAGRAM_BYTES];
		size_t len = dtls_methods.next(i % 2 ? peer : handshake, 0, data, sizeof(data));

		assert_true(len > 0);
		for (unsigned flips = pair_random(&pair, 4); flips > 0; flips--)
			data[pair_random(&pair, (uint32_t)len)] ^= (uint8_t)(1 + i % 255);
		dtls_methods.feed(handshake, data, i % 3 ? len : pair_random(&pair, (uint32_t)len));
		while (dtls_methods.next(handshake, 0, data, sizeof(data)) > 0)
			;
		dtls_methods.end(handshake);
		dtls_methods.end(peer);
	}
	teardown();
}

// Certificates: a CA, and nodes it issues for.

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

static void add_extension(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

// Of servers with a URI: their flight needs several datagrams.
static EVP_PKEY *large_key(void)
{
	static EVP_PKEY *key; // one is enough, they take long to make

	if (key == NULL)
		key = EVP_RSA_gen(3072);
	assert_int_equal(EVP_PKEY_up_ref(key), 1);
	return key;
}

static struct identity issue(const struct identity *ca, const char *name, const char *uri)
{
	struct identity made = {uri == NULL ? EVP_EC_gen("P-256") : large_key(), X509_new()};
	X509_NAME *subject = X509_get_subject_name(made.certificate);
	char text[200];

	assert_non_null(made.key);
	X509_set_version(made.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), random());
	X509_gmtime_adj(X509_getm_notBefore(made.certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(made.certificate), 3600);
	X509_set_pubkey(made.certificate, made.key);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(
		made.certificate, ca == NULL ? subject : X509_get_subject_name(ca->certificate));
	if (ca == NULL)
		add_extension(made.certificate, NID_basic_constraints, "critical,CA:TRUE");
	snprintf(text, sizeof(text), "URI:%s", uri == NULL ? "" : uri);
	if (uri != NULL)
		add_extension(made.certificate, NID_subject_alt_name, text);
	assert_true(X509_sign(made.certificate, ca == NULL ? made.key : ca->key, EVP_sha256()) > 0);
	return made;
}

static void identity_free(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

static const char *path_of(const char *name)
{
	static char paths[8][64];
	static unsigned at;
	char *path = paths[at++ % 8];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

static void save(const struct identity *identity, const char *certificate, const char *key)
{
	FILE *file = fopen(path_of(certificate), "w");

	assert_non_null(file);
	PEM_write_X509(file, identity->certificate);
	fclose(file);
	file = fopen(path_of(key), "w");
	assert_non_null(file);
	PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL);
	fclose(file);
}

static void certificate_setup(
	const struct identity *ca, const char *server_name, const char *server_uri)
{
	struct identity client = issue(ca, "weir:lab:3", NULL);
	struct identity server = issue(ca, server_name, server_uri);

	save(ca, "ca", "ca.key");
	save(&client, "client", "client.key");
	save(&server, "server", "server.key");
	identity_free(&client);
	identity_free(&server);
	side_init(CLIENT, &(struct dtls_config){.cluster = "lab",
				  .id = 3,
				  .certificate = path_of("client"),
				  .key = path_of("client.key"),
				  .ca = path_of("ca")});
	side_init(SERVER, &(struct dtls_config){.cluster = "lab",
				  .id = 7,
				  .certificate = path_of("server"),
				  .key = path_of("server.key"),
				  .ca = path_of("ca")});
	connect_ends();
}

static void certificates(void **state)
{
	struct identity ca = issue(NULL, "ca", NULL);

	(void)state;
	for (unsigned seed = 0; seed < 5; seed++) {
		// By common name, or by URI, which then is what counts.
		certificate_setup(
			&ca, seed == 0 ? "weir:lab:7" : "pop-b", seed == 0 ? NULL : "weir:lab:7");
		pair.random = seed + 1;
		pair.loss = pair.reorder = seed * 5;
		until(both_up);
		pair.loss = pair.reorder = 0;
		pair_turn(&pair);
		assert_works();
		teardown();
	}
	identity_free(&ca);
}

// The client trusts one CA alone, the server and both certificates are of the other.
static void meet_of_cas(const struct identity *client, const struct identity *server)
{
	certificate_setup(server, "weir:lab:7", NULL);
	dtls_destroy(sides[CLIENT].dtls);
	save(client, "ca", "ca.key");
	side_init(CLIENT, &(struct dtls_config){.cluster = "lab",
				  .id = 3,
				  .certificate = path_of("client"),
				  .key = path_of("client.key"),
				  .ca = path_of("ca")});
	pair_finish(&pair);
	connect_ends();
}

// One has a key, the other certificates: both are told, in whichever role.
static void another_kind_of_proof(void **state)
{
	static const char *const words[] = {
		"this node has cluster.psk_file, the peer certificates: give both the same",
		"this node has certificates, the peer cluster.psk_file: give both the same"};
	struct identity ca = issue(NULL, "ca", NULL);

	(void)state;
	for (unsigned end = 0; end < 2; end++) {
		certificate_setup(&ca, "weir:lab:7", NULL);
		dtls_destroy(sides[end].dtls);
		side_init(end, &(struct dtls_config){.cluster = "lab", .id = end == 0 ? 3 : 7});
		pair_finish(&pair);
		connect_ends();
		until(server_has_error);
		until(client_has_error);
		assert_string_equal(channel_error(pair.ends[end].channel), words[0]);
		assert_string_equal(channel_error(pair.ends[1 - end].channel), words[1]);
		teardown();
	}
	identity_free(&ca);
}

static void certificates_of_others(void **state)
{
	const struct {
		const char *name, *uri;
	} rows[] = {{"weir:lab:8", NULL}, {"weir:lob:7", NULL}, {"weir:lab:77", NULL},
		{"weir:lab:7", "weir:lab:8"}, {"weir:lab:3", NULL}};
	struct identity ca = issue(NULL, "ca", NULL), other = issue(NULL, "ca", NULL);

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		certificate_setup(&ca, rows[i].name, rows[i].uri);
		until(client_has_error);
		assert_string_equal(channel_error(pair.ends[CLIENT].channel),
			"the peer's certificate is not of \"weir:lab:7\"");
		assert_refused(CLIENT);
		until(server_has_error);
		assert_string_equal(channel_error(pair.ends[SERVER].channel),
			"the peer refuses this node: its log says why");
		teardown();
	}
	// The server's files are of another CA of the same name: the client refuses it.
	meet_of_cas(&ca, &other);
	until(client_has_error);
	assert_string_equal(channel_error(pair.ends[CLIENT].channel),
		"the peer's certificate is refused: it is signed by a CA that is not in this "
		"node's cluster.ca_file");
	assert_refused(CLIENT);
	until(server_has_error);
	assert_string_equal(channel_error(pair.ends[SERVER].channel),
		"the peer refuses this node's certificate: its log says why");
	teardown();
	identity_free(&other);
	other = issue(NULL, "other ca", NULL);
	meet_of_cas(&ca, &other);
	until(client_has_error);
	assert_string_equal(channel_error(pair.ends[CLIENT].channel),
		"the peer's certificate is refused: it is signed by a CA that is not in this "
		"node's cluster.ca_file");
	until(server_has_error);
	assert_string_equal(channel_error(pair.ends[SERVER].channel),
		"the peer refuses this node's certificate: the CA that signed it is not in the "
		"peer's cluster.ca_file");
	teardown();
	identity_free(&ca);
	identity_free(&other);
}

static void wrong_files(void **state)
{
	struct dtls_config config = {.cluster = "lab", .id = 3};
	struct dtls_error error;
	char expected[200];

	(void)state;
	assert_null(dtls_create(&config, &error));
	assert_string_equal(
		error.text, "neither pre-shared keys nor certificate, key and CA are given");
	assert_null(error.file);
	config.certificate = config.key = config.ca = path_of("absent");
	assert_null(dtls_create(&config, &error));
	snprintf(expected, sizeof(expected), "%s/absent: No such file or directory", folder);
	assert_string_equal(error.text, expected);
	assert_ptr_equal(error.file, config.certificate);
	assert_int_equal(ERR_peek_error(), 0);
}

static const char *key_file(const char *text, mode_t mode)
{
	const char *path = path_of("psk");
	FILE *file;

	unlink(path);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	assert_int_equal(chmod(path, mode), 0);
	return path;
}

#define HEX_64 "00112233445566778899aabbccddeeffFFEEDDCCBBAA99887766554433221100"

static void psk_files(void **state)
{
	const uint8_t bytes[3] = {0x00, 0x11, 0x22};
	struct psk psk;
	char error[200];

	(void)state;
	assert_int_equal(psk_file_read(key_file(HEX_64 "\n", 0600), &psk, error, 200), 0);
	assert_int_equal(psk.len, 32);
	assert_memory_equal(psk.bytes, bytes, 3);
	assert_int_equal(psk.bytes[15], 0xff);
	assert_int_equal(psk.bytes[31], 0x00);
	// Not hexadecimal, or not a whole number of bytes: text.
	assert_int_equal(psk_file_read(key_file(HEX_64 "0", 0400), &psk, error, 200), 0);
	assert_int_equal(psk.len, 65);
	assert_int_equal(psk_file_read(key_file(" correct horse battery staple 1234\r\n", 0600),
				 &psk, error, 200),
		0);
	assert_int_equal(psk.len, 33);
	assert_memory_equal(psk.bytes, "correct horse battery staple 1234", 33);
}

static void psk_files_refused(void **state)
{
	const struct {
		const char *text;
		mode_t mode;
		const char *why;
	} rows[] = {
		{HEX_64, 0640, "must not be open to others (chmod 600)"},
		{HEX_64, 0604, "must not be open to others (chmod 600)"},
		{"", 0600, "is too short: 64 hexadecimal digits, or 32 characters, are the least"},
		{"0123456789abcdef0123456789abcde", 0600,
			"is too short: 64 hexadecimal digits, or 32 characters, are the least"},
		{HEX_64 "\n" HEX_64, 0600, "must be one line"},
		{HEX_64 HEX_64 HEX_64 HEX_64 HEX_64, 0600, "is too long to be a key"},
	};
	struct psk psk;
	char error[200];
	const char *path;

	(void)state;
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		path = key_file(rows[i].text, rows[i].mode);
		assert_int_not_equal(psk_file_read(path, &psk, error, sizeof(error)), 0);
		assert_non_null(strstr(error, path));
		assert_string_equal(
			error + strlen("pre-shared key ") + strlen(path) + 2, rows[i].why);
		assert_int_equal(psk.len, 0);
	}
	assert_int_equal(psk_file_read(folder, &psk, error, sizeof(error)), -ERR_RANGE);
	assert_non_null(strstr(error, "is not a regular file"));
	assert_int_equal(
		psk_file_read(path_of("absent"), &psk, error, sizeof(error)), -ERR_MISSING);
	if (geteuid() == 0) {
		path = key_file(HEX_64, 0600);
		assert_int_equal(chown(path, 65534, 65534), 0);
		assert_int_equal(psk_file_read(path, &psk, error, sizeof(error)), -ERR_RANGE);
		assert_non_null(strstr(error, "must belong to root"));
	}
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) == NULL;
}

static int remove_folder(void **state)
{
	const char *const names[] = {
		"ca", "ca.key", "client", "client.key", "server", "server.key", "psk"};

	(void)state;
	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlink(path_of(names[i]));
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(psk_both_roles),
		cmocka_unit_test(a_bad_wire),
		cmocka_unit_test(restarts),
		cmocka_unit_test(another_psk),
		cmocka_unit_test(no_psk_for_the_peer),
		cmocka_unit_test(another_identity),
		cmocka_unit_test(strange_clients),
		cmocka_unit_test(broken_datagrams),
		cmocka_unit_test(certificates),
		cmocka_unit_test(another_kind_of_proof),
		cmocka_unit_test(certificates_of_others),
		cmocka_unit_test(wrong_files),
		cmocka_unit_test(psk_files),
		cmocka_unit_test(psk_files_refused),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
