#include "weir/cluster/credentials.h"

#include "base/check.h"
#include "weir/cluster/certificate.h"

#include <openssl/evp.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static size_t give_psk(void *context, uint16_t peer, uint8_t *out, size_t room)
{
	const struct psk *psk = context;

	(void)peer;
	if (psk->len > room)
		return 0;
	memcpy(out, psk->bytes, psk->len);
	return psk->len;
}

static const char *file_of(const struct config_cluster *config, unsigned file)
{
	const char *const files[CREDENTIAL_FILES] = {
		config->psk_file, config->certificate_file, config->key_file, config->ca_file};

	return files[file];
}

// All zero where it cannot be read.
static void digest_file(const char *path, uint8_t out[CREDENTIAL_DIGEST_BYTES])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	// O_NONBLOCK: as in psk_file_read().
	int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	uint8_t data[4096];
	ssize_t len = -1;

	memset(out, 0, CREDENTIAL_DIGEST_BYTES);
	if (context && file >= 0 && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1)
		while ((len = read(file, data, sizeof(data))) > 0)
			EVP_DigestUpdate(context, data, (size_t)len);
	if (len == 0)
		EVP_DigestFinal_ex(context, out, NULL);
	if (file >= 0)
		close(file);
	EVP_MD_CTX_free(context);
	OPENSSL_cleanse(data, sizeof(data));
}

const char *credentials_changed(const struct credentials *credentials,
	const struct config_cluster *config, unsigned file, const char **name)
{
	static const char *const keys[CREDENTIAL_FILES] = {"cluster.psk_file",
		"cluster.certificate_file", "cluster.key_file", "cluster.ca_file"};
	uint8_t digest[CREDENTIAL_DIGEST_BYTES];

	*name = file_of(config, file);
	if (**name == '\0')
		return NULL;
	digest_file(*name, digest);
	return memcmp(digest, credentials->digests[file], sizeof(digest)) != 0 ? keys[file] : NULL;
}

// The key whose file it is.
static const char *key_of(const struct config_cluster *config, const char *file)
{
	if (file == config->certificate_file)
		return "cluster.certificate_file";
	if (file == config->key_file)
		return "cluster.key_file";
	return file == config->ca_file ? "cluster.ca_file" : "cluster";
}

const char *credentials_open(
	struct credentials *out, const struct config_cluster *config, struct dtls_error *error)
{
	bool has_psk = config->psk_file[0] != '\0';
	struct dtls_config dtls = {
		.cluster = config->name,
		.id = config->id,
		.psk = has_psk ? give_psk : NULL,
		.psk_context = &out->psk,
		.certificate = config->certificate_file,
		.key = config->key_file,
		.ca = config->ca_file,
	};

	*out = (struct credentials){.dtls = NULL};
	for (unsigned i = 0; i < CREDENTIAL_FILES; i++)
		if (file_of(config, i)[0])
			digest_file(file_of(config, i), out->digests[i]);
	if (has_psk && psk_file_read(config->psk_file, &out->psk, error->text, sizeof(error->text)))
		return "cluster.psk_file";
	out->dtls = dtls_create(&dtls, error);
	if (out->dtls)
		return NULL;
	psk_wipe(&out->psk);
	return key_of(config, error->file);
}

void credentials_close(struct credentials *credentials)
{
	if (credentials->dtls)
		dtls_destroy(credentials->dtls);
	credentials->dtls = NULL;
	psk_wipe(&credentials->psk);
}

// Of the files of certificates, those that cannot even be read: the library names the first alone.
static unsigned check_readable(const struct config *config, struct config_errors *errors)
{
	const char *const files[] = {config->cluster.certificate_file, config->cluster.key_file,
		config->cluster.ca_file};
	unsigned missing = 0;

	for (unsigned i = 0; i < ARRAY_LEN(files); i++) {
		if (access(files[i], R_OK) == 0)
			continue;
		config_complain(config, key_of(&config->cluster, files[i]), errors, "%s: %s",
			files[i], strerror(errno));
		missing++;
	}
	return missing;
}

// What peers would refuse this node for. True where the key is at fault, too.
static bool check_certificate(const struct config *config, struct config_errors *errors)
{
	const struct config_cluster *cluster = &config->cluster;
	const struct certificate_files files = {
		cluster->certificate_file, cluster->key_file, cluster->ca_file};
	struct certificate_fault faults[CERTIFICATE_FAULTS_MAX];
	char name[CERTIFICATE_NAME_BYTES];
	bool of_key = false;

	snprintf(name, sizeof(name), "weir:%.63s:%u", cluster->name, cluster->id);
	unsigned count = certificate_faults(&files, name, faults);
	for (unsigned i = 0; i < count; i++) {
		config_complain(
			config, key_of(cluster, faults[i].file), errors, "%s", faults[i].text);
		of_key |= faults[i].file == cluster->key_file;
	}
	return of_key;
}

void credentials_check(const struct config *config, struct config_errors *errors)
{
	struct credentials credentials;
	struct dtls_error error;
	const char *wrong;
	bool has_psk = config->cluster.psk_file[0] != '\0', of_key;

	if (!config->cluster.enabled || (!has_psk && check_readable(config, errors) > 0))
		return;
	of_key = !has_psk && check_certificate(config, errors);
	wrong = credentials_open(&credentials, &config->cluster, &error);
	if (wrong && !(of_key && strcmp(wrong, "cluster.key_file") == 0))
		config_complain(config, wrong, errors, "%s", error.text);
	credentials_close(&credentials);
}
