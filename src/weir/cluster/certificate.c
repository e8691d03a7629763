#include "weir/cluster/certificate.h"

#include "weir/cluster/psk.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DATE_BYTES 64

// The certificate's own name: 1 it is this one, 0 it is not, -1 it has no URI.
static int has_uri(X509 *certificate, const char *name)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	int found = -1;

	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *one = sk_GENERAL_NAME_value(names, i);
		const ASN1_STRING *uri;

		if (one->type != GEN_URI)
			continue;
		uri = one->d.uniformResourceIdentifier;
		if (found < 0)
			found = 0;
		if ((size_t)ASN1_STRING_length(uri) == strlen(name) &&
			memcmp(ASN1_STRING_get0_data(uri), name, strlen(name)) == 0)
			found = 1;
	}
	GENERAL_NAMES_free(names);
	return found;
}

// True where the common name is this one: the only one, and without a NUL inside.
static bool has_common_name(X509 *certificate, const char *name)
{
	X509_NAME *subject = X509_get_subject_name(certificate);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *value;

	if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
		return false;
	value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at));
	return (size_t)ASN1_STRING_length(value) == strlen(name) &&
	       memcmp(ASN1_STRING_get0_data(value), name, strlen(name)) == 0;
}

bool certificate_is_of(X509 *certificate, const char *name)
{
	int uri = has_uri(certificate, name);

	return uri > 0 || (uri < 0 && has_common_name(certificate, name));
}

// One check of the files.
struct inspection {
	const struct certificate_files *files;
	const char *name;
	struct certificate_fault *faults;
	unsigned count;
	X509 *certificate;
	STACK_OF(X509) * chain; // what stands behind it in its file
	EVP_PKEY *key;
};

__attribute__((format(printf, 3, 4))) static void find_fault(
	struct inspection *inspection, const char *file, const char *format, ...)
{
	struct certificate_fault *fault = &inspection->faults[inspection->count++];
	va_list arguments;

	fault->file = file;
	va_start(arguments, format);
	vsnprintf(fault->text, sizeof(fault->text), format, arguments);
	va_end(arguments);
}

static void read_certificates(struct inspection *inspection)
{
	FILE *file = fopen(inspection->files->certificate, "re");
	X509 *one;

	if (file == NULL)
		return;
	inspection->certificate = PEM_read_X509_AUX(file, NULL, NULL, NULL);
	inspection->chain = sk_X509_new_null();
	while (inspection->chain != NULL && (one = PEM_read_X509(file, NULL, NULL, NULL)) != NULL)
		if (sk_X509_push(inspection->chain, one) == 0)
			X509_free(one);
	fclose(file);
}

// Nobody is asked for a passphrase.
static int no_passphrase(char *out, int room, int writing, void *context)
{
	(void)out;
	(void)room;
	(void)writing;
	(void)context;
	return -1;
}

static void read_key(struct inspection *inspection)
{
	FILE *file = fopen(inspection->files->key, "re");

	if (file == NULL)
		return;
	inspection->key = PEM_read_PrivateKey(file, NULL, no_passphrase, NULL);
	fclose(file);
}

static const char *date(const ASN1_TIME *when, char out[DATE_BYTES])
{
	BIO *memory = BIO_new(BIO_s_mem());
	int len = 0;

	if (memory != NULL && ASN1_TIME_print(memory, when) == 1)
		len = BIO_read(memory, out, DATE_BYTES - 1);
	out[len > 0 ? len : 0] = 0;
	BIO_free(memory);
	return out;
}

static void check_name_and_dates(struct inspection *inspection)
{
	const char *file = inspection->files->certificate;
	const ASN1_TIME *from = X509_get0_notBefore(inspection->certificate);
	const ASN1_TIME *until = X509_get0_notAfter(inspection->certificate);
	char text[DATE_BYTES];

	if (!certificate_is_of(inspection->certificate, inspection->name))
		find_fault(inspection, file,
			"%.200s is not of \"%s\", this node's name: it must be a URI of its "
			"subjectAltName, or without one its common name",
			file, inspection->name);
	if (X509_cmp_current_time(from) > 0)
		find_fault(
			inspection, file, "%.200s is not valid before %s", file, date(from, text));
	else if (X509_cmp_current_time(until) < 0)
		find_fault(inspection, file, "%.200s expired on %s", file, date(until, text));
}

// The certificate's own dates have their own words.
static int pass_dates(int good, X509_STORE_CTX *context)
{
	int error = X509_STORE_CTX_get_error(context);

	return good || (X509_STORE_CTX_get_error_depth(context) == 0 &&
			       (error == X509_V_ERR_CERT_NOT_YET_VALID ||
				       error == X509_V_ERR_CERT_HAS_EXPIRED));
}

// NULL: a peer of that role takes it. Handshakes begin from either side, so there are both.
static const char *why_refused(struct inspection *inspection, X509_STORE *store, int purpose)
{
	X509_STORE_CTX *context = X509_STORE_CTX_new();
	const char *why = "out of memory";

	if (context != NULL && X509_STORE_CTX_init(context, store, inspection->certificate,
				       inspection->chain) == 1) {
		X509_STORE_CTX_set_purpose(context, purpose);
		X509_STORE_CTX_set_verify_cb(context, pass_dates);
		why = X509_verify_cert(context) == 1
			      ? NULL
			      : X509_verify_cert_error_string(X509_STORE_CTX_get_error(context));
	}
	X509_STORE_CTX_free(context);
	return why;
}

static void check_authority(struct inspection *inspection)
{
	const char *file = inspection->files->certificate;
	X509_STORE *store = X509_STORE_new();
	const char *why = NULL;

	if (store != NULL && X509_STORE_load_file(store, inspection->files->ca) == 1) {
		why = why_refused(inspection, store, X509_PURPOSE_SSL_CLIENT);
		if (why == NULL)
			why = why_refused(inspection, store, X509_PURPOSE_SSL_SERVER);
	}
	if (why != NULL)
		find_fault(inspection, file, "%.150s is not vouched for by %.150s: %s", file,
			inspection->files->ca, why);
	X509_STORE_free(store);
}

static void check_key(struct inspection *inspection)
{
	const char *file = inspection->files->key;
	// O_NONBLOCK: as in psk_file_read().
	int opened = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	const char *why = opened < 0 ? NULL : why_not_private(opened);

	if (opened >= 0)
		close(opened);
	if (why != NULL)
		find_fault(inspection, file, "%.200s: %s", file, why);
	if (inspection->key != NULL && inspection->certificate != NULL &&
		X509_check_private_key(inspection->certificate, inspection->key) != 1)
		find_fault(inspection, file, "%.150s is not the key of %.150s", file,
			inspection->files->certificate);
}

unsigned certificate_faults(const struct certificate_files *files, const char *name,
	struct certificate_fault faults[CERTIFICATE_FAULTS_MAX])
{
	struct inspection inspection = {.files = files, .name = name, .faults = faults};

	read_certificates(&inspection);
	read_key(&inspection);
	if (inspection.certificate != NULL) {
		check_name_and_dates(&inspection);
		check_authority(&inspection);
	}
	check_key(&inspection);
	X509_free(inspection.certificate);
	sk_X509_pop_free(inspection.chain, X509_free);
	EVP_PKEY_free(inspection.key);
	ERR_clear_error();
	return inspection.count;
}
