// Drop reasons. This list is the only one: console, JSON, metrics and captures take their names
// from it, and test/unit/reason_test.c asserts that each one can be produced.
#pragma once

// X(NAME, what it means)
#define REASONS(X)                                                                                 \
	X(malformed, "a header is truncated or contradicts itself")                                \
	X(bad_checksum, "the IPv4, TCP, UDP or ICMP checksum is wrong")                            \
	X(bad_option, "a TCP or IP option is malformed, or forbidden by policy")                   \
	X(bad_flags, "a combination of TCP flags no connection uses")                              \
	X(bad_address, "a source or destination that cannot be, or TCP/UDP port 0")                \
	X(fragment, "a fragment the policy or RFC 1858, 3128, 7112 forbids")                       \
	X(rule_denied, "a rule, or the implied last one, denies it")                               \
	X(no_flow, "belongs to no known connection")                                               \
	X(bad_cookie, "an ACK whose number is no cookie of ours")                                  \
	X(out_of_window, "a sequence number outside the receiver's window (RFC 5961)")             \
	X(bad_ack, "an acknowledgement of what was never sent (RFC 5961 5.2)")                     \
	X(queue_full, "the ACK queue of the flow, or all queues together, are full")               \
	X(queue_replaced, "a queued segment that a retransmission covers")                         \
	X(flow_limit, "the service's limit of flows is reached")                                   \
	X(prefix_limit, "the source prefix's limit of flows is reached")                           \
	X(table_full, "the flow table is full and nothing less trusted could go")                  \
	X(rate_limited,                                                                            \
		"a rate limit: bad ACKs, challenges, ICMP, resets, what is asked of other nodes")  \
	X(server_timeout, "the server did not answer the SYN in time")                             \
	X(server_refused, "the server refused, or lacks what the client was promised")             \
	X(client_reset, "the client reset the connection before the server answered")              \
	X(hold_timeout, "held longer than its deadline")                                           \
	X(no_owner,                                                                                \
		"of another node's flow that no active node has; a SYN/ACK is answered by a RST")  \
	X(control_busy, "no room for a message or a reply in this turn")                           \
	X(too_big, "larger than the port's MTU or the largest frame held")                         \
	X(tx_refused, "the device did not take it")                                                \
	X(stopped, "the node does not forward now")

enum reason {
	REASON_NONE = 0,
#define X(name, text) REASON_##name,
	REASONS(X)
#undef X
		REASON_COUNT
};

// Name as in the list, "none" for REASON_NONE, "unknown" outside the range. Static storage.
const char *reason_name(enum reason reason);

// One sentence for people. Static storage.
const char *reason_text(enum reason reason);
