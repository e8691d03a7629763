// What `weir check` finds wrong with a node's own certificate, each thing by itself; and that
// nothing is wrong with a good one.
#include "weir/cluster/certificate.h"

#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#define NAME	  "weir:lab:3"
#define DAY_S	  86400
#define FILES_MAX 3

struct identity {
	EVP_PKEY *key;
	X509 *certificate;
};

// Of a certificate that is to be issued; zero is one that is good, by its common name.
struct order {
	const char *common_name, *uri, *usage;
	long from_s, until_s;
};

static char folder[] = "/tmp/weir_certificate_XXXXXX";
static char paths[FILES_MAX][64];
static const struct certificate_files files = {paths[0], paths[1], paths[2]};

static void extend(X509 *certificate, int nid, const char *value)
{
	X509_EXTENSION *extension = X509V3_EXT_nconf_nid(NULL, NULL, nid, value);

	assert_non_null(extension);
	assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
	X509_EXTENSION_free(extension);
}

// By itself where there is no CA, which then is one.
static struct identity issue(const struct identity *ca, struct order order)
{
	struct identity made = {EVP_EC_gen("P-256"), X509_new()};
	X509_NAME *subject = X509_get_subject_name(made.certificate);
	const char *name = order.common_name != NULL ? order.common_name : NAME;
	static long serial = 1;

	X509_set_version(made.certificate, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(made.certificate), serial++);
	X509_gmtime_adj(
		X509_getm_notBefore(made.certificate), order.from_s ? order.from_s : -DAY_S);
	X509_gmtime_adj(
		X509_getm_notAfter(made.certificate), order.until_s ? order.until_s : DAY_S);
	X509_set_pubkey(made.certificate, made.key);
	X509_NAME_add_entry_by_txt(
		subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
	X509_set_issuer_name(
		made.certificate, ca == NULL ? subject : X509_get_subject_name(ca->certificate));
	extend(made.certificate, NID_basic_constraints, ca == NULL ? "CA:TRUE" : "CA:FALSE");
	if (order.uri != NULL)
		extend(made.certificate, NID_subject_alt_name, order.uri);
	if (order.usage != NULL)
		extend(made.certificate, NID_ext_key_usage, order.usage);
	assert_true(X509_sign(made.certificate, ca == NULL ? made.key : ca->key, EVP_sha256()) > 0);
	return made;
}

static void forget(struct identity *identity)
{
	EVP_PKEY_free(identity->key);
	X509_free(identity->certificate);
}

static FILE *create(const char *path)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	return file;
}

static void save_certificate(const struct identity *identity, const char *path)
{
	FILE *file = create(path);

	assert_int_equal(PEM_write_X509(file, identity->certificate), 1);
	fclose(file);
}

static void save_key(const struct identity *identity, const char *path)
{
	FILE *file = create(path);

	assert_int_equal(PEM_write_PrivateKey(file, identity->key, NULL, NULL, 0, NULL, NULL), 1);
	fclose(file);
	assert_int_equal(chmod(path, 0600), 0);
}

// NULL: nothing is wrong. Else one fault, of that file, with these words.
static void expect(const char *file, const char *words)
{
	struct certificate_fault faults[CERTIFICATE_FAULTS_MAX];
	unsigned count = certificate_faults(&files, NAME, faults);

	for (unsigned i = 0; i < count; i++)
		print_message("  %s\n", faults[i].text);
	assert_int_equal(count, words != NULL);
	if (words == NULL)
		return;
	assert_ptr_equal(faults[0].file, file);
	assert_non_null(strstr(faults[0].text, words));
	assert_non_null(strstr(faults[0].text, file));
}

// A certificate of a CA whose file is there, and its key.
static void expect_of(struct order order, const char *words)
{
	struct identity ca = issue(NULL, (struct order){.common_name = "ca"});
	struct identity own = issue(&ca, order);

	save_certificate(&ca, files.ca);
	save_certificate(&own, files.certificate);
	save_key(&own, files.key);
	expect(files.certificate, words);
	forget(&own);
	forget(&ca);
}

static void names(void **state)
{
	(void)state;
	expect_of((struct order){.common_name = NAME}, NULL);
	expect_of((struct order){.common_name = "pop-d", .uri = "URI:" NAME}, NULL);
	expect_of((struct order){.common_name = "pop-d", .uri = "DNS:pop-d,URI:" NAME}, NULL);
	expect_of((struct order){.common_name = NAME, .uri = "DNS:pop-d"}, NULL);
	expect_of((struct order){.common_name = "weir:lab:4"}, "is not of \"weir:lab:3\"");
	expect_of((struct order){.common_name = NAME, .uri = "URI:weir:lab:4"},
		"is not of \"weir:lab:3\"");
	expect_of((struct order){.common_name = "pop-d", .uri = "DNS:" NAME},
		"is not of \"weir:lab:3\"");
}

static void dates(void **state)
{
	(void)state;
	expect_of((struct order){.until_s = -60}, "expired on ");
	expect_of((struct order){.from_s = 3600}, "is not valid before ");
}

static void authorities(void **state)
{
	struct identity ca = issue(NULL, (struct order){.common_name = "ca"});
	struct identity other = issue(NULL, (struct order){.common_name = "ca"});
	struct identity old = issue(NULL, (struct order){.common_name = "ca", .until_s = -60});
	struct identity own = issue(&other, (struct order){0}),
			aged = issue(&old, (struct order){0});

	(void)state;
	save_certificate(&ca, files.ca);
	save_certificate(&own, files.certificate);
	save_key(&own, files.key);
	expect(files.certificate, "is not vouched for by ");
	save_certificate(&other, files.ca);
	expect(files.certificate, NULL);
	// A CA's own end is not passed over.
	save_certificate(&old, files.ca);
	save_certificate(&aged, files.certificate);
	save_key(&aged, files.key);
	expect(files.certificate, "has expired");
	expect_of((struct order){.usage = "serverAuth"}, "purpose");
	expect_of((struct order){.usage = "clientAuth"}, "purpose");
	expect_of((struct order){.usage = "serverAuth,clientAuth"}, NULL);
	forget(&aged);
	forget(&own);
	forget(&old);
	forget(&other);
	forget(&ca);
}

static void keys(void **state)
{
	struct identity other = issue(NULL, (struct order){.common_name = "ca"});

	(void)state;
	expect_of((struct order){0}, NULL);
	assert_int_equal(chmod(files.key, 0640), 0);
	expect(files.key, "must not be open to others (chmod 600)");
	assert_int_equal(chmod(files.key, 0400), 0);
	expect(files.key, NULL);
	save_key(&other, files.key);
	expect(files.key, "is not the key of ");
	forget(&other);
}

static void all_at_once_and_none(void **state)
{
	struct certificate_fault faults[CERTIFICATE_FAULTS_MAX];
	struct identity ca = issue(NULL, (struct order){.common_name = "ca"});
	struct identity own = issue(NULL, (struct order){.common_name = "x", .until_s = -60});

	(void)state;
	save_certificate(&ca, files.ca);
	save_certificate(&own, files.certificate);
	save_key(&ca, files.key);
	assert_int_equal(chmod(files.key, 0644), 0);
	assert_int_equal(certificate_faults(&files, NAME, faults), CERTIFICATE_FAULTS_MAX);
	// What is no certificate, or not there, is told where it is to be used.
	fclose(create(files.certificate));
	unlink(files.key);
	expect(NULL, NULL);
	forget(&own);
	forget(&ca);
}

static int make_folder(void **state)
{
	(void)state;
	if (mkdtemp(folder) == NULL)
		return -1;
	for (unsigned i = 0; i < FILES_MAX; i++)
		snprintf(paths[i], sizeof(paths[i]), "%s/%u.pem", folder, i);
	return 0;
}

static int remove_folder(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FILES_MAX; i++)
		unlink(paths[i]);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),
		cmocka_unit_test(dates),
		cmocka_unit_test(authorities),
		cmocka_unit_test(keys),
		cmocka_unit_test(all_at_once_and_none),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
