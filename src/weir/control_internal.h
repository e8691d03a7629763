// Shared by the parts of the control core: control.c (loop, mail), keys.c (counter, keys,
// profiles), reload.c (policies), request.c (questions to workers), link.c (links). One thread runs
// them all.
#pragma once

#include "weir/cluster/peer_watch.h"
#include "weir/control.h"
#include "weir/node.h"

#include <stdbool.h>
#include <stdint.h>

#define CONTROL_EPOCHS	     4 // the previous, this and the next epoch, slot e mod 4
#define CONTROL_REQUESTS_MAX 256
#define CONTROL_RETIRED_MAX  8

struct event;

// keys.c: one epoch as it was posted to the workers.
struct epoch_post {
	uint32_t epoch;
	bool valid;
	bool due;				    // to be posted again
	struct profile profiles[SERVICE_COUNT_MAX]; // by service id
};

// What the cluster told of an epoch, by service id; mss 0: nothing.
struct epoch_profiles {
	uint32_t epoch;
	struct profile profiles[SERVICE_COUNT_MAX];
};

// Epochs from first_epoch on are derived from it.
struct keys_secret {
	bool valid;
	uint64_t generation;
	uint32_t first_epoch;
	uint8_t bytes[KEYRING_SECRET_BYTES_MAX];
	size_t len;
};

struct keys {
	struct keys_secret secrets[2]; // the latest, and the one before
	bool running;  // epochs are posted; with a cluster once that told secret and counter
	uint32_t next; // epoch to be posted next
	struct epoch_post epochs[CONTROL_EPOCHS];
	struct epoch_profiles told[CONTROL_EPOCHS]; // the cluster's
	struct profile seen[SERVICE_COUNT_MAX];	    // by id, since the last post
};

// reload.c: a configuration that was replaced and is freed once every worker gave its policy back.
struct retired {
	struct config *config;
	unsigned returned; // of the takers
};

struct install {
	struct retired retired[CONTROL_RETIRED_MAX];
	unsigned retired_count;
	unsigned pending[NODE_WORKERS_MAX + 1]; // policies posted to a taker and not answered yet
	uint64_t queue_bytes; // limits.queue_total_bytes the engines were made with
};

// request.c
struct request {
	uint64_t token; // 0: free
	unsigned worker;
	uint64_t deadline_ns;
	control_reply *reply;
	void *argument;
};

struct requests {
	struct request list[CONTROL_REQUESTS_MAX];
	uint64_t asked;
};

// control.c
struct busy {
	uint64_t total, busy; // cycles at the last sample
	double ratio;
};

// cluster/watch.c: what was logged of the cluster last.
struct watch {
	unsigned state;
	bool born; // told how it came to its cluster
	struct peer_watch peers[CONFIG_PEERS_MAX];
	char differs[CONFIG_PEERS_MAX][192];
	char rejoined[192];
	uint64_t strangers, strangers_ns; // as the log was told last
};

// refusals.c: packets dropped for one reason that the log was told of, and when it was.
struct refusals {
	uint64_t told, told_ns;
};

// checksums.c: packets of a port, and those of wrong checksums.
struct checksums {
	struct checksums_mark {
		uint64_t at_ns, bad, arrived;
	} marks[2];		 // older first
	uint64_t wrong, arrived; // as judged last; wrong 0: well
	uint64_t told_ns;
};

struct control {
	struct event *signals[3];
	struct event *mail; // the control core's bell
	struct event *timer;
	struct event *links; // netlink socket
	int link_socket;
	bool announced; // "forwarding" was logged
	struct watch watch;
	struct refusals refusals[3];
	struct checksums checksums[CONFIG_PORTS_MAX];
	uint64_t sampled_ns;
	struct busy busy[NODE_WORKERS_MAX];
	struct keys keys;
	struct install install;
	struct requests requests;
};

// The node forwards from now on, if it only waited for what is there now.
void control_announce(struct node *node);

// True where each worker's mailbox has room for `count` messages.
bool control_has_room(const struct node *node, unsigned count);

// Posts a copy of `message` to every worker. Asked for room before.
void control_broadcast(struct node *node, const struct message *message);

int keys_start(struct node *node); // posts the epochs around now; not with a cluster
void keys_secret(struct node *node, const struct message_secret *secret); // the cluster's
// What the cluster announces in an epoch, by service id (MESSAGE_PROFILES).
void keys_profiles(struct node *node, uint32_t epoch, const struct profile *profiles);
bool keys_are_posted(const struct node *node);
void keys_stop(struct node *node);
void keys_tick(struct node *node); // each timer tick: posts the next epoch in time
void keys_learn(struct node *node, uint16_t id, const struct profile *now);
// The policy changed from `old` to node->config->policy: services whose configured profile changed
// announce that from now on. Posts the epochs again (CONTROL_EPOCHS messages).
void keys_remap(struct node *node, const struct policy *old);

int install_start(struct node *node); // posts the first policy
void install_stop(struct node *node);
// Takers of policies: the workers and, with the number behind theirs, the cluster's thread.
void install_returned(struct node *node, unsigned taker, const struct policy *policy);
// True where no taker has a policy still to answer.
bool install_done(const struct node *node);

void requests_answer(struct node *node, const struct message *reply);
void requests_expire(struct node *node, uint64_t now_ns); // UINT64_MAX: all of them

// cluster/watch.c: logs what changed in the cluster. Harmless without one.
void watch_look(struct node *node);

// Each second: logs what was refused for want of room.
void refusals_look(struct node *node, uint64_t now_ns);
// Each second: logs where most checksums are wrong.
void checksums_look(struct node *node, uint64_t now_ns);

int links_start(struct node *node);
void links_stop(struct node *node);
void links_refresh(struct node *node);
