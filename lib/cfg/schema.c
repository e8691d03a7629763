#include "cfg/schema.h"

#include "cfg/nearest.h"

#include <stdio.h>
#include <string.h>

#define MIB (INT64_C(1) << 20)

// clang-format off
const struct schema_key schema[KEY_COUNT] = {
	[KEY_NODE] = {"node", TYPE_TEXT, .example = "pop-a", .max = 63, .restart = true,
		.doc = "Name of this node: lower-case letters, digits and `-'."},
	[KEY_RUNTIME] = {"runtime", TYPE_TEXT, "", .max = 90, .example = "/run/weir/pop-a",
		.restart = true,
		.doc = "Folder for console.sock, lock, log and DPDK's files while the node runs; "
		       "default /run/weir/NODE."},

	[KEY_EAL] = {"eal", TYPE_GROUP, .restart = true,
		.doc = "Processors and memory."},
	[KEY_EAL_WORKERS] = {"eal.workers", TYPE_INT, "1", 1, 16, .restart = true,
		.doc = "Threads that forward packets."},
	[KEY_EAL_CPUS] = {"eal.cpus", TYPE_TEXT, "any", .max = 255, .restart = true,
		.doc = "Processors the workers are pinned to, such as \"2-5,7\"; any: they float."},
	[KEY_EAL_MEMORY_MB] = {"eal.memory_mb", TYPE_INT, "128", 32, 1 << 20, .restart = true,
		.doc = "Memory for packets and tables, MiB."},
	[KEY_EAL_HUGEPAGES] = {"eal.hugepages", TYPE_CHOICE, "auto", .choices = "auto|on|off",
		.restart = true,
		.doc = "Huge pages; auto: where the system has them."},
	[KEY_EAL_IDLE] = {"eal.idle", TYPE_CHOICE, "auto", .choices = "auto|on|off",
		.restart = true,
		.doc = "Nap when there is nothing to do; auto: on virtual devices."},

	[KEY_PORTS] = {"ports", TYPE_LIST, .max = 8, .restart = true,
		.example = "{ name = \"inside\"; side = \"inside\"; device = \"af_packet:inside\"; }",
		.doc = "At least one outside and one inside port."},
	[KEY_PORTS_NAME] = {"ports.name", TYPE_TEXT, .example = "outside", .max = 63,
		.restart = true,
		.doc = "Unique: letters, digits, `-' and `_'."},
	[KEY_PORTS_SIDE] = {"ports.side", TYPE_CHOICE, .example = "outside",
		.choices = "outside|inside|sync", .restart = true,
		.doc = "Towards the clients, the protected hosts, or the other nodes of a cluster."},
	[KEY_PORTS_DEVICE] = {"ports.device", TYPE_TEXT, .example = "af_packet:outside",
		.max = 255, .restart = true,
		.doc = "pci:0000:03:00.0 af_packet:IF af_xdp:IF memif:SOCKET ring:NAME "
		       "pcap:FILE[,loop] null tap:IF; of a veth pair with af_packet: ethtool -K IF "
		       "tx off tso off gso off gro off at both ends."},
	[KEY_PORTS_MTU] = {"ports.mtu", TYPE_INT, "1500", 68, 9600, .restart = true,
		.doc = "Largest IP packet, bytes."},
	[KEY_FOLLOW_LINK] = {"follow_link", TYPE_BOOL, "false", .restart = true,
		.doc = "Take the other side's links down while one side has none; "
		       "--set ports.follow_link is the same."},

	[KEY_SERVICES] = {"services", TYPE_LIST, .max = 256,
		.doc = "How connections that a rule allows are handled; the first match counts."},
	[KEY_SERVICES_NAME] = {"services.name", TYPE_TEXT, .example = "lab", .max = 63,
		.doc = "Unique: letters, digits, `-' and `_'."},
	[KEY_SERVICES_TO] = {"services.to", TYPE_PREFIXES, .max = 64,
		.example = "198.51.100.0/24, 2001:db8:2::/64",
		.doc = "The protected prefixes."},
	[KEY_SERVICES_PROTOCOL] = {"services.protocol", TYPE_PROTOCOL, "tcp", 1, 255,
		.choices = "any|tcp|udp|icmp",
		.doc = "any, tcp, udp or icmp (the ICMP of the packet's family)."},
	[KEY_SERVICES_PORTS] = {"services.ports", TYPE_RANGES, "any", 0, 65535,
		.example = "80,443",
		.doc = "Destination ports of tcp or udp, such as \"80,443,8000-8080\"; 64 ranges at most."},
	[KEY_SERVICES_FROM] = {"services.from", TYPE_CHOICE, "outside",
		.choices = "any|outside|inside",
		.doc = "Side the connection is opened from."},
	[KEY_SERVICES_MODE] = {"services.mode", TYPE_CHOICE, "proxy",
		.choices = "proxy|msyn|track|bypass",
		.doc = "SYN cookies and ACK queue; m.SYN cookies (a cluster); plain state; none."},
	[KEY_SERVICES_MSS] = {"services.mss", TYPE_INT, "1460", 64, 9560,
		.doc = "Largest segment announced to clients, bytes."},
	[KEY_SERVICES_QUEUE_BYTES] = {"services.queue_bytes", TYPE_INT, "16384", 0, MIB,
		.doc = "ACK queue of one connection and, up to 65535, the window announced."},
	[KEY_SERVICES_FLOWS_MAX] = {"services.flows_max", TYPE_INT, "0", 0, 1 << 28,
		.doc = "Flows of this service at most; 0: no limit of its own."},
	[KEY_SERVICES_PROFILE] = {"services.profile", TYPE_GROUP, .optional = true,
		.doc = "What the SYN/ACK announces, fixed; without it, it is learnt from the servers."},
	[KEY_SERVICES_PROFILE_WSCALE] = {"services.profile.wscale", TYPE_INT, "7", 0, 15,
		.doc = "Window scale shift; 15: not announced."},
	[KEY_SERVICES_PROFILE_SACK] = {"services.profile.sack", TYPE_BOOL, "true",
		.doc = "Selective acknowledgements."},
	[KEY_SERVICES_PROFILE_TIMESTAMPS] = {"services.profile.timestamps", TYPE_BOOL, "false",
		.doc = "Timestamps."},
	[KEY_SERVICES_PROFILE_ECN] = {"services.profile.ecn", TYPE_BOOL, "false",
		.doc = "Explicit congestion notification."},

	[KEY_RULES] = {"rules", TYPE_LIST, .max = 65536,
		.doc = "What may start something; first match wins, a last rule `default' denies all."},
	[KEY_RULES_NAME] = {"rules.name", TYPE_TEXT, .example = "servers", .max = 63,
		.doc = "Unique: letters, digits, `-' and `_'."},
	[KEY_RULES_FROM] = {"rules.from", TYPE_CHOICE, "any", .choices = "any|outside|inside",
		.example = "outside", .doc = "Side of arrival."},
	[KEY_RULES_SOURCE] = {"rules.source", TYPE_PREFIXES, "any", .max = 65536,
		.doc = "Source prefixes."},
	[KEY_RULES_TO] = {"rules.to", TYPE_PREFIXES, "any", .max = 65536,
		.example = "198.51.100.0/24, 2001:db8:2::/64",
		.doc = "Destination prefixes."},
	[KEY_RULES_PROTOCOL] = {"rules.protocol", TYPE_PROTOCOL, "any", 1, 255,
		.choices = "any|tcp|udp|icmp", .example = "tcp",
		.doc = "any, tcp, udp, icmp (the ICMP of the packet's family) or an IP protocol number."},
	[KEY_RULES_PORTS] = {"rules.ports", TYPE_RANGES, "any", 0, 65535,
		.example = "80,443",
		.doc = "Destination ports of tcp or udp, such as \"80,443,8000-8080\"."},
	[KEY_RULES_SOURCE_PORTS] = {"rules.source_ports", TYPE_RANGES, "any", 0, 65535,
		.doc = "Source ports of tcp or udp."},
	[KEY_RULES_ICMP_TYPES] = {"rules.icmp_types", TYPE_RANGES, "any", 0, 255,
		.doc = "Types of protocol icmp, such as [ 8, 128 ] (echo request of both families)."},
	[KEY_RULES_SIGNED] = {"rules.signed", TYPE_BOOL, "false",
		.doc = "Let connections signed with TCP-MD5 or TCP-AO pass untouched."},
	[KEY_RULES_ACTION] = {"rules.action", TYPE_CHOICE, .example = "allow",
		.choices = "allow|deny", .doc = "What happens."},

	[KEY_FRAGMENTS] = {"fragments", TYPE_CHOICE, "drop", .choices = "drop|pass",
		.doc = "What becomes of IP fragments."},

	[KEY_FLOWS] = {"flows", TYPE_GROUP, .doc = "The flow table."},
	[KEY_FLOWS_CAPACITY] = {"flows.capacity", TYPE_INT, "65536", 1024, 1 << 28,
		.restart = true,
		.doc = "Flows at most, all workers together."},
	[KEY_FLOWS_EVICTION] = {"flows.eviction", TYPE_CHOICE, "untrusted_first",
		.choices = "untrusted_first|never",
		.doc = "What a full table does: let an unproven flow go, or refuse the new one."},

	[KEY_LIMITS] = {"limits", TYPE_GROUP, .doc = "Bounds on what one source, or all, can use."},
	[KEY_LIMITS_PER_PREFIX_FLOWS] = {"limits.per_prefix_flows", TYPE_INT, "4096", 1, 1 << 28,
		.doc = "Flows of one source prefix."},
	[KEY_LIMITS_PREFIX4] = {"limits.prefix4", TYPE_INT, "24", 0, 32,
		.doc = "Bits of an IPv4 source prefix."},
	[KEY_LIMITS_PREFIX6] = {"limits.prefix6", TYPE_INT, "56", 0, 128,
		.doc = "Bits of an IPv6 source prefix."},
	[KEY_LIMITS_QUEUE_TOTAL_BYTES] = {"limits.queue_total_bytes", TYPE_INT, "8388608",
		65536, MIB * MIB,
		.doc = "All ACK queues together."},
	[KEY_LIMITS_BAD_ACK_PER_S] = {"limits.bad_ack_per_s", TYPE_INT, "10000", 1, 1000000000,
		.doc = "ACKs that prove no cookie and are still examined, in total; above, "
		       "a quarter per prefix."},
	[KEY_LIMITS_BAD_ACK_PREFIX_PER_S] = {"limits.bad_ack_prefix_per_s", TYPE_INT, "100",
		1, 1000000000,
		.doc = "The same, of one source prefix."},
	[KEY_LIMITS_RESET_PER_S] = {"limits.reset_per_s", TYPE_INT, "1000", 1, 1000000000,
		.doc = "Resets and challenges sent, in total."},

	[KEY_TIMEOUTS] = {"timeouts", TYPE_GROUP, .doc = "How long state is kept without traffic."},
	[KEY_TIMEOUTS_ESTABLISHED_S] = {"timeouts.established_s", TYPE_INT, "7440", 1, 2592000,
		.floor = 7440,
		.doc = "Established TCP connections (RFC 5382: 2 h 4 min)."},
	[KEY_TIMEOUTS_TRANSITORY_S] = {"timeouts.transitory_s", TYPE_INT, "240", 1, 86400,
		.floor = 240,
		.doc = "TCP connections that open or close (RFC 5382: 4 min)."},
	[KEY_TIMEOUTS_UDP_S] = {"timeouts.udp_s", TYPE_INT, "120", 1, 86400, .floor = 120,
		.doc = "UDP (RFC 4787: 2 min)."},
	[KEY_TIMEOUTS_ICMP_S] = {"timeouts.icmp_s", TYPE_INT, "60", 1, 86400, .floor = 60,
		.doc = "ICMP queries (RFC 5508: 60 s)."},
	[KEY_TIMEOUTS_TIME_WAIT_S] = {"timeouts.time_wait_s", TYPE_INT, "120", 1, 86400,
		.floor = 120,
		.doc = "Closed TCP connections: twice the segment lifetime."},
	[KEY_TIMEOUTS_SERVER_SYN_RETRIES] = {"timeouts.server_syn_retries", TYPE_INT, "3", 0, 10,
		.doc = "Repeats of the SYN to a server before the client is reset."},
	[KEY_TIMEOUTS_SERVER_SYN_MS] = {"timeouts.server_syn_ms", TYPE_INT, "1000", 100, 60000,
		.doc = "Wait before the first repeat; it doubles each time."},
	[KEY_TIMEOUTS_BELOW_FLOOR] = {"timeouts.below_floor", TYPE_BOOL, "false",
		.doc = "Accept times below the floors of the RFCs, for a lab."},

	[KEY_CLUSTER] = {"cluster", TYPE_GROUP, .optional = true,
		.doc = "Nodes that share connections; without it the node is on its own."},
	[KEY_CLUSTER_ID] = {"cluster.id", TYPE_INT, .example = "0", .max = 63, .restart = true,
		.doc = "Number of this node, unique in the cluster; it travels in m.SYN cookies."},
	[KEY_CLUSTER_MAX_ID] = {"cluster.max_id", TYPE_INT, "15", 0, 63, .restart = true,
		.doc = "Highest number any node has; the same on all of them."},
	[KEY_CLUSTER_NAME] = {"cluster.name", TYPE_TEXT, .example = "lab", .max = 63,
		.restart = true,
		.doc = "Name of the cluster, the same on all nodes: letters, digits, `-' and `_'."},
	[KEY_CLUSTER_TRANSPORT] = {"cluster.transport", TYPE_CHOICE, "port",
		.choices = "port|socket", .restart = true,
		.doc = "port: a port of `ports' with side = \"sync\"; socket: UDP of the system, from an address of its own."},
	[KEY_CLUSTER_PORT] = {"cluster.port", TYPE_TEXT, "", .max = 63, .example = "sync",
		.restart = true,
		.doc = "Name of that port, with transport = \"port\"."},
	[KEY_CLUSTER_ADDRESS] = {"cluster.address", TYPE_TEXT, .example = "203.0.113.225/28",
		.max = 63, .restart = true,
		.doc = "Own address; with transport = \"port\" with the length of its network."},
	[KEY_CLUSTER_GATEWAY] = {"cluster.gateway", TYPE_TEXT, "", .max = 63,
		.example = "203.0.113.238", .restart = true,
		.doc = "Router to peers outside that network, with transport = \"port\"."},
	[KEY_CLUSTER_UDP_PORT] = {"cluster.udp_port", TYPE_INT, "47800", 1, 65535,
		.restart = true,
		.doc = "Own UDP port."},
	[KEY_CLUSTER_PSK_FILE] = {"cluster.psk_file", TYPE_TEXT, "", .max = 255,
		.example = "psk", .restart = true,
		.doc = "File with the key peers prove they know, readable by its owner alone. "
		       "Relative names of files are looked for beside this one."},
	[KEY_CLUSTER_CERTIFICATE_FILE] = {"cluster.certificate_file", TYPE_TEXT, "", .max = 255,
		.restart = true,
		.doc = "Own certificate (PEM), instead of psk_file."},
	[KEY_CLUSTER_KEY_FILE] = {"cluster.key_file", TYPE_TEXT, "", .max = 255, .restart = true,
		.doc = "Key of that certificate (PEM)."},
	[KEY_CLUSTER_CA_FILE] = {"cluster.ca_file", TYPE_TEXT, "", .max = 255, .restart = true,
		.doc = "Certificates that sign those of the peers (PEM)."},
	[KEY_CLUSTER_PEERS] = {"cluster.peers", TYPE_LIST, .max = 15, .restart = true,
		.doc = "The other nodes."},
	[KEY_CLUSTER_PEERS_NAME] = {"cluster.peers.name", TYPE_TEXT, .example = "pop-b",
		.max = 63, .restart = true,
		.doc = "Its `node'."},
	[KEY_CLUSTER_PEERS_ID] = {"cluster.peers.id", TYPE_INT, .example = "1", .max = 63,
		.restart = true,
		.doc = "Its cluster.id."},
	[KEY_CLUSTER_PEERS_ADDRESS] = {"cluster.peers.address", TYPE_TEXT,
		.example = "203.0.113.226", .max = 63, .restart = true,
		.doc = "Its cluster.address."},
	[KEY_CLUSTER_PEERS_UDP_PORT] = {"cluster.peers.udp_port", TYPE_INT, "0", 0, 65535,
		.restart = true,
		.doc = "Its UDP port; 0: the same as cluster.udp_port."},
	[KEY_CLUSTER_SHARE] = {"cluster.share", TYPE_CHOICE, "finder", .choices = "finder|all|none",
		.doc = "Who gets a new connection: the node that met its answer, all nodes, nobody "
		       "(symmetric routing only: other nodes drop its packets)."},
	[KEY_CLUSTER_WAIT] = {"cluster.wait", TYPE_CHOICE, "finder", .choices = "finder|all|none",
		.doc = "Whose confirmation the client's first packets wait for."},
	[KEY_CLUSTER_WAIT_MS] = {"cluster.wait_ms", TYPE_INT, "200", 1, 999,
		.doc = "How long they wait at most."},
	[KEY_CLUSTER_ON_TIMEOUT] = {"cluster.on_timeout", TYPE_CHOICE, "forward",
		.choices = "forward|drop",
		.doc = "What becomes of them then."},
	[KEY_CLUSTER_DETECT_MS] = {"cluster.detect_ms", TYPE_INT, "100", 20, 10000,
		.restart = true,
		.doc = "A peer that is not heard for this long is down."},
	[KEY_CLUSTER_BACKUP] = {"cluster.backup", TYPE_CHOICE, "cyclic",
		.choices = "cyclic|connection", .restart = true,
		.doc = "Who backs up whom: each node its neighbour, or by connection."},
	[KEY_CLUSTER_COPIES] = {"cluster.copies", TYPE_INT, "1", 0, 15, .restart = true,
		.doc = "Backup copies of a connection."},

	[KEY_LOG] = {"log", TYPE_GROUP, .doc = "Messages."},
	[KEY_LOG_LEVEL] = {"log.level", TYPE_CHOICE, "info",
		.choices = "error|warning|info|debug",
		.doc = "The least important that is written."},
	[KEY_LOG_TO] = {"log.to", TYPE_TEXT, "auto", .max = 255, .restart = true,
		.doc = "auto (stderr and RUNTIME/log while it runs), stderr, syslog or a file name "
		       "with a slash."},
};
// clang-format on

bool schema_is_later(const char *name)
{
	static const char *const groups[] = {
		"helpers", "nat", "agents", "relay", "contact", "capture", "metrics"};

	for (unsigned i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		if (strcmp(groups[i], name) == 0)
			return true;
	return false;
}

// Length of the path of `parent` with its dot.
static size_t parent_len(enum key parent)
{
	return parent == KEY_NONE ? 0 : strlen(schema[parent].path) + 1;
}

static bool is_under(enum key key, enum key parent)
{
	size_t len = parent_len(parent);

	if (parent == KEY_NONE)
		return true;
	return strncmp(schema[key].path, schema[parent].path, len - 1) == 0 &&
	       schema[key].path[len - 1] == '.';
}

static bool is_child(enum key key, enum key parent)
{
	return is_under(key, parent) && strchr(schema[key].path + parent_len(parent), '.') == NULL;
}

enum key schema_child(enum key parent, const char *name)
{
	for (enum key key = 0; key < KEY_COUNT; key++)
		if (is_child(key, parent) && strcmp(schema_name(key), name) == 0)
			return key;
	return KEY_NONE;
}

enum key schema_end(enum key key)
{
	enum key end = key + 1;

	while (end < KEY_COUNT && is_under(end, key))
		end++;
	return end;
}

const char *schema_name(enum key key)
{
	const char *dot = strrchr(schema[key].path, '.');

	return dot ? dot + 1 : schema[key].path;
}

const char *schema_nearest(enum key parent, const char *name)
{
	struct nearest nearest = nearest_start(name);

	for (enum key key = 0; key < KEY_COUNT; key++)
		if (is_child(key, parent))
			nearest_offer(&nearest, schema_name(key));
	if (nearest.best != NULL)
		return nearest.best;
	for (enum key key = 0; key < KEY_COUNT; key++)
		if (strcmp(schema_name(key), name) == 0)
			return schema[key].path;
	return NULL;
}

const char *choice_name(const char *choices, unsigned index, char *out, size_t size)
{
	while (index > 0) {
		choices = strchr(choices, '|');
		if (choices == NULL)
			return NULL;
		choices++;
		index--;
	}
	snprintf(out, size, "%.*s", (int)strcspn(choices, "|"), choices);
	return out;
}

int choice_find(const char *choices, const char *word)
{
	char name[64];

	for (int i = 0; choice_name(choices, (unsigned)i, name, sizeof(name)) != NULL; i++)
		if (strcmp(name, word) == 0)
			return i;
	return -1;
}

const char *choice_nearest(const char *choices, const char *word, char *out, size_t size)
{
	struct nearest nearest = nearest_start(word);
	char name[64];
	int best = -1;

	for (int i = 0; choice_name(choices, (unsigned)i, name, sizeof(name)) != NULL; i++)
		if (nearest_offer(&nearest, name))
			best = i;
	return best < 0 ? NULL : choice_name(choices, (unsigned)best, out, size);
}
