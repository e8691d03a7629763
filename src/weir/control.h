// The control core: the event loop on the main thread, and the only thing that talks to workers.
// It runs the cluster counter, derives the epoch keys, learns the profiles services announce,
// installs policies and answers the console's questions to workers. Everything here is called on
// the control thread.
#pragma once

#include "cfg/config.h"
#include "engine/message.h"

#include <stdbool.h>
#include <stdint.h>

struct node;

// Boot steps (boot.c), the workers start between the two: control_init() gets its memory,
// control_start() makes the loop's events and installs the policy and the first keys at every
// worker. control_run() runs the loop until control_quit().
int control_init(struct node *node);
int control_start(struct node *node);
void control_run(struct node *node);
void control_stop(struct node *node);
void control_finish(struct node *node); // once the workers ended: frees what they may have used

// Leaves the loop: state draining, then everything is undone in order and the process ends with 0.
void control_quit(struct node *node);

// `start` and `stop` of the console: forward, or drop everything as `stopped`. False where the node
// is on its way out already.
bool control_set_forwarding(struct node *node, bool forward);

// Reads the configuration file again, checks all of it and, unless check_only, installs it: all or
// nothing, flows stay. 0, or with what config_overrides() and config_warn() have to say in
// `errors` (config_errors_free), or -ERR_* with at least one error there:
// -ERR_MALFORMED   the file has errors
// -ERR_RANGE       keys changed that need a restart (eal, ports, runtime, ...): one error each
// -ERR_FULL        the previous reload is not through yet, or a worker takes no messages
// `sha256` (NULL: not wanted) becomes that of the file read.
int control_reload(
	struct node *node, bool check_only, char sha256[65], struct config_errors *errors);

// Changes one value ("PATH=VALUE") of the configuration in force, until the next reload. As
// control_reload().
int control_set(struct node *node, const char *set, struct config_errors *errors);

// Called once with the reply, or with NULL where the worker did not answer within a second or the
// node stops. `reply` is valid during the call only. It may ask again from inside the call.
typedef void control_reply(void *argument, const struct message *reply);

// Asks worker `worker`: request->type is MESSAGE_QUERY or MESSAGE_DUMP; the token is filled in
// here. Returns an identity for control_forget(), or 0 where the worker's mailbox or the list of
// open requests is full (control_reply is then not called).
uint64_t control_request(struct node *node, unsigned worker, const struct message *request,
	control_reply *reply, void *argument);

// The asker went away: its control_reply will not be called.
void control_forget(struct node *node, uint64_t request);

// Removes all flows of all workers (`clear flow all`). False where a mailbox was full.
bool control_flush(struct node *node);

// The profile the service at `index` of the policy announces now. (Flows and replies name services
// by id: policy_service().)
const struct profile *control_profile(const struct node *node, uint16_t index);

// Share of its time a worker spent on packets, 0..1, in the last second.
double control_busy_ratio(const struct node *node, unsigned worker);

// Kernel link, or the device's own, of a port.
bool control_link_up(const struct node *node, unsigned port);

// Packets of wrong checksums, of how many that arrived at this data port lately, where they are so
// many that their sender must mean it; else 0.
uint64_t control_wrong_checksums(const struct node *node, unsigned port, uint64_t *arrived);
