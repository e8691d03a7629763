// What channel.c (datagrams, records, sets of keys) and channel_handshake.c (how keys are made)
// share.
#pragma once

#include "base/cpu.h"
#include "cluster/channel.h"
#include "cluster/keys.h"

#define CHANNEL_VERSION		 1
#define CHANNEL_HANDSHAKE	 1
#define CHANNEL_SEALED		 2
#define HANDSHAKE_HEADER_BYTES	 24
#define CHANNEL_ANSWERS		 64 // as many as datagrams in a turn, so that a flood hides no genuine one
#define CHANNEL_ERROR_BYTES	 192
#define HANDSHAKE_BACKOFF_MIN_NS 100000000ULL
#define HANDSHAKE_BACKOFF_MAX_NS 1000000000ULL
#define HANDSHAKE_HOLD_NS	 1000000000ULL // a running one gives way to another after this long
#define HANDSHAKE_LIMIT_NS	 5000000000ULL // no handshake takes longer; a finished one lingers
#define KEYS_PREVIOUS_NS	 5000000000ULL
#define KEYS_NEXT_NS		 5000000000ULL // server: the client may yet lack the last flight
#define KEYS_TRIED_NS		 1000000000ULL // client: a server that lives has answered by then
#define REKEY_NS_DEFAULT	 120000000000ULL
#define REKEY_RECORDS_DEFAULT	 (1U << 22)

// One handshake. A finished one lingers, because the peer may have lost its last flight; a failed
// one is remembered without its method's state, so that late datagrams do not start it again.
struct attempt {
	bool open;	 // false: there is none
	void *handshake; // of the method; NULL: failed, everything was said
	enum handshake_state state;
	uint16_t key_id;
	uint64_t peer_incarnation;
	uint64_t started_ns;
	uint64_t retry_ns; // where it failed: the server tries again from then on
};

// A client that is to be told this node's incarnation.
struct answer {
	uint64_t incarnation;
	uint16_t key_id;
};

struct channel {
	CPU_ALIGNED struct channel_stats stats;
	CPU_ALIGNED struct channel_config config;
	EVP_CIPHER *cipher;
	bool client;
	uint16_t tag;		   // of the cluster's name
	uint64_t peer_incarnation; // of the association; 0: none yet
	struct keys current;	   // sealed with, opened with
	struct keys previous;	   // opened with, until until_ns
	struct keys next;	   // opened with; in use once the peer was heard under them
	uint64_t try_ns;	   // client: when it says something under `next` again
	bool echo;		   // server: it has to answer that

	struct attempt attempt;
	bool wanted;	   // new keys were asked for
	uint16_t key_id;   // client: of its latest attempt or question; server: of the current keys
	uint64_t known;	   // client: the server's incarnation, as far as known; 0: ask
	uint64_t start_ns; // not before: the next attempt, question or request
	uint64_t backoff_ns;
	unsigned answer_count;
	struct answer answers[CHANNEL_ANSWERS];
	uint64_t heard_ns;   // when a record of the peer was opened the last time
	uint64_t refused_ns; // when the peer did not prove who it is the last time, 0: it never did
	char error[CHANNEL_ERROR_BYTES];
};

// channel.c: the keys of a finished handshake are there, to be tried.
void channel_install(struct channel *channel, uint64_t now_ns, struct keys *keys);
// Whoever answers for the peer is not it.
void channel_refuse(struct channel *channel, uint64_t now_ns);
// The peer's records come: what others say from its address is nobody's business.
bool channel_is_heard(const struct channel *channel, uint64_t now_ns);
// Writes the header up to the key id.
void channel_header(const struct channel *channel, uint8_t *data, uint8_t kind, uint16_t key_id);

// channel_handshake.c: a handshake datagram whose common header was checked.
void channel_handshake_feed(
	struct channel *channel, uint64_t now_ns, const uint8_t *data, size_t len);
// Such a datagram of somebody who says to be another one.
void channel_handshake_stranger(struct channel *channel, const uint8_t *data, size_t len);
size_t channel_handshake_poll(struct channel *channel, uint64_t now_ns, uint8_t *data);
void channel_handshake_end(struct channel *channel);
