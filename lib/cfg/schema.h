// What a configuration file may say: one table, from which reading, range checks, "did you mean",
// the reference file and the dump are made. A key is added here and used in build.c; nothing else.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum schema_type {
	TYPE_INT,
	TYPE_BOOL,
	TYPE_TEXT,
	TYPE_CHOICE,   // the number is the position in `choices`
	TYPE_PROTOCOL, // a name of `choices`, or an IP protocol number
	TYPE_PREFIXES, // one string or several
	TYPE_RANGES,   // "80", "80,443", "1-65535", "any"; max bounds the numbers
	TYPE_GROUP,
	TYPE_LIST, // of groups, each with a `name`; max bounds the number of elements
};

// In the order of the file. A list is followed by the keys of its elements.
enum key {
	KEY_NODE,
	KEY_RUNTIME,
	KEY_EAL,
	KEY_EAL_WORKERS,
	KEY_EAL_CPUS,
	KEY_EAL_MEMORY_MB,
	KEY_EAL_HUGEPAGES,
	KEY_EAL_IDLE,
	KEY_PORTS,
	KEY_PORTS_NAME,
	KEY_PORTS_SIDE,
	KEY_PORTS_DEVICE,
	KEY_PORTS_MTU,
	KEY_FOLLOW_LINK,
	KEY_SERVICES,
	KEY_SERVICES_NAME,
	KEY_SERVICES_TO,
	KEY_SERVICES_PROTOCOL,
	KEY_SERVICES_PORTS,
	KEY_SERVICES_FROM,
	KEY_SERVICES_MODE,
	KEY_SERVICES_MSS,
	KEY_SERVICES_QUEUE_BYTES,
	KEY_SERVICES_FLOWS_MAX,
	KEY_SERVICES_PROFILE,
	KEY_SERVICES_PROFILE_WSCALE,
	KEY_SERVICES_PROFILE_SACK,
	KEY_SERVICES_PROFILE_TIMESTAMPS,
	KEY_SERVICES_PROFILE_ECN,
	KEY_RULES,
	KEY_RULES_NAME,
	KEY_RULES_FROM,
	KEY_RULES_SOURCE,
	KEY_RULES_TO,
	KEY_RULES_PROTOCOL,
	KEY_RULES_PORTS,
	KEY_RULES_SOURCE_PORTS,
	KEY_RULES_ICMP_TYPES,
	KEY_RULES_SIGNED,
	KEY_RULES_ACTION,
	KEY_FRAGMENTS,
	KEY_FLOWS,
	KEY_FLOWS_CAPACITY,
	KEY_FLOWS_EVICTION,
	KEY_LIMITS,
	KEY_LIMITS_PER_PREFIX_FLOWS,
	KEY_LIMITS_PREFIX4,
	KEY_LIMITS_PREFIX6,
	KEY_LIMITS_QUEUE_TOTAL_BYTES,
	KEY_LIMITS_BAD_ACK_PER_S,
	KEY_LIMITS_BAD_ACK_PREFIX_PER_S,
	KEY_LIMITS_RESET_PER_S,
	KEY_TIMEOUTS,
	KEY_TIMEOUTS_ESTABLISHED_S,
	KEY_TIMEOUTS_TRANSITORY_S,
	KEY_TIMEOUTS_UDP_S,
	KEY_TIMEOUTS_ICMP_S,
	KEY_TIMEOUTS_TIME_WAIT_S,
	KEY_TIMEOUTS_SERVER_SYN_RETRIES,
	KEY_TIMEOUTS_SERVER_SYN_MS,
	KEY_TIMEOUTS_BELOW_FLOOR,
	KEY_CLUSTER,
	KEY_CLUSTER_ID,
	KEY_CLUSTER_MAX_ID,
	KEY_CLUSTER_NAME,
	KEY_CLUSTER_TRANSPORT,
	KEY_CLUSTER_PORT,
	KEY_CLUSTER_ADDRESS,
	KEY_CLUSTER_GATEWAY,
	KEY_CLUSTER_UDP_PORT,
	KEY_CLUSTER_PSK_FILE,
	KEY_CLUSTER_CERTIFICATE_FILE,
	KEY_CLUSTER_KEY_FILE,
	KEY_CLUSTER_CA_FILE,
	KEY_CLUSTER_PEERS,
	KEY_CLUSTER_PEERS_NAME,
	KEY_CLUSTER_PEERS_ID,
	KEY_CLUSTER_PEERS_ADDRESS,
	KEY_CLUSTER_PEERS_UDP_PORT,
	KEY_CLUSTER_SHARE,
	KEY_CLUSTER_WAIT,
	KEY_CLUSTER_WAIT_MS,
	KEY_CLUSTER_ON_TIMEOUT,
	KEY_CLUSTER_DETECT_MS,
	KEY_CLUSTER_BACKUP,
	KEY_CLUSTER_COPIES,
	KEY_LOG,
	KEY_LOG_LEVEL,
	KEY_LOG_TO,
	KEY_COUNT,
	KEY_NONE = KEY_COUNT,
};

struct schema_key {
	const char *path; // "eal.workers"; of a list's elements "services.mode"
	enum schema_type type;
	const char *initial; // default, as text; NULL: must be given (groups and lists: none)
	int64_t min, max;
	int64_t floor;	     // below it only with timeouts.below_floor; 0: none
	const char *choices; // "a|b|c"
	const char *example; // for the reference and error texts, where there is no default
	bool restart;	     // a reload refuses a change
	bool optional;	     // a group whose presence means something: commented in the reference
	const char *doc;     // one sentence
};

extern const struct schema_key schema[KEY_COUNT];

// The key called `name` under `parent` (KEY_NONE: the top level), or KEY_NONE.
enum key schema_child(enum key parent, const char *name);

// First key behind everything under `key`.
enum key schema_end(enum key key);

// Last component of a key's path.
const char *schema_name(enum key key);

// The name most like `name` under `parent`, else the full path of a key of that name elsewhere.
// NULL where nothing comes near.
const char *schema_nearest(enum key parent, const char *name);

// Top-level groups that other versions have.
bool schema_is_later(const char *name);
#define SCHEMA_LATER "not part of this version; remove the group"

// Position of `word` in "a|b|c", or -1. Names it the other way round; NULL outside the list.
int choice_find(const char *choices, const char *word);
const char *choice_name(const char *choices, unsigned index, char *out, size_t size);

// A choice most like `word`, copied to out; NULL where none comes near.
const char *choice_nearest(const char *choices, const char *word, char *out, size_t size);
