// The policy: rules, services, parameters, immutable once built. A new one replaces it by message;
// the worker hands the old one back, and only then is it freed.
#pragma once

#include "rule/rule.h"
#include "service/service.h"

#include <stdbool.h>
#include <stdint.h>

struct policy_limits {
	uint32_t per_prefix_flows;
	uint8_t prefix4; // bits of an IPv4 prefix (0..32)
	uint8_t prefix6; // bits of an IPv6 prefix (0..128)
	uint64_t queue_total_bytes;
	uint32_t bad_ack_per_s;	       // in total
	uint32_t bad_ack_prefix_per_s; // per source prefix
	uint32_t reset_per_s;	       // RSTs and challenges Weir sends, in total
};

struct policy_timeouts {
	uint32_t established_s;
	uint32_t transitory_s;
	uint32_t udp_s;
	uint32_t icmp_s;
	uint32_t time_wait_s;
	uint32_t server_syn_retries;
	uint32_t share_wait_ms; // how long queued segments wait for CONFIRMED (P4)
	uint32_t server_syn_ms; // first retry after this long, doubling (TCP.md 3.1: 1 s)
};

enum fragments {
	FRAGMENTS_DROP,
	FRAGMENTS_PASS,
};

enum eviction {
	EVICTION_UNTRUSTED_FIRST,
	EVICTION_NEVER,
};

// Who gets a connection's state, and whose confirmation its first segments wait for.
enum share {
	SHARE_FINDER = 0, // the node that saw the server's answer
	SHARE_ALL,
	SHARE_NONE,
};

// An index by name for `show rule hits`.
struct policy_rule {
	char name[RULE_NAME_BYTES];
	uint8_t action; // enum rule_action
};

struct policy {
	uint32_t generation;
	struct policy_rule *rules;
	uint32_t rule_count;
	struct rule_row *rows;
	uint32_t row_count;
	struct service *services;
	uint16_t service_count;
	uint16_t by_id[SERVICE_COUNT_MAX]; // index in services of each id, SERVICE_NONE
	struct classifier classifier;
	struct policy_limits limits;
	struct policy_timeouts timeouts;
	uint8_t fragments; // enum fragments
	uint8_t eviction;  // enum eviction
	uint16_t node_id;
	uint16_t max_id;
	uint8_t share;	      // enum share
	uint8_t wait;	      // enum share
	bool drop_on_timeout; // what becomes of a connection whose confirmation does not come
	bool clustered;	      // server SYNs carry m.SYN cookies, strangers' SYN/ACKs are decoded
};

// Defaults of limits and timeouts (INTERFACE section 1), no rule, no service. Deny everything.
void policy_init(struct policy *policy);

// Frees rules, rows, services and the classifier's state (heap memory of the builder), not
// `policy`.
void policy_finish(struct policy *policy);

// The name of a rule index; "default" for RULE_DEFAULT.
const char *policy_rule_name(const struct policy *policy, uint32_t rule);

// Gives every service its id and fills by_id: a service of the same name keeps the id it has in
// `previous` (NULL at start), others take free ones. Call once, before the policy is installed.
// -ERR_FULL where SERVICE_COUNT_MAX ids are not enough.
int policy_adopt(struct policy *policy, const struct policy *previous);

// The service with this id, or NULL.
const struct service *policy_service(const struct policy *policy, uint16_t id);
