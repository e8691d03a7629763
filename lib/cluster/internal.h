// What the files of cluster_run() share; nobody else includes it.
#pragma once

#include "base/cpu.h"
#include "cluster/cluster.h"
#include "cluster/counter.h"
#include "cluster/delivery.h"
#include "cluster/hello.h"
#include "cluster/pace.h"
#include "cluster/part.h"
#include "cluster/profile.h"
#include "cluster/secret.h"
#include "cluster/update.h"

_Static_assert(COUNTER_PEERS_MAX == CLUSTER_PEERS_MAX, "one lead for each peer");

#define PEER_NONE	  UINT8_MAX
#define PEER_ERROR_BYTES  192
#define POST_UNSENT_MAX	  256
#define FORMAT_VERSION	  1
#define PROFILE_EPOCHS	  4    // the previous, this and the next two, slot e mod 4
#define MESSAGES_TURN_MAX 2048 // decoded in one call

// One peer. An association is the time in which neither side restarts: numbers, HELLO and rows
// belong to it.
struct peer {
	CPU_ALIGNED struct cluster_peer_stats stats;
	struct channel *channel;
	uint8_t index; // in config.peers
	uint16_t id;

	// The association.
	bool associated;
	bool hello; // has said it
	bool bye;
	bool refused;
	bool has_beat;
	struct siphash_key table_key; // its
	struct heartbeat beat;	      // its latest
	uint64_t beat_ns;	      // when that came
	uint64_t heard_ns;	      // the latest record of any kind
	struct pace pace;	      // of its clock
	uint64_t apart_ns;   // since when the two have only each other, and no counter, 0: no
	struct rows rows[2]; // its table in use, and the former or one that arrives
	uint8_t rows_used;
	bool rows_former;	       // the other one is whole, and may still be named
	struct generation secret_told; // what this node sent it
	uint8_t secret_told_as;	       // what the two were then (told_as)
	uint64_t secret_told_ns;
	struct profile_set arriving; // as far as it has come
	struct parts parts; // of a message that is longer than a record, as far as they came

	// What it is sent.
	uint64_t beat_sent_ns;
	uint64_t beat_due_ns;
	unsigned rows_next; // of the own table: where to go on
	uint8_t rows_sent;  // generation of which it was sent all, 0: none
	uint64_t rows_last; // number of the record the end of that is in
	uint8_t rows_named; // generation of the table its records are written under, 0: none
	uint64_t kept;	    // number of the record that waits for more messages
	uint64_t kept_ns;   // since when
	uint8_t turns_kept; // for how many turns
	bool urgent;	    // somebody waits for what is in it
	unsigned sets_due;  // slots of profile sets
	unsigned set_slot;  // the one it is told
	unsigned set_next;  // where to go on in that, 0: not begun
	bool dirty;	    // something was not sent that a worker can say again
	bool lost;	    // and a worker was not told of it
	bool resync;	    // to be posted

	enum peer_state state;
	char error[PEER_ERROR_BYTES];
	char misnamed[PEER_ERROR_BYTES]; // how it calls itself, "": as it is configured
	char differs[PEER_ERROR_BYTES];	 // its services and the own ones; "": they do not
	struct delivery delivery;
};

// To workers and to the control core, as far as there was no cell for it yet.
struct unsent {
	uint16_t node, worker;
	struct message_flow flow;
};

struct post {
	struct unsent unsent[POST_UNSENT_MAX]; // a ring
	unsigned unsent_first, unsent_count;
	struct message_view view; // as told
	bool view_told;
	uint8_t secrets_due; // 2: previous and newest, 1: newest
};

// profile_agree.c
struct profiles {
	struct profile_set sets[PROFILE_EPOCHS];
	struct profile seen[SERVICE_COUNT_MAX]; // by id, since the last set was made
	bool changed[SERVICE_COUNT_MAX];	// is configured to announce something else
	bool learnt_due[SERVICE_COUNT_MAX];	// the leader is to be told what was seen
	bool learnt_any;			// of any service
	uint16_t leader;			// who that is
	uint64_t led_ns;			// since when
	uint64_t met_ns;			// when a peer became active last
	unsigned post_due;			// slots control is to be told
	struct profile_set scratch;
};

struct cluster {
	CPU_ALIGNED struct cluster_stats stats;
	CPU_ALIGNED struct cluster_config config;
	struct siphash_key table_key; // own
	uint64_t now_ns;
	uint32_t tick; // records made in this turn have it
	enum cluster_state state;
	bool started;
	bool was_active; // the counter counts
	bool alone;	 // never in one cluster with another active node
	bool bye_due;
	bool suspect; // its clock jumped, or ran faster than another's, and is not proven right
		      // since
	uint64_t active_ns;    // since when
	uint64_t unreached_ns; // since when nobody is reached
	uint64_t gathered_ns;  // since when the same nodes gather
	uint64_t gathered;     // bit i: node i is reached
	struct cluster_counter clock;
	struct secrets secrets;
	const struct policy *policy;
	struct rows rows;   // own
	struct rows former; // own, before the latest reload, with the services' ids of now
	struct post post;
	struct profiles profiles;
	uint8_t by_id[NODES_MAX]; // index of the peer, PEER_NONE
	unsigned first_peer;	  // whose turn to send it is first
	struct cluster_batch *batch;
	unsigned budget; // messages that may be decoded yet
	bool work_left;
	char rejoined[PEER_ERROR_BYTES];	  // when and why it joined again the last time
	struct message scratch;			  // for what is decoded and kept nowhere
	uint8_t long_message[PART_MESSAGE_BYTES]; // is being cut into parts
	struct peer peers[];
};

static inline uint32_t cluster_tick(const struct cluster *cluster)
{
	return (uint32_t)(counter_value_ns(&cluster->clock, cluster->now_ns) / KEYRING_TICK_NS);
}

static inline uint32_t cluster_epoch(const struct cluster *cluster)
{
	return keyring_epoch(cluster_tick(cluster));
}

static inline uint64_t cluster_detect_ns(const struct cluster *cluster)
{
	return cluster->config.detect_ms * 1000000ULL;
}

// peer.c: what arrives from a peer; peer_out.c: what it is sent.
void peer_feed(struct cluster *cluster, struct peer *peer, struct datagram *datagram);
// Goes on with records that are kept.
void peer_handle(struct cluster *cluster, struct peer *peer);
void peer_send(struct cluster *cluster, struct peer *peer);
uint64_t peer_due_ns(const struct cluster *cluster, const struct peer *peer);
bool peer_is_silent(const struct cluster *cluster, const struct peer *peer);
// Whether its table, as it is in use, and the own one say the same.
void peer_compare_rows(struct cluster *cluster, struct peer *peer);
void peer_refuse(struct peer *peer, const char *format, ...) __attribute__((format(printf, 2, 3)));
// A heartbeat as soon as possible.
void peer_beat_soon(struct cluster *cluster, struct peer *peer);

// update_out.c: workers' messages to peers.
void update_route_all(struct cluster *cluster, struct message *const *messages, unsigned count);
// Appends a message `put` writes; false where the window is full.
bool update_append(struct cluster *cluster, struct peer *peer,
	bool (*put)(struct cursor *out, const void *what), const void *what);
// As much of the own row table as the peer lacks.
void update_send_rows(struct cluster *cluster, struct peer *peer);
// Another one is about to take the newest table's place.
void update_replace_rows(struct cluster *cluster, struct peer *peer);

// post.c: messages to workers and the control core.
struct message *post_cell(struct cluster *cluster); // NULL: none is lent; taken by post_done()
void post_done(struct cluster *cluster);
// A copy to each worker, or to control; taken. NULL: none is lent.
struct message *post_to_all(struct cluster *cluster, enum message_type type, uint16_t node);
void post_unsent(struct cluster *cluster, struct peer *peer, const struct message *message);
void post_secrets(struct cluster *cluster);
void post_flush(struct cluster *cluster);

// member.c: who belongs to the cluster, since when, and under which counter and secret.
void member_run(struct cluster *cluster);
void member_heartbeat(struct cluster *cluster, struct peer *peer, const struct heartbeat *beat);
void member_secret(struct cluster *cluster, struct peer *peer, const struct secret *secret,
	struct generation newest);
void member_tell_all(struct cluster *cluster); // heartbeats at once
uint64_t member_due_ns(const struct cluster *cluster);

// profile_agree.c: what services announce in each epoch, the same at all nodes.
void profiles_run(struct cluster *cluster); // makes the sets that are due
// PROFILES and LEARNT of a peer; false: malformed.
bool profiles_take(
	struct cluster *cluster, struct peer *peer, const uint8_t *body, size_t body_len);
bool profiles_take_learnt(struct cluster *cluster, const uint8_t *body, size_t body_len);
void profiles_learnt(struct cluster *cluster, const struct message *message); // of a worker
void profiles_meet(struct cluster *cluster, struct peer *peer); // it is active, and may lack any
// As much as the peer lacks.
void profiles_send(struct cluster *cluster, struct peer *peer);
void profiles_forget(struct cluster *cluster); // this node joins again: its sets are guesses
void profiles_policy(struct cluster *cluster, const struct policy *policy); // is about to count
// Tells control; false where there is no cell.
bool profiles_flush(struct cluster *cluster);
