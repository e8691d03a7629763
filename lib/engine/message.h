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
#define NODE_ALL	  (UINT16_MAX - 1) // every active node
#define NODES_MAX	  64		   // ids are 0..NODES_MAX - 1

enum message_type {
	// to the engine
	MESSAGE_POLICY = 1, // install body.policy; answered by MESSAGE_POLICY with the old one
	MESSAGE_EPOCH,	    // keys and announced profiles of an epoch
	MESSAGE_INSTALL, // install body.record as a copy of another node's flow; answered CONFIRMED
	MESSAGE_VIEW,	 // body.view: who is active, and whether cookies can be decoded
	MESSAGE_UNSENT,	 // body.flow: what was to be said of it to `node` found no room
	MESSAGE_RESYNC,	 // `node` is back or has room: say again what it missed (`why`)
	MESSAGE_QUERY,	 // what would happen to body.query (show why); answered REPLY
	MESSAGE_DUMP,	 // flows from body.dump.cursor on; answered REPLY
	MESSAGE_FLUSH,	 // remove all flows (tests, `clear flow all`)
	// both ways: to and from `node`
	MESSAGE_CONFIRMED, // body.flow is installed there
	MESSAGE_CHANGED,   // body.flow.bits became true of body.flow (enum flow_change)
	MESSAGE_FRAME,	   // a packet for the owner of body.flow, with where it arrived
	MESSAGE_NONE,	   // the FRAME about body.flow found no flow there
	MESSAGE_EMIT,	   // the FRAME's answer or translation: to be sent through frame_side
	// from the engine
	MESSAGE_OPENED, // share body.record with `node`, which gets it as INSTALL; with a frame:
			// that is to be sent to the client's side there
	MESSAGE_LEARNT, // what a server's SYN/ACK showed: body.learnt
	// from the cluster to the control core
	MESSAGE_SECRET,	  // body.secret: the cluster's, from an epoch on
	MESSAGE_PROFILES, // body.epoch without keys: what is announced in .keys.epoch; mss 0: not
			  // said
	MESSAGE_REPLY,
};

// The part of a flow that every node must have (TCP.md 7.2), no more.
struct flow_record {
	struct flow_key key;
	uint8_t mode;
	uint8_t state; // enum tcp_state
	uint8_t bits;  // enum flow_bit, of which FLOW_CLIENT_INSIDE and FLOW_CONFIRMED travel
	uint8_t wscale[2];
	uint16_t service; // this node's id of it; nodes agree on names
	uint16_t owner;
	uint16_t generation;
	uint32_t incarnation;
	struct translation translation;
	uint32_t cookie;
	uint32_t isn_client;
};

enum flow_change {
	CHANGE_FIN_CLIENT = 1 << 0,
	CHANGE_FIN_SERVER = 1 << 1,
	CHANGE_CLOSED = 1 << 2, // reset, expired or removed
};

// A flow that is spoken of. The engine names flows by key and incarnation; what comes from a peer
// has a digest instead (flow_digest), made with this node's table key, and no key: the first fields
// are all a cluster writes, and lie in the message's first line.
struct message_flow {
	uint64_t digest;
	uint32_t incarnation;
	uint16_t generation;
	uint8_t bits; // CHANGED: enum flow_change
	uint8_t spare;
	struct flow_key key;
};

struct message_view {
	uint64_t active; // bit i: node i is active; a node that is not is never waited for
	bool decodes;	 // the counter is agreed: m.SYN cookies can be made and read
};

struct message_secret {
	uint64_t generation;
	uint32_t first_epoch;
	uint8_t secret[KEYRING_SECRET_BYTES_MAX];
	uint16_t secret_len;
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
	WHY_OFFER, // handed to the node that may have its flow
};

// Whom an answer without a flow here would be offered to.
enum why_offered {
	WHY_OFFERED_NOBODY,
	WHY_OFFERED_OTHERS, // all other nodes
	WHY_OFFERED_OWNER,  // TCP: the node that its cookie names
};

struct message_why {
	uint64_t token;
	uint8_t verdict;       // enum why_verdict
	uint8_t reason;	       // enum reason, with WHY_DROP
	uint8_t mode;	       // enum flow_mode
	uint8_t limit;	       // enum reason: the limit a new flow would exceed now
	uint8_t synack;	       // enum why_verdict, of TCP: were it a SYN/ACK
	uint8_t synack_reason; // enum reason, where that is dropped
	uint8_t offered;       // enum why_offered
	bool others;	       // other nodes are active
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
	uint8_t why;	    // REPLY: to a QUERY (1) or a DUMP (0); RESYNC: it may lack anything;
			    // OPENED: with cookie and ISN
			    // (1), or what UNSENT named (0)
	uint16_t node;	    // node it goes to or comes from; NODE_NONE: this node's control core,
			    // NODE_ALL
	uint16_t worker;    // worker it goes to, where it goes to one
	uint16_t frame_len; // bytes at frame, 0: none
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
		struct message_flow flow;
		struct message_view view;
		struct message_secret secret;
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
