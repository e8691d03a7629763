// A configuration file (libconfig 1.5) as typed values, and the policy built from it. The only user
// of libconfig. Every error is reported, not the first one alone: FILE:LINE: PATH: reason (did you
// mean ...?). INTERFACE section 1 is the format; cfg/schema.c is its one table, from which checks,
// defaults, `weir check --reference` and the documentation come.
#pragma once

#include "policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct document;

#define CONFIG_TEXT_BYTES 256
#define CONFIG_PORTS_MAX  8
#define CONFIG_CPUS_MAX	  64

#define CONFIG_PEERS_MAX 15

#define SIDE_SYNC 2 // of a port that leads to the other nodes and carries no packets of flows

struct config_port {
	char name[CONFIG_TEXT_BYTES];
	char device[CONFIG_TEXT_BYTES];
	uint8_t side; // enum side, or SIDE_SYNC
	uint16_t mtu;
};

struct config_eal {
	uint32_t workers;
	char cpus[CONFIG_TEXT_BYTES]; // "any", or a list such as "2-5,7"
	uint32_t memory_mb;
	uint8_t hugepages; // enum config_choice
	uint8_t idle;
};

enum config_choice {
	CHOICE_AUTO = 0,
	CHOICE_ON,
	CHOICE_OFF,
};

enum config_transport {
	TRANSPORT_PORT = 0,
	TRANSPORT_SOCKET,
};

struct config_peer {
	char name[CONFIG_TEXT_BYTES];
	uint16_t id;
	struct addr address;
	uint16_t udp_port;
};

// What of it a reload can change is in the policy: share, wait, wait_ms, on_timeout.
struct config_cluster {
	bool enabled; // the group is there; else nothing below counts
	uint16_t id, max_id;
	char name[CONFIG_TEXT_BYTES];
	uint8_t transport;	 // enum config_transport
	struct config_port port; // with TRANSPORT_PORT; not one of config.ports
	struct addr address;
	struct prefix network; // of `address`; the address alone where no length is given
	bool has_gateway;
	struct addr gateway;
	uint16_t udp_port;
	char psk_file[CONFIG_TEXT_BYTES]; // empty: certificates
	char certificate_file[CONFIG_TEXT_BYTES];
	char key_file[CONFIG_TEXT_BYTES];
	char ca_file[CONFIG_TEXT_BYTES];
	struct config_peer peers[CONFIG_PEERS_MAX];
	unsigned peer_count;
	uint32_t detect_ms;
	uint8_t backup; // 0: cyclic, 1: by connection
	uint32_t copies;
};

struct config {
	char file[CONFIG_TEXT_BYTES];
	char node[CONFIG_TEXT_BYTES];
	char runtime[CONFIG_TEXT_BYTES];
	char sha256[65]; // of the file's text and the --set values, in hex
	struct config_eal eal;
	struct config_port ports[CONFIG_PORTS_MAX]; // outside and inside
	unsigned port_count;
	struct config_cluster cluster;
	bool follow_link;
	uint32_t flow_capacity;
	char log_level[16];
	char log_to[CONFIG_TEXT_BYTES];
	struct policy *policy;	   // owned; config_take_policy() takes it
	struct document *document; // private: what config_dump() writes
};

struct config_error {
	char text[512]; // "FILE:LINE: PATH: reason (did you mean `x'?)"
	uint64_t order; // private
};

struct config_errors {
	struct config_error *list; // heap
	unsigned count;
};

// Checks `text`, the content of `file` (used in messages, and relative file names are relative to
// its folder), with `sets` ("PATH=VALUE", list elements by name: services.lab.mode=msyn) applied.
// Returns a configuration (config_free) or NULL with at least one error (none only where there is
// no memory to tell), in the order of the file's lines and then of the sets. The caller frees the
// errors (config_errors_free). No I/O, no privilege.
struct config *config_parse(const char *file, const char *text, const char *const *sets,
	unsigned set_count, struct config_errors *errors);
void config_free(struct config *config);
void config_errors_free(struct config_errors *errors);

// Adds what is accepted and hardly meant, as "FILE:LINE: PATH: warning: what": rules and services
// that nothing can reach, an MSS that ports have no room for, ports of a cluster that nothing uses,
// sharing that keeps it from working. The policy must not have been taken.
// `warnings` starts as {0}; the caller frees it (config_errors_free).
void config_warn(const struct config *config, struct config_errors *warnings);

// Adds "FILE:LINE: PATH: note: ..." with the value in force for each line of the file that a --set
// replaced by something else.
void config_overrides(const struct config *config, struct config_errors *notes);

// Adds "FILE:LINE: PATH: reason" about a key of the top level, for what is known only to who opens
// the files a configuration names. `errors` starts as {0}; the caller frees it.
__attribute__((format(printf, 4, 5))) void config_complain(const struct config *config,
	const char *path, struct config_errors *errors, const char *format, ...);

// Takes the policy out of the configuration; the caller frees it (policy_finish, free).
struct policy *config_take_policy(struct config *config);

// Writes a complete reference configuration, every key with its default, range, meaning and whether
// a reload applies it. Heap memory, NULL on failure.
char *config_reference(void);

// The effective configuration as libconfig text (`show config`), which config_parse() reads back as
// the same under the same file name. Heap memory.
char *config_dump(const struct config *config);
