// Connections that more than one node passes: declarations of finder.c, owner.c, share.c and
// copy.c. Part of internal.h, which includes it last.
#pragma once

// finder.c: packets of connections whose state another node has.
void finder_stray(struct engine *engine, struct arrival *arrival);
// The same where its cookie names another node; false, and nothing done, where it does not.
bool finder_claims(struct engine *engine, struct arrival *arrival);
// A packet of a flow that was handed over goes where those before it went; one of another flow that
// may be another node's is offered. False, and nothing done, where it is neither.
bool finder_late(struct engine *engine, struct arrival *arrival);
// Offers it to every node, whoever had the flow until now, unless that was done a moment ago. What
// came from the outside is for the owner of the copy that is here.
bool finder_asks(struct engine *engine, struct arrival *arrival, const struct flow *flow);
// True once a second at most, for each flow: for what somebody else will soon tell of.
bool finder_awaits(struct engine *engine, uint64_t hash);
// True from then on for a fifth of that second.
bool finder_waits(struct engine *engine, uint64_t hash);
// The same for an ICMP error without a flow.
bool finder_error(struct engine *engine, struct arrival *arrival, const struct quote *quote);
// True where the server's SYN/ACK to another node's SYN was handed over moments ago: to `owner`.
bool finder_answered(struct engine *engine, uint64_t hash, uint16_t *owner);
// Then what else the server says goes there, too.
bool finder_follows(struct engine *engine, struct arrival *arrival);
// True where another node may have the flow of this server's answer now, whatever is here of an
// older one.
bool finder_may_be_tracked(struct engine *engine, const struct arrival *arrival);
// Whom the answer of a server here would be offered to (enum why_offered): `arrival` is one without
// a flow, of which only the key and the side are known.
enum why_offered finder_offers(struct engine *engine, const struct arrival *arrival);
// Takes the telling of one new flow to all from this second's budget.
bool finder_may_tell(struct engine *engine);
// What is remembered of a key's packets, NULL: nothing; and fetches that.
const struct handed *finder_handed(struct engine *engine, uint64_t hash);
void finder_prefetch(struct engine *engine, uint64_t hash);
void finder_forget(struct engine *engine, uint64_t digest, uint16_t node);
// What was offered to all was `node`'s.
void finder_found(struct engine *engine, uint64_t hash, uint16_t node);
// True where the node that was asked about a flow lately knows nothing of it.
bool finder_nobody_has(struct engine *engine, uint64_t hash);

// owner.c: what finders hand in, and what owners send back.
void owner_frame(struct engine *engine, const struct message *message);
void owner_emit(struct engine *engine, const struct message *message);

// share.c: state that other nodes must have.
bool share_is_active(const struct engine *engine, uint16_t node);
// True while no other node is active.
bool share_is_alone(const struct engine *engine);
// The first packet of a new tracked flow: forwarded, or, where others have to know the flow before
// its answer may arrive there, told of, and held until they do (C5).
void share_begin(struct engine *engine, struct arrival *arrival, struct flow *flow);
// A flow that all were told of as a SYN is established; `whole`: this node has seen both halves of
// the handshake, so that no other has seen any.
void share_established(struct engine *engine, struct flow *flow, bool whole);
// A question of a flow without connection passes here.
void share_moved(struct engine *engine, struct flow *flow);
// The owner of a copy, `node`, asks whose this flow is: it has forgotten it, in another life or for
// want of room. It is this node's from now on. Not so a connection: there it may ask about the next
// one of the same key.
void share_take_over(struct engine *engine, struct flow *flow, uint16_t node);
uint16_t share_target(const struct engine *engine, uint16_t finder);
// Bits of the nodes whose confirmation is waited for.
uint64_t share_awaited(const struct engine *engine, uint16_t target, uint16_t finder);
// OPENED to the flow's partner. False where no message cell was free.
// The server does not answer this flow's SYN. Another node may have missed the end of a connection
// the entry had before, and take the answer for one of that: all are told that those are over.
void share_former_over(struct engine *engine, const struct flow *flow);
bool share_opened(struct engine *engine, struct flow *flow);
// Tells the partner what became true since `before`.
void share_changed(struct engine *engine, struct flow *flow, const struct tcp_track *before);
// The server answered the SYN of a `msyn` flow: with share = "all" every node gets the state, the
// finder of the answer once more with it (owner.c).
void share_answered(struct engine *engine, struct flow *flow, const struct tcp_track *before);
// The entry of a connection that has not ended goes.
void share_ended(struct engine *engine, const struct flow *flow);
void share_again(struct engine *engine, struct flow *flow);
void share_visit(struct engine *engine, struct flow *flow); // by ageing
void share_take_confirmed(struct engine *engine, const struct message *message);
void share_take_changed(struct engine *engine, const struct message *message);
void share_take_unsent(struct engine *engine, const struct message *message);
void share_take_resync(struct engine *engine, const struct message *message);

// copy.c: flows other nodes spoke of. `hash`: of the record's key; `cookied`: what
// admit_cookied_batch() says of it.
void copy_take_install(
	struct engine *engine, const struct message *message, uint64_t hash, bool cookied);
