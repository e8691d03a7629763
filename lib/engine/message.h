// Messages between a worker's engine and everything else: control core, other workers, other
// nodes. Fixed header, typed body, optional copied frame. Cells are lent, never owned: the engine
// reads those in batch->messages_in and fills those in batch->messages_out during one call.
#pragma once

#include "cookie/keyring.h"
#include "flow/flow.h"
#include "service/service.h"

#include <stdbool.h>
#include <stdint.h>

#define MESSAGE_FRAME_MAX 2048 // longest frame a message carries
#define MESSAGE_FLOWS_MAX 16   // flow records in one REPLY
#define NODE_NONE	  UINT16_MAX

enum message_type {
	// to the engine
	MESSAGE_POLICY = 1, // install body.policy; answered by MESSAGE_POLICY with the old one
	MESSAGE_EPOCH,	    // keys and announced profiles of an epoch
	MESSAGE_INSTALL, // install body.record as a copy of another node's flow; answered CONFIRMED
	MESSAGE_UPDATE,	 // running part of a flow held here as a copy
	MESSAGE_DELETE,	 // tombstone of an incarnation
	MESSAGE_QUERY,	 // what would happen to body.query (show why); answered REPLY
	MESSAGE_DUMP,	 // flows from body.dump.cursor on; answered REPLY
	MESSAGE_FLUSH,	 // remove all flows (tests, `clear flow all`)
	// both ways
	MESSAGE_CONFIRMED, // `node` has installed body.record's key and incarnation
	MESSAGE_FRAME,	   // a SYN/ACK or refusal for the owner, with where it arrived
	// from the engine
	MESSAGE_OPENED, // share this flow with `node` (NODE_NONE: by policy)
	MESSAGE_CHANGED,
	MESSAGE_CLOSED,
	MESSAGE_LEARNT, // what a server's SYN/ACK showed: body.learnt
	MESSAGE_REPLY,
};

// The part of a flow that every node must have (TCP.md 7.2), no more.
struct flow_record {
	struct flow_key key;
	uint8_t mode;
	uint8_t state; // enum tcp_state
	uint8_t bits;  // enum flow_bit, of which FLOW_CLIENT_INSIDE and FLOW_CONFIRMED travel
	uint8_t wscale[2];
	uint16_t service; // index; the clusters' policies agree on names (issue: two PoPs)
	uint16_t owner;
	uint16_t generation;
	uint32_t incarnation;
	struct translation translation;
	uint32_t cookie;
	uint32_t isn_client;
};

// A row of `show flow`.
struct flow_row {
	struct flow_record record;
	uint8_t copy;
	uint8_t half;
	uint32_t idle_ms;
};

struct message_query {
	uint64_t token; // of the asker, returned
	uint8_t protocol;
	uint8_t side; // enum side the packet would arrive on
	struct tuple tuple;
};

enum why_verdict {
	WHY_ALLOW,  // forwarded by a rule and a service, or by an existing flow
	WHY_COOKIE, // answered with a SYN cookie
	WHY_DROP,
};

struct message_why {
	uint64_t token;
	uint8_t verdict; // enum why_verdict
	uint8_t reason;	 // enum reason, with WHY_DROP
	uint8_t mode;	 // enum flow_mode
	bool has_flow;
	uint32_t rule; // index, RULE_DEFAULT; of the rule list, whether or not a flow exists
	uint16_t service;
	struct flow_row flow;
};

struct message_dump {
	uint64_t token;
	uint32_t cursor;   // first index; in the reply: where to go on, FLOW_NONE at the end
	uint32_t scan_max; // entries to look at, at most
	bool matched;	   // use `match`
	uint8_t protocol;  // 0: any
	struct prefix client, server;
	uint16_t client_port, server_port; // 0: any
};

struct message {
	uint8_t type;	    // enum message_type
	uint8_t why;	    // REPLY: to a QUERY (1) or a DUMP (0)
	uint16_t node;	    // node it goes to or comes from; NODE_NONE: this node's control core
	uint16_t worker;    // worker it goes to, where it goes to one
	uint16_t frame_len; // bytes at frame, 0: none
	uint8_t frame_port;
	uint8_t frame_side;
	uint8_t flow_count; // REPLY to a DUMP: rows in body.flows
	union {
		const struct policy *policy;
		struct {
			struct epoch_keys keys;
			uint16_t service_count;
			struct profile profiles[SERVICE_COUNT_MAX];
		} epoch;
		struct flow_record record;
		struct message_query query;
		struct message_why reply;
		struct {
			struct message_dump dump;
			struct flow_row rows[MESSAGE_FLOWS_MAX];
		} flows; // DUMP uses .dump, its REPLY both
		struct {
			uint16_t service;
			struct profile profile;
		} learnt;
	} body;
	uint8_t frame[MESSAGE_FRAME_MAX];
};
