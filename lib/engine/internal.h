// What the files of lib/engine share. Nobody else includes this.
#pragma once

#include "cookie/msyn.h"
#include "cookie/syncookie.h"
#include "engine/engine.h"
#include "engine/flood.h"
#include "engine/terms.h"
#include "flow/hold.h"
#include "flow/table.h"
#include "limit/prefix_limit.h"
#include "limit/rate_limit.h"
#include "pkt/craft.h"
#include "pkt/edit.h"
#include "pkt/options.h"
#include "pkt/quote.h"
#include "pkt/view.h"

#define RULE_COUNT_MAX	     65536
#define SYN_FRAME_BYTES	     CRAFT_BYTES_MAX(14 + 4 * VIEW_TAGS_MAX)
#define MS_PER_S	     1000
#define NS_PER_MS	     1000000ULL
#define NS_PER_S	     1000000000ULL
#define OPENING_SLICE	     64	 // openings looked at for deadlines in one call
#define AGEING_SLICE_MAX     512 // flows looked at for ageing in one call
#define EVICTION_SCAN	     64	 // entries looked at for one eviction
#define TOUCH_MS	     64	 // a flow's last use is noted at least this often
#define POLICIES_RETIRED_MAX 16
#define PROBE_EPOCHS	     16	  // between probes of a service whose profile lacks something
#define HANDED_MAX	     4096 // flows remembered as handed over
#define HANDED_NS	     (4 * NS_PER_S)
#define ASKS_PER_S	     65536 // packets handed to other nodes
#define ASKS_PER_FLOW_S	     32
#define OFFERS_PER_S	     8192     // packets offered to every node
#define OFFERED_NS	     NS_PER_S // none of the same flow again so soon
#define TELLS_PER_S	     16384    // new flows told to every node at once
#define CHALLENGES_PER_S     10	      // challenged segments forwarded per flow (RFC 5961 4, 5)

// One arrived frame while it is decided. What most of them need is in the first three lines, and
// view's addresses lie in one.
struct arrival {
	struct flow_key key;
	uint64_t hash;
	struct flow *guess; // may be its flow
	struct frame *frame;
	struct verdict *verdict;
	uint32_t rule;	   // rule asked, RULE_NONE
	uint8_t side;	   // enum side
	uint8_t path;	   // enum engine_path
	bool keyed;	   // key and hash are valid; of a first SYN behind ingress_hash()
	bool syn;	   // keyed, and a first SYN
	bool guessed;	   // `guess` is valid, NULL: it had no flow then
	bool decided;	   // `decision` is what the rules say, `service` how it is handled
	bool served;	   // `service` is valid: of any, whatever the rules say
	bool hashed;	   // `cookie_hash` is of the SYN's cookie in this epoch
	bool answered;	   // a SYN that gets a SYN/ACK, as far as rules and services say
	bool proving;	   // of no flow as far as is known, and a proof for `service` or nothing
	bool limit_hashed; // `limit_hash` is what rate_limit_allows_hash() takes of the source
	bool tried;	   // `tries` are of the cookie: with SEG.SEQ - 1 as the ISN, with SEG.SEQ
	bool from_peer;	   // came in a MESSAGE_FRAME: may not be handed to a node again
	uint16_t service;  // index in the policy, SERVICE_NONE
	struct rule_decision decision;
	struct view view;
	uint64_t cookie_hash;
	uint64_t limit_hash;
	uint64_t tries[2];
} CPU_ALIGNED;
_Static_assert(offsetof(struct arrival, view.src) / CPU_CACHE_LINE_BYTES ==
		       (offsetof(struct arrival, view.dst) + ADDR_BYTES - 1) / CPU_CACHE_LINE_BYTES,
	"both addresses in one line");

// What a half-open context waits for.
enum opening_wait {
	WAIT_FREE = 0,
	WAIT_SERVER,  // SYN sent or about to be; the deadline sends the next one
	WAIT_CONFIRM, // state shared; the deadline opens without the confirmation
	WAIT_DRAIN,   // queued segments go out as transmit buffers come
};

// A half-open context: of `proxy` mode, from the ACK with a valid cookie until the last queued
// segment left (P2-P4), opening.c has the life cycle; or of a flow whose first packet waits until
// other nodes know it (C5, delay.c).
struct opening {
	uint8_t wait;	  // enum opening_wait
	uint8_t tries;	  // server SYNs sent
	bool probing;	  // this SYN offers everything, to learn the server's profile
	bool pending;	  // the flow's entry still belongs to the previous incarnation
	bool unshared;	  // in WAIT_CONFIRM: no message cell was free yet
	bool delay;	  // delay.c: what is queued needs no server SYN and no translation
	uint64_t waiting; // in WAIT_CONFIRM: bits of nodes whose confirmation is awaited
	uint64_t shared_ns;
	uint8_t announced_wscale;
	uint8_t out_port;     // port towards the server
	uint8_t in_port;      // port towards the client
	uint8_t resets;	      // behind which the SYN went out at once (TCP.md 3.2)
	uint32_t flow;	      // index of its flow
	uint32_t next;	      // next free one
	uint64_t deadline_ns; // when it is looked at again
	uint64_t confirm_ns;  // in WAIT_CONFIRM: opens without the confirmation
	struct hold hold;
	struct agreed agreed;
	uint32_t cookie; // sequence number of our SYN/ACK
	uint32_t past;	 // flow->past once this context is gone
	uint32_t isn_client;
	uint32_t syn_seq;	// ISN of the server SYN: isn_client, or the m.SYN cookie
	uint32_t tsval;		// of the segment that proved the cookie
	uint32_t tsecr;		// the TSval of our SYN/ACK, echoed
	uint32_t client_end;	// behind the last number queued
	uint32_t client_ack;	// as the last queued segment acknowledged
	uint16_t client_window; // window of the proving segment as on the wire
	uint16_t server_window; // window of the server's SYN/ACK: what may be sent (TCP.md 3.8)
	uint16_t sender;	// node that handed the SYN/ACK to us, NODE_NONE
	uint16_t syn_len;
	uint8_t syn_frame[SYN_FRAME_BYTES]; // the server SYN as sent: the same in every retry
};

// A packet that was handed to another node (finder.c).
struct handed {
	uint64_t hash;
	uint64_t until_ns; // remembered so long
	uint64_t second;   // of `count`
	uint32_t seq, ack; // of the SYN/ACK
	uint16_t owner;	   // NODE_ALL: offered to all; NODE_NONE: it has nothing
	uint16_t count;	   // in that second
	bool synack;	   // seq and ack are of a SYN/ACK
	uint64_t asked_ns; // when finder_awaits() last said so
};

// What was asked of other nodes in this second.
struct asks {
	uint64_t second;
	uint32_t total, outside;
	uint32_t all;  // offered to every node
	uint32_t told; // new flows every node was told of
	uint32_t owner[NODES_MAX];
};

struct epoch_profiles {
	uint32_t epoch;
	bool valid;
	struct profile profiles[SERVICE_COUNT_MAX]; // by service id
};

struct engine {
	struct engine_config config;
	struct siphash_key table_key;
	const struct policy *policy;
	struct flow_table *table;
	struct hold_pool *pool;
	struct prefix_limit *prefixes;
	struct rate_limit *bad_acks;
	struct opening *openings;
	uint32_t opening_free; // head of the free list, FLOW_NONE
	uint32_t opening_used; // openings not free
	uint32_t opening_high; // openings ever used
	uint32_t opening_cursor;
	uint32_t drain_count; // openings in WAIT_DRAIN
	uint32_t ready_count; // openings to serve in this call, whatever the cursor says
	uint32_t ready[2 * ENGINE_BATCH_MAX];
	struct keyring ring;
	struct epoch_profiles epochs[4];	 // epoch e in slot e mod 4
	uint32_t probe_epoch[SERVICE_COUNT_MAX]; // epoch + 1 in which a server SYN probed last
	struct profile told[SERVICE_COUNT_MAX];	 // what LEARNT messages of told_epoch said
	uint32_t told_epoch[SERVICE_COUNT_MAX];	 // epoch + 1

	struct message_view view;
	struct handed handed[HANDED_MAX];
	struct asks asks;
	uint64_t resync;      // bits of nodes that lost what they had
	uint32_t resync_left; // flows ageing has still to visit for them
	uint32_t resync_high; // high water of the table by which that was counted

	// Replaced policies for whose return no message cell was free yet.
	const struct policy *retired[POLICIES_RETIRED_MAX];
	unsigned retired_count;

	struct batch *batch; // of the running call
	uint64_t now_ns;
	uint32_t now_ms;
	uint32_t tick;
	uint16_t tick_part;
	uint32_t ageing_cursor;
	uint32_t eviction_cursor;
	uint64_t aged_ns; // when the last ageing slice ran
	uint64_t reset_second;
	uint32_t resets;      // sent in reset_second
	uint64_t pool_low_ns; // last time the pool ran low, 0: never

	struct syn_terms syn_terms;
	struct arrival arrivals[ENGINE_BATCH_MAX];
	uint32_t guess_inserts; // flow_table_inserts() when their guesses were made
	struct engine_stats stats;
	struct engine_service_stats services[SERVICE_COUNT_MAX];
	counter rule_hits[RULE_COUNT_MAX];
	struct flood flood;
	uint8_t scratch[MESSAGE_FRAME_MAX];
};

// engine.c
struct frame *engine_lend(struct engine *engine);
void engine_sent(struct engine *engine, struct frame *frame, uint8_t port);
struct message *engine_message(struct engine *engine, enum message_type type, uint16_t node);
void verdict_drop(struct arrival *arrival, enum reason reason);
void verdict_forward(struct engine *engine, struct arrival *arrival);
void verdict_reply(struct engine *engine, struct arrival *arrival);
void verdict_consume(struct engine *engine, struct arrival *arrival);
// May one more reset or challenge of ours go out in this second? Counts it.
bool engine_may_reset(struct engine *engine);

// ingress.c: parses, checks and keys a frame; false where its verdict is set already.
bool ingress_prepare(struct engine *engine, struct arrival *arrival);
void ingress_decide(struct engine *engine, struct arrival *arrival);
// Key and hash, which a SYN is given only where somebody needs them: most are answered without a
// look-up.
void ingress_hash(struct engine *engine, struct arrival *arrival);
// The hashes of all others in the batch, their buckets on the way; then, when those have arrived,
// their flows.
void ingress_hash_batch(struct engine *engine, unsigned count);
// Returns how many have none.
unsigned ingress_prefetch_flows(struct engine *engine, unsigned count);
// The flow of an arrival with key and hash, or NULL.
struct flow *ingress_find(struct engine *engine, const struct arrival *arrival);
// True where the arrival belongs to another worker; sets that verdict.
bool ingress_hand_over(struct engine *engine, struct arrival *arrival);

// admit.c: rules and services for what starts something.
struct admission {
	bool allow;
	bool is_signed;
	uint32_t rule;
	const struct service *service; // NULL: none matched
	enum flow_mode mode;
};
void admit_query(const struct arrival *arrival, struct rule_query *query);
struct admission admit(struct engine *engine, struct arrival *arrival);
// Asks the rules about all first SYNs of the call at once: the classifier is faster in batches.
void admit_batch(struct engine *engine, unsigned count);
// Counts the rule's hit: by the worker that acts on it, once.
void admit_count(struct engine *engine, const struct admission *admission);
void admit_count_rule(struct engine *engine, uint32_t rule, uint64_t hits);
// The service a packet from the service's client side is for, in the policy's order; NULL.
// The service of an arrival, found once; `former` may be any that has been asked for, or NULL.
void admit_serve(
	const struct engine *engine, struct arrival *arrival, const struct arrival *former);
const struct service *admit_served(const struct engine *engine, struct arrival *arrival);
const struct service *admit_service(
	const struct engine *engine, const struct view *view, uint8_t side);
// True where a packet without state belongs to a `bypass` service the rules allow, either way
// round.
bool admit_bypass(struct engine *engine, struct arrival *arrival);

// May there be a flow with this key whose client is on `client_side`, and how is it handled? Of
// ICMP: may any query begin it.
struct admission admit_key(struct engine *engine, const struct flow_key *key, uint8_t client_side);
// True where the ISN that the server sees of such a connection carries a cookie.
bool admit_is_cookied(const struct admission *admission);
// The two of several connections, up to ENGINE_BATCH_MAX.
void admit_cookied_batch(const struct engine *engine, const struct rule_query *queries,
	unsigned count, bool *allowed);
// True where the flow is one that only its state lets through: no cookie names its owner.
bool admit_is_tracked(const struct admission *admission, const struct flow_key *key);

// entry.c: making, ending and finding flows.
struct flow *entry_create(struct engine *engine, const struct flow_key *key, uint64_t hash,
	enum side client, const struct service *service, enum reason *reason);
// The limit that would refuse a flow of this client and service now; a full table is not foreseen.
enum reason entry_limit(
	struct engine *engine, const struct addr *client, const struct service *service);
void entry_remove(struct engine *engine, struct flow *flow);
void entry_set_state(struct engine *engine, struct flow *flow, enum tcp_state state);
// Moves the gauge after something else changed flow->track.state from `before`.
void entry_count_state(struct engine *engine, struct flow *flow, uint8_t before);
// Which of the connections of its key an entry has.
struct life {
	uint32_t incarnation;
	uint16_t generation;
};
// The entry is the connection's that begins now. The second: a fresh entry's, behind `former`, or
// behind none (all 0).
void entry_begin(const struct engine *engine, struct flow *flow);
void entry_begin_behind(const struct engine *engine, struct flow *flow, struct life former);
struct life entry_life(const struct flow *flow);
// True for TCP: what is none ends by its timer alone.
bool entry_is_connection(const struct flow *flow);
// True for a TCP connection in TIME-WAIT or reset: its entry only waits for a timer.
bool entry_has_ended(const struct flow *flow);
// True for an entry that is only there to remember a cookie: its connection ended before the server
// accepted it.
bool entry_is_memory(const struct flow *flow);
// True for a cookie that was proved on this entry: a second proof is a replay (TCP.md 1.7).
bool entry_knows_cookie(const struct engine *engine, const struct flow *flow, uint32_t cookie);
// A new incarnation takes the entry over: counts the old one as closed and the new one as created,
// and an ended one against its limits again. The limit that refuses it, and then nothing is done,
// or REASON_NONE.
enum reason entry_reuse(struct engine *engine, struct flow *flow);
void entry_set_service(struct engine *engine, struct flow *flow, const struct service *service);
// The timer of an entry is up: leaves a memory behind where its cookie may still be valid.
bool entry_remember(struct engine *engine, struct flow *flow);
uint32_t entry_timeout_ms(const struct engine *engine, const struct flow *flow);
void entry_record(const struct flow *flow, struct flow_record *record);
void entry_row(const struct engine *engine, const struct flow *flow, struct flow_row *row);
void entry_touch(struct engine *engine, struct flow *flow);
void entry_clear_all(struct engine *engine);

// ageing.c
void ageing_slice(struct engine *engine);
// Frees one entry that the policy lets go for a new flow. False where there is none.
bool ageing_evict(struct engine *engine, uint64_t hash);

// tcp.c
void tcp_decide(struct engine *engine, struct arrival *arrival);
bool tcp_flags_are_bad(uint8_t flags);
// Turns the arrival into the reset its sender accepts (RFC 9293 3.5.2). False where it is dropped
// because too many were sent.
bool tcp_reset(struct engine *engine, struct arrival *arrival);
// Judges a segment of a flow by its state alone and sets its verdict. False, and nothing done,
// where it is a SYN that may reopen a closed connection.
bool tcp_known(struct engine *engine, struct arrival *arrival, struct flow *flow);
struct tcp_segment tcp_segment_of(
	const struct flow *flow, const struct view *view, enum direction dir);
// Translates (where the flow says so) and forwards.
void tcp_forward(
	struct engine *engine, struct arrival *arrival, struct flow *flow, enum direction dir);

// ending.c: what may still be of a connection that has ended.
// True for what lies beyond the FINs of a connection that has ended: it is of the next one, and
// would be translated as this one's was.
bool ending_is_beyond(
	const struct flow *flow, enum direction dir, const struct tcp_segment *segment);
// Judges a segment by the flow's state, which follows it.
struct tcp_result ending_judge(
	struct flow *flow, enum direction dir, const struct tcp_segment *segment);
// True for what the server may say of another node's connection, while here is only the end of one
// (TCP.md 1.11, 3.2, 7.6): any ACK but the one that follows what it said last, and all that it did
// not say here before.
bool ending_is_for_next(const struct flow *flow, const struct view *view);

// resyn.c: a SYN where a connection stands as open.
// Remembers the SYN, or makes the entry the new connection's by its SYN/ACK: before either is
// judged.
void resyn_watch(struct engine *engine, const struct arrival *arrival, struct flow *flow);
// True for the SYN/ACK of a SYN that passed here while the flow is an older connection's.
bool resyn_expects(const struct flow *flow, const struct view *view);
// Forwards the SYN that was remembered, with its own cookie. False for any other segment.
bool resyn_forward(struct engine *engine, struct arrival *arrival, const struct flow *flow);

// syn.c
// Of the batch's SYNs that will be answered: what their cookies hash, many at once.
void syn_batch(struct engine *engine, unsigned count);
void syn_decide(struct engine *engine, struct arrival *arrival);
// The same of an arrival that syn_batch() has marked as answered.
void syn_answer(struct engine *engine, struct arrival *arrival);
const struct profile *syn_profile(
	const struct engine *engine, uint32_t epoch, const struct service *service);
uint16_t syn_queue_window(struct engine *engine, const struct service *service);

// flood.c: SYNs that are like one before. flood_take() comes first in each call and finds those
// that are (flood.kind_of). Nothing else is done for them until their turn, flood_answer();
// flood_end() counts them.
bool flood_begin(struct engine *engine);
bool flood_take(struct engine *engine, unsigned i);
void flood_hash(struct engine *engine);
void flood_answer(struct engine *engine, unsigned i);
void flood_end(struct engine *engine);
// Of a SYN that is about to be answered.
void flood_learn(struct engine *engine, const struct arrival *arrival,
	const struct syn_terms *terms, const struct options *offered);
// What kinds were made from has changed.
void flood_forget(struct engine *engine);

// msyn.c: the SYN of `msyn` mode.
void msyn_syn(struct engine *engine, struct arrival *arrival, const struct admission *admission,
	const struct options *offered);
// What the server is to take for this SYN's number.
uint32_t msyn_cookie(const struct engine *engine, const struct arrival *arrival);
// True for an answer to a SYN that is not the one this flow stands for.
bool msyn_is_strange(const struct flow *flow, const struct arrival *arrival);

// proof.c: the ACK that proves a cookie (P2). `flow` is the entry of the same key, or NULL.
// False where it is none; then the arrival is untouched. An ACK without a flow always gets its
// verdict.
// So many times the rate of bad ACKs may those have: proof.c says why.
uint64_t proof_worth(bool timestamps);
// What the proofs among a batch need (proof_batch.c), once their keys have been looked for.
void proof_batch(struct engine *engine, unsigned count);
bool proof_try(struct engine *engine, struct arrival *arrival, const struct service *service,
	struct flow *flow);
// What tcp_decide() comes to with an arrival that proof_batch() has marked, where it has no flow.
void proof_decide(struct engine *engine, struct arrival *arrival);

// opening.c: the life cycle of a half-open context.
struct opening *opening_of(struct engine *engine, const struct flow *flow);
bool opening_start(struct engine *engine, struct arrival *arrival, struct flow *flow,
	const struct opening *proof);
void opening_begin_incarnation(struct engine *engine, struct flow *flow, struct opening *opening);
void opening_confirmed(struct engine *engine, struct flow *flow, uint64_t nodes);
void opening_count_wait(struct engine *engine, const struct opening *opening);
// A free context; NULL where there is none.
struct opening *opening_take(struct engine *engine);
void opening_run(struct engine *engine);
// Ends the context; queued segments are dropped for `reason`. The flow stays.
void opening_free(struct engine *engine, struct flow *flow, enum reason reason);
// Ends the context and closes the flow, unless the entry still is the previous incarnation's. The
// entry stays as a memory of the cookie.
void opening_close(struct engine *engine, struct flow *flow, enum reason reason);
void opening_set_wait(struct engine *engine, struct opening *opening, enum opening_wait wait);
// Serves the opening in this very call.
void opening_make_ready(struct engine *engine, struct opening *opening);
// The last eighth of the pool is for proofs: what follows them must not keep others out.
bool opening_pool_is_low(const struct engine *engine);
bool opening_queue(struct engine *engine, struct opening *opening, struct arrival *arrival);
void opening_make_syn(
	struct engine *engine, struct opening *opening, const struct view *model, bool everything);
// The view of the server SYN we keep, as the model of whatever else must be made.
void opening_model(struct opening *opening, struct view *view);
// Sends a segment of ours through `port`. False where no buffer is lent.
bool opening_craft(
	struct engine *engine, const struct view *model, const struct craft *craft, uint8_t port);

// opening_client.c
void opening_client(struct engine *engine, struct arrival *arrival, struct flow *flow);
// True where a segment from the client belongs to the opening, not to the previous incarnation.
bool opening_claims(const struct opening *opening, const struct view *view);

// opening_server.c
void opening_server(struct engine *engine, struct arrival *arrival, struct flow *flow);
void opening_refused(struct engine *engine, struct flow *flow, enum reason reason);
// WAIT_CONFIRM ends without the confirmation, or OPENED is tried again.
void opening_wait_over(struct engine *engine, struct flow *flow, struct opening *opening);
void opening_start_drain(struct engine *engine, struct opening *opening);
// WAIT_CONFIRM begins, for the confirmations of `nodes`: the flow's partner is told.
void opening_share(
	struct engine *engine, struct flow *flow, struct opening *opening, uint64_t nodes);

// opening_drain.c
void opening_drain(struct engine *engine, struct flow *flow, struct opening *opening);

// delay.c: packets that wait until other nodes know their flow (C5).
bool delay_is_on(const struct engine *engine, const struct flow *flow);
// The first packet of a flow waits for the confirmations of `nodes`. False where there is no room
// for that: nothing is done then.
bool delay_start(struct engine *engine, struct arrival *arrival, struct flow *flow, uint64_t nodes);
// A packet of the client's that may be forwarded queues behind those that wait.
void delay_behind(struct engine *engine, struct arrival *arrival, struct flow *flow);
// The confirmations did not come in time, and the policy is to drop.
void delay_drop(struct engine *engine, struct flow *flow);

// handshake.c: what the server's SYN/ACK means for the flow.
bool handshake_learn(struct engine *engine, const struct flow *flow, struct opening *opening,
	const struct view *synack, const struct options *options);
bool handshake_fits(const struct opening *opening, const struct options *options, uint8_t flags);
void handshake_set(struct flow *flow, const struct opening *opening, const struct view *synack,
	const struct options *options);
void handshake_syn(const struct engine *engine, const struct opening *opening,
	const struct view *model, bool everything, struct craft *craft);
// True for a SYN/ACK that answers the flow's own server SYN.
bool handshake_is_own(const struct flow *flow, const struct view *synack);
// The owner answers a repeated SYN/ACK of the server itself (TCP.md 3.6).
void handshake_reack(struct engine *engine, struct arrival *arrival, struct flow *flow);

// pseudo.c: UDP, ICMP queries and other protocols.
void pseudo_decide(struct engine *engine, struct arrival *arrival);
// A packet of a flow that is there.
void pseudo_known(struct engine *engine, struct arrival *arrival, struct flow *flow);
bool pseudo_is_reply(const struct view *view);

// icmp.c
void icmp_decide_error(struct engine *engine, struct arrival *arrival);
bool icmp_is_link_local(const struct view *view);

// fragment.c
void fragment_decide(struct engine *engine, struct arrival *arrival);

// messages.c
void messages_take(struct engine *engine);

// The cluster counter in parts of a tick (3.9 ms); wraps.
static inline uint32_t engine_moment(const struct engine *engine)
{
	return engine->tick * KEYRING_TICK_PARTS + engine->tick_part;
}

static inline uint8_t side_other(uint8_t side)
{
	return side == SIDE_OUTSIDE ? SIDE_INSIDE : SIDE_OUTSIDE;
}

static inline uint8_t port_side(const struct engine *engine, uint8_t port)
{
	return engine->config.ports[port].side;
}

#include "engine/sharing.h"
