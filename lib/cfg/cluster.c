// The group `cluster`: what its values have to do with each other and with `ports`, and what is
// built from it.
#include "base/addr.h"
#include "base/check.h"
#include "base/error.h"
#include "cfg/build.h"
#include "cfg/check.h"
#include "cfg/nearest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(TRANSPORT_PORT == 0 && TRANSPORT_SOCKET == 1, "order of \"port|socket\"");
_Static_assert(
	SHARE_FINDER == 0 && SHARE_ALL == 1 && SHARE_NONE == 2, "order of \"finder|all|none\"");

// Own address and what it says about those of the peers.
struct site {
	struct addr address;
	struct prefix network;
	bool known; // else it was reported
	bool has_length;
};

static const char *good_text(struct document *document, struct element *element, enum key key)
{
	const struct value *value = value_of(document, element, key);

	return value->bad ? NULL : value->text;
}

static bool on_port(const struct document *document)
{
	return document->values[KEY_CLUSTER_TRANSPORT].number == TRANSPORT_PORT;
}

// An address a host can have.
static bool is_host(const struct addr *addr)
{
	static const struct addr none;
	uint8_t first = addr_is_ip4(addr) ? addr->b[12] : addr->b[0];

	if (addr_is_ip4(addr))
		return first != 0 && first < 224;
	return first != 0xff && !addr_equal(addr, &none);
}

// "203.0.113.225/28": address and the network it lies in; without a length that is the address.
static int site_parse(struct site *site, const char *text)
{
	const char *slash = strchr(text, '/');
	char part[ADDR_TEXT_BYTES];
	unsigned bits, most;

	snprintf(part, sizeof(part), "%.*s", slash ? (int)(slash - text) : (int)sizeof(part), text);
	if (addr_parse(&site->address, part) != 0 || !is_host(&site->address))
		return -ERR_MALFORMED;
	most = bits = addr_is_ip4(&site->address) ? 32 : 128;
	site->has_length = slash != NULL;
	if (slash != NULL) {
		char *end;

		bits = (unsigned)strtoul(slash + 1, &end, 10);
		if (slash[1] < '0' || slash[1] > '9' || *end != '\0')
			return -ERR_MALFORMED;
	}
	if (bits == 0 || bits > most)
		return -ERR_RANGE;
	site->network =
		(struct prefix){.bits = (uint8_t)(128 - most + bits), .family = most == 32 ? 4 : 6};
	site->network.addr = addr_mask(&site->address, site->network.bits);
	return 0;
}

static void check_site(struct document *document, struct site *site)
{
	const char *text = good_text(document, NULL, KEY_CLUSTER_ADDRESS);
	int failed;

	if (text == NULL)
		return;
	failed = site_parse(site, text);
	if (failed == -ERR_RANGE)
		report(document, NULL, KEY_CLUSTER_ADDRESS, "the length of `%.64s' is not possible",
			text);
	else if (failed != 0)
		report(document, NULL, KEY_CLUSTER_ADDRESS,
			"`%.64s' is no address of a host, such as 203.0.113.225/28", text);
	else if (on_port(document) && !site->has_length)
		report(document, NULL, KEY_CLUSTER_ADDRESS,
			"transport = \"port\" needs the length of its network, such as %.40s/%d",
			text, site->network.family == 4 ? 28 : 64);
	else
		site->known = true;
}

static void check_gateway(struct document *document, const struct site *site)
{
	const char *text = good_text(document, NULL, KEY_CLUSTER_GATEWAY);
	struct addr addr;

	if (text == NULL || *text == '\0' || !site->known)
		return;
	if (addr_parse(&addr, text) != 0 || !is_host(&addr))
		report(document, NULL, KEY_CLUSTER_GATEWAY, "`%.64s' is no address of a host",
			text);
	else if (!prefix_contains(&site->network, &addr) || addr_equal(&addr, &site->address))
		report(document, NULL, KEY_CLUSTER_GATEWAY,
			"`%.64s' is no neighbour of cluster.address", text);
}

static bool has_gateway(struct document *document)
{
	const char *text = good_text(document, NULL, KEY_CLUSTER_GATEWAY);

	return text == NULL || *text != '\0';
}

static void check_peer_address(
	struct document *document, struct element *peer, const struct site *site)
{
	const char *text = good_text(document, peer, KEY_CLUSTER_PEERS_ADDRESS);
	struct addr addr;

	if (text == NULL)
		return;
	if (addr_parse(&addr, text) != 0 || !is_host(&addr))
		report(document, peer, KEY_CLUSTER_PEERS_ADDRESS,
			"`%.64s' is no address of a host, such as 203.0.113.226", text);
	else if (!site->known)
		return;
	else if (addr_equal(&addr, &site->address))
		report(document, peer, KEY_CLUSTER_PEERS_ADDRESS, "%.64s is this node's own", text);
	else if (addr_is_ip4(&addr) != addr_is_ip4(&site->address))
		report(document, peer, KEY_CLUSTER_PEERS_ADDRESS,
			"%.64s is of another family than cluster.address", text);
	else if (on_port(document) && !prefix_contains(&site->network, &addr) &&
		 !has_gateway(document))
		report(document, peer, KEY_CLUSTER_PEERS_ADDRESS,
			"%.64s is outside the network of cluster.address: give cluster.gateway",
			text);
}

// The element before `last` that has the same number, or NULL.
static struct element *same_id(struct document *document, unsigned last)
{
	struct value *peers = &document->values[KEY_CLUSTER_PEERS];
	const struct value *id = value_of(document, &peers->elements[last], KEY_CLUSTER_PEERS_ID);

	for (unsigned i = 0; i < last; i++) {
		const struct value *other =
			value_of(document, &peers->elements[i], KEY_CLUSTER_PEERS_ID);

		if (!other->bad && other->number == id->number)
			return &peers->elements[i];
	}
	return NULL;
}

static void check_peer_id(struct document *document, unsigned index)
{
	struct element *peer = &document->values[KEY_CLUSTER_PEERS].elements[index];
	const struct value *id = value_of(document, peer, KEY_CLUSTER_PEERS_ID);
	const struct value *own = &document->values[KEY_CLUSTER_ID];
	const struct value *most = &document->values[KEY_CLUSTER_MAX_ID];
	const struct element *other;

	if (id->bad)
		return;
	other = same_id(document, index);
	if (!own->bad && id->number == own->number)
		report(document, peer, KEY_CLUSTER_PEERS_ID,
			"%" PRId64 " is this node's own cluster.id", id->number);
	else if (!most->bad && id->number > most->number)
		report(document, peer, KEY_CLUSTER_PEERS_ID,
			"%" PRId64 " is above cluster.max_id, %" PRId64, id->number, most->number);
	else if (other != NULL)
		report(document, peer, KEY_CLUSTER_PEERS_ID, "%" PRId64 " is the id of %s, too",
			id->number, other->label);
}

// Datagrams are told apart by where they come from.
static void check_peer_unique(struct document *document, unsigned index)
{
	struct element *list = document->values[KEY_CLUSTER_PEERS].elements;
	const char *text = good_text(document, &list[index], KEY_CLUSTER_PEERS_ADDRESS);

	for (unsigned i = 0; text != NULL && i < index; i++) {
		const char *other = good_text(document, &list[i], KEY_CLUSTER_PEERS_ADDRESS);
		struct addr a, b;

		if (other == NULL || addr_parse(&a, text) != 0 || addr_parse(&b, other) != 0 ||
			!addr_equal(&a, &b))
			continue;
		report(document, &list[index], KEY_CLUSTER_PEERS_ADDRESS,
			"%.64s is the address of %s, too", text, list[i].label);
		return;
	}
}

static void check_peers(struct document *document, const struct site *site)
{
	struct value *peers = &document->values[KEY_CLUSTER_PEERS];
	const char *own = good_text(document, NULL, KEY_NODE);

	check_names(document, KEY_CLUSTER_PEERS, KEY_CLUSTER_PEERS_NAME);
	for (unsigned i = 0; i < peers->count; i++) {
		struct element *peer = &peers->elements[i];
		const char *name = good_text(document, peer, KEY_CLUSTER_PEERS_NAME);

		if (name != NULL && own != NULL && strcmp(name, own) == 0)
			report(document, peer, KEY_CLUSTER_PEERS_NAME,
				"`%.64s' is this node itself: name the others", name);
		check_peer_id(document, i);
		check_peer_address(document, peer, site);
		check_peer_unique(document, i);
	}
}

// The element of `ports` that cluster.port names, or NULL. Offers the names of sync ports.
static struct element *find_port(
	struct document *document, const char *name, struct nearest *nearest)
{
	struct value *ports = &document->values[KEY_PORTS];
	struct element *found = NULL;

	for (unsigned i = 0; i < ports->count; i++) {
		struct element *port = &ports->elements[i];
		const char *text = good_text(document, port, KEY_PORTS_NAME);

		if (text != NULL && strcmp(text, name) == 0)
			found = port;
		else if (text != NULL &&
			 value_of(document, port, KEY_PORTS_SIDE)->number == SIDE_SYNC)
			nearest_offer(nearest, text);
	}
	return found;
}

static void check_sync_port(struct document *document)
{
	const char *name = good_text(document, NULL, KEY_CLUSTER_PORT);
	struct nearest nearest;
	struct element *port;
	char hint[96];

	if (name == NULL || !on_port(document) || document->values[KEY_PORTS].bad)
		return;
	nearest = nearest_start(name);
	port = find_port(document, name, &nearest);
	if (*name == '\0')
		report(document, NULL, KEY_CLUSTER_PORT,
			"is missing: name a port with side = \"sync\", or set transport = "
			"\"socket\"");
	else if (port == NULL)
		report(document, NULL, KEY_CLUSTER_PORT, "there is no port `%.64s'%s", name,
			hint_format(nearest.best, hint, sizeof(hint)));
	else if (!value_of(document, port, KEY_PORTS_SIDE)->bad &&
		 value_of(document, port, KEY_PORTS_SIDE)->number != SIDE_SYNC)
		report(document, NULL, KEY_CLUSTER_PORT,
			"port %.64s carries data: give a port of its own with side = \"sync\"",
			name);
}

static bool has_text(struct document *document, enum key key)
{
	const char *text = good_text(document, NULL, key);

	return text == NULL || *text != '\0'; // one that was reported counts
}

static void check_credentials(struct document *document)
{
	static const enum key files[] = {
		KEY_CLUSTER_CERTIFICATE_FILE, KEY_CLUSTER_KEY_FILE, KEY_CLUSTER_CA_FILE};
	static const enum key all[] = {KEY_CLUSTER_PSK_FILE, KEY_CLUSTER_CERTIFICATE_FILE,
		KEY_CLUSTER_KEY_FILE, KEY_CLUSTER_CA_FILE};
	bool psk = has_text(document, KEY_CLUSTER_PSK_FILE);
	char path[CONFIG_TEXT_BYTES];
	unsigned given = 0;

	for (unsigned i = 0; i < ARRAY_LEN(files); i++)
		given += has_text(document, files[i]);
	if (psk && given > 0)
		report(document, NULL, KEY_CLUSTER_PSK_FILE,
			"either a key or certificates: leave psk_file or the other files out");
	else if (!psk && given == 0)
		report(document, NULL, KEY_CLUSTER_PSK_FILE,
			"is missing: give a file with the shared key, or certificate_file, "
			"key_file and ca_file");
	for (unsigned i = 0; !psk && given > 0 && i < ARRAY_LEN(files); i++)
		if (!has_text(document, files[i]))
			report(document, NULL, files[i],
				"is missing: certificates need certificate_file, key_file and "
				"ca_file");
	for (unsigned i = 0; i < ARRAY_LEN(all); i++) {
		const char *text = good_text(document, NULL, all[i]);

		if (text != NULL && !file_resolve(document->file, text, path, sizeof(path)))
			report(document, NULL, all[i], "the file name is too long");
	}
}

static void check_numbers(struct document *document)
{
	const struct value *id = &document->values[KEY_CLUSTER_ID];
	const struct value *most = &document->values[KEY_CLUSTER_MAX_ID];
	const struct value *copies = &document->values[KEY_CLUSTER_COPIES];
	const struct value *peers = &document->values[KEY_CLUSTER_PEERS];

	if (!id->bad && !most->bad && id->number > most->number)
		report(document, NULL, KEY_CLUSTER_ID,
			"%" PRId64 " is above cluster.max_id, %" PRId64, id->number, most->number);
	if (!peers->bad && peers->count == 0)
		report(document, NULL, KEY_CLUSTER_PEERS, "is empty: name at least one peer");
	else if (copies->given && !copies->bad && !peers->bad && copies->number > peers->count)
		report(document, NULL, KEY_CLUSTER_COPIES,
			"%" PRId64 " copies need as many peers; there are %u", copies->number,
			peers->count);
}

void check_cluster(struct document *document)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	const char *name = good_text(document, NULL, KEY_CLUSTER_NAME);
	struct site site = {.known = false};

	if (!document->values[KEY_CLUSTER].given)
		return;
	if (name != NULL && (*name == '\0' || name[strspn(name, allowed)] != '\0'))
		report(document, NULL, KEY_CLUSTER_NAME,
			"`%.64s' is no name of letters, digits, `-' and `_'", name);
	check_numbers(document);
	check_sync_port(document);
	check_site(document, &site);
	check_gateway(document, &site);
	check_credentials(document);
	check_peers(document, &site);
}

static int64_t number(struct document *document, struct element *element, enum key key)
{
	return value_of(document, element, key)->number;
}

static void text(char out[CONFIG_TEXT_BYTES], struct document *document, struct element *element,
	enum key key)
{
	snprintf(out, CONFIG_TEXT_BYTES, "%s", value_of(document, element, key)->text);
}

// Empty stays empty.
static void file_name(char out[CONFIG_TEXT_BYTES], struct document *document, enum key key)
{
	const char *name = document->values[key].text;

	out[0] = '\0';
	if (*name != '\0')
		CHECK(file_resolve(document->file, name, out, CONFIG_TEXT_BYTES));
}

static void build_address(struct config_cluster *cluster, struct document *document)
{
	const char *gateway = document->values[KEY_CLUSTER_GATEWAY].text;
	struct site site;

	CHECK(site_parse(&site, document->values[KEY_CLUSTER_ADDRESS].text) == 0);
	cluster->address = site.address;
	cluster->network = site.network;
	cluster->has_gateway = *gateway != '\0';
	if (cluster->has_gateway)
		CHECK(addr_parse(&cluster->gateway, gateway) == 0);
	cluster->udp_port = (uint16_t)number(document, NULL, KEY_CLUSTER_UDP_PORT);
}

static void build_peers(struct config_cluster *cluster, struct document *document)
{
	struct value *peers = &document->values[KEY_CLUSTER_PEERS];

	CHECK(peers->count <= ARRAY_LEN(cluster->peers));
	cluster->peer_count = peers->count;
	for (unsigned i = 0; i < peers->count; i++) {
		struct config_peer *peer = &cluster->peers[i];
		struct element *element = &peers->elements[i];
		int64_t udp_port = number(document, element, KEY_CLUSTER_PEERS_UDP_PORT);

		text(peer->name, document, element, KEY_CLUSTER_PEERS_NAME);
		peer->id = (uint16_t)number(document, element, KEY_CLUSTER_PEERS_ID);
		CHECK(addr_parse(&peer->address,
			      value_of(document, element, KEY_CLUSTER_PEERS_ADDRESS)->text) == 0);
		peer->udp_port = udp_port ? (uint16_t)udp_port : cluster->udp_port;
	}
}

static void build_transport(struct config_cluster *cluster, struct document *document)
{
	struct nearest nearest = nearest_start("");

	cluster->transport = (uint8_t)number(document, NULL, KEY_CLUSTER_TRANSPORT);
	if (cluster->transport == TRANSPORT_PORT)
		build_port(&cluster->port, document,
			find_port(document, document->values[KEY_CLUSTER_PORT].text, &nearest));
	file_name(cluster->psk_file, document, KEY_CLUSTER_PSK_FILE);
	file_name(cluster->certificate_file, document, KEY_CLUSTER_CERTIFICATE_FILE);
	file_name(cluster->key_file, document, KEY_CLUSTER_KEY_FILE);
	file_name(cluster->ca_file, document, KEY_CLUSTER_CA_FILE);
}

static void build_sharing(struct policy *policy, struct document *document)
{
	policy->clustered = true;
	policy->node_id = (uint16_t)number(document, NULL, KEY_CLUSTER_ID);
	policy->max_id = (uint16_t)number(document, NULL, KEY_CLUSTER_MAX_ID);
	policy->share = (uint8_t)number(document, NULL, KEY_CLUSTER_SHARE);
	policy->wait = (uint8_t)number(document, NULL, KEY_CLUSTER_WAIT);
	policy->timeouts.share_wait_ms = (uint32_t)number(document, NULL, KEY_CLUSTER_WAIT_MS);
	policy->drop_on_timeout = number(document, NULL, KEY_CLUSTER_ON_TIMEOUT) == 1;
}

void build_cluster(struct config *config, struct document *document)
{
	struct config_cluster *cluster = &config->cluster;

	if (!document->values[KEY_CLUSTER].given)
		return;
	cluster->enabled = true;
	cluster->id = (uint16_t)number(document, NULL, KEY_CLUSTER_ID);
	cluster->max_id = (uint16_t)number(document, NULL, KEY_CLUSTER_MAX_ID);
	text(cluster->name, document, NULL, KEY_CLUSTER_NAME);
	cluster->detect_ms = (uint32_t)number(document, NULL, KEY_CLUSTER_DETECT_MS);
	cluster->backup = (uint8_t)number(document, NULL, KEY_CLUSTER_BACKUP);
	cluster->copies = (uint32_t)number(document, NULL, KEY_CLUSTER_COPIES);
	build_address(cluster, document);
	build_peers(cluster, document);
	build_transport(cluster, document);
	build_sharing(config->policy, document);
}
