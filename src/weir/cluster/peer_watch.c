#include "weir/cluster/peer_watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NS_PER_MS   1000000ULL
#define NS_PER_S    1000000000ULL
#define AGE_BYTES   32
#define SETTLING_NS NS_PER_S	    // what a peer that comes or goes may take for it
#define PATIENCE_NS (5 * NS_PER_S)  // of the log, with a peer that is not active
#define REFUSED_NS  (5 * NS_PER_S)  // between two reasons of one peer
#define FLAPS_NS    (60 * NS_PER_S) // between two lines that it comes and goes
#define ARRIVING_NS (3 * NS_PER_S)  // datagrams not older than this arrive

static void note_loss(struct peer_watch *watch, uint64_t now_ns)
{
	memmove(watch->losses_ns + 1, watch->losses_ns,
		sizeof(watch->losses_ns) - sizeof(watch->losses_ns[0]));
	watch->losses_ns[0] = watch->lost_ns;
	watch->lost_ns = now_ns;
}

static bool comes_and_goes(const struct peer_watch *watch, uint64_t now_ns)
{
	uint64_t first_ns = watch->losses_ns[PEER_WATCH_LOSSES - 2];

	return first_ns != 0 && now_ns - first_ns < PEER_WATCH_LOSSES_NS;
}

static void change_state(struct peer_watch *watch, const struct peer_sight *sight, uint64_t now_ns)
{
	uint64_t silent_ns = now_ns - sight->detect_ms * NS_PER_MS;

	if (watch->state == PEER_ACTIVE) {
		watch->inactive_ns = now_ns;
		if (sight->state != PEER_DRAINING)
			note_loss(watch, now_ns);
	}
	watch->left = sight->state == PEER_DOWN && watch->state == PEER_DRAINING;
	if (sight->state == PEER_DOWN && watch->rx_ns > silent_ns)
		watch->rx_ns = silent_ns; // that is why it is down
	watch->since_ns = now_ns;
	watch->state = sight->state;
	if (sight->state != PEER_ACTIVE)
		return;
	// What happens after that is another event.
	watch->told = false;
	watch->error[0] = '\0';
	watch->refused_told_ns = 0;
}

bool peer_watch_see(struct peer_watch *watch, const struct peer_sight *sight, uint64_t now_ns)
{
	if (!watch->begun) {
		watch->begun = true;
		watch->state = PEER_DOWN;
		watch->since_ns = watch->inactive_ns = now_ns;
	}
	if (sight->rx_bytes != watch->rx_bytes) {
		watch->rx_bytes = sight->rx_bytes;
		watch->rx_ns = now_ns;
	}
	if (sight->state == watch->state)
		return false;
	change_state(watch, sight, now_ns);
	return true;
}

static const char *age(uint64_t ns, char out[AGE_BYTES])
{
	if (ns < NS_PER_S)
		snprintf(out, AGE_BYTES, "%llu ms", (unsigned long long)(ns / NS_PER_MS));
	else
		snprintf(out, AGE_BYTES, "%llu s", (unsigned long long)(ns / NS_PER_S));
	return out;
}

__attribute__((format(printf, 3, 4))) static void say(
	char out[PEER_WATCH_TEXT_BYTES], const struct peer_sight *sight, const char *format, ...)
{
	size_t used = (size_t)snprintf(
		out, PEER_WATCH_TEXT_BYTES, "peer %.64s at %.64s", sight->name, sight->at);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out + used, PEER_WATCH_TEXT_BYTES - used, format, arguments);
	va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void add(
	char out[PEER_WATCH_TEXT_BYTES], const char *format, ...)
{
	size_t used = strlen(out);
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(out + used, PEER_WATCH_TEXT_BYTES - used, format, arguments);
	va_end(arguments);
}

static void add_silent_hop(const struct peer_sight *sight, char out[PEER_WATCH_TEXT_BYTES])
{
	const struct addr *hop = &sight->way.link.hop;
	const char *how = addr_is_ip4(hop) ? "ARP" : "neighbour discovery";
	char text[ADDR_TEXT_BYTES];

	if (addr_equal(hop, sight->address))
		add(out, ": nobody has that address (no answer to %s)", how);
	else
		add(out, ": the gateway %s does not answer (%s)", addr_format(hop, text), how);
}

// Why its datagrams do not come. False: nothing is known.
static bool add_stray(const struct peer_sight *sight, char out[PEER_WATCH_TEXT_BYTES])
{
	const struct link_way *way = &sight->way.link;
	char sought[ADDR_TEXT_BYTES], own[ADDR_TEXT_BYTES];

	if (way->to_port != 0)
		add(out,
			": its datagrams come to UDP port %u, this node's is %u: correct one "
			"cluster.udp_port",
			way->to_port, sight->own_udp_port);
	else if (way->from_port != 0)
		add(out,
			": its datagrams come from UDP port %u, not %u: correct one of "
			"cluster.udp_port and cluster.peers.udp_port",
			way->from_port, sight->udp_port);
	else if (way->bad_checksums)
		add(out, ": its datagrams have wrong checksums: turn its port's off-load off "
			 "(ethtool -K ... tx off)");
	else if (way->seeks)
		add(out, ": it looks for %s, this node's cluster.address is %s",
			addr_format(&way->sought, sought), addr_format(sight->own_address, own));
	else
		return false;
	return true;
}

// Why it may not be heard, or not hear.
static void add_cause(const struct peer_sight *sight, bool never, char out[PEER_WATCH_TEXT_BYTES])
{
	if (sight->way.error != 0)
		add(out, ": this node cannot send to it: %s", strerror(sight->way.error));
	else if (sight->way.link.hop_is_silent)
		add_silent_hop(sight, out);
	else if (add_stray(sight, out) || !never)
		return;
	else if (sight->waits)
		add(out,
			": nothing arrives from it, which has the lower id and begins: is it up, "
			"are cluster.id and the ids of cluster.peers right at both, does UDP port "
			"%u come through?",
			sight->own_udp_port);
	else
		add(out,
			": this node sends, and nothing comes back: is it up, and does UDP port %u "
			"come through, there and back (firewall, addresses, cluster.name)?",
			sight->udp_port);
}

// Its datagrams come all the time, and nothing comes of it.
static bool is_arriving(const struct peer_watch *watch, uint64_t now_ns)
{
	return watch->rx_ns > watch->since_ns + SETTLING_NS && now_ns - watch->rx_ns < ARRIVING_NS;
}

static void describe_down(const struct peer_watch *watch, const struct peer_sight *sight,
	uint64_t now_ns, char out[PEER_WATCH_TEXT_BYTES])
{
	bool was_active = watch->lost_ns != 0 || watch->left;
	uint64_t start_ns = now_ns - watch->inactive_ns;
	char text[AGE_BYTES];

	if (watch->left)
		say(out, sight, " has left the cluster (%s ago)",
			age(now_ns - watch->since_ns, text));
	else if (!was_active && start_ns < sight->join_ms * NS_PER_MS)
		return; // it may be about to answer
	else if (is_arriving(watch, now_ns))
		say(out, sight,
			" sends, but does not go on to agree on keys (%s): it refuses this node, "
			"or does not hear it: see its log",
			age(now_ns - watch->since_ns, text));
	else if (watch->rx_ns == 0)
		say(out, sight, " has not answered since the start (%s)", age(start_ns, text));
	else
		say(out, sight, " has not been heard for %s", age(now_ns - watch->rx_ns, text));
	if (out[0] && !watch->left && !is_arriving(watch, now_ns))
		add_cause(sight, watch->rx_ns == 0, out);
}

static void describe_state(const struct peer_watch *watch, const struct peer_sight *sight,
	uint64_t now_ns, char out[PEER_WATCH_TEXT_BYTES])
{
	uint64_t age_ns = now_ns - watch->since_ns;
	bool settles = age_ns < SETTLING_NS;
	char text[AGE_BYTES];

	switch (sight->state) {
	case PEER_DOWN:
		describe_down(watch, sight, now_ns, out);
		return;
	case PEER_CONNECTING:
		if (settles)
			return;
		say(out, sight, " is heard, but does not hear this node (%s)", age(age_ns, text));
		add_cause(sight, false, out);
		return;
	case PEER_JOINING:
		if (!settles)
			say(out, sight, " is heard, but is still joining (%s): see its log",
				age(age_ns, text));
		return;
	case PEER_DRAINING:
		if (!settles)
			say(out, sight, " is leaving the cluster (%s)", age(age_ns, text));
		return;
	case PEER_ACTIVE:
	case PEER_REFUSED:
		return;
	}
}

bool peer_watch_trouble(const struct peer_watch *watch, const struct peer_sight *sight,
	uint64_t now_ns, char out[PEER_WATCH_TEXT_BYTES])
{
	out[0] = '\0';
	if (sight->state == PEER_REFUSED)
		say(out, sight, " is refused: %s", sight->error);
	else if (sight->state != PEER_DOWN && sight->state != PEER_CONNECTING && sight->error[0])
		say(out, sight, ": %s", sight->error);
	else if (comes_and_goes(watch, now_ns) && !watch->left)
		say(out, sight,
			" comes and goes (lost %u times in %llu s): the way to it loses packets or "
			"has changing delays, or cluster.detect_ms = %u is too short for it",
			PEER_WATCH_LOSSES, PEER_WATCH_LOSSES_NS / NS_PER_S, sight->detect_ms);
	else
		describe_state(watch, sight, now_ns, out);
	return out[0] != '\0';
}

// Each other reason, but not the same two again and again.
static bool is_new_refusal(struct peer_watch *watch, const char *error, uint64_t now_ns)
{
	if (strcmp(error, watch->error) == 0 || *error == '\0' ||
		(watch->refused_told_ns != 0 && now_ns - watch->refused_told_ns < REFUSED_NS))
		return false;
	snprintf(watch->error, sizeof(watch->error), "%s", error);
	watch->refused_told_ns = now_ns;
	return true;
}

static bool is_away_for_long(
	struct peer_watch *watch, const struct peer_sight *sight, uint64_t now_ns)
{
	uint64_t inactive_ns = now_ns - watch->inactive_ns;

	if (watch->told || watch->left || inactive_ns < PATIENCE_NS ||
		inactive_ns < sight->join_ms * NS_PER_MS + NS_PER_S ||
		now_ns - watch->since_ns < SETTLING_NS)
		return false;
	watch->told = true;
	return true;
}

bool peer_watch_tells(struct peer_watch *watch, const struct peer_sight *sight, uint64_t now_ns)
{
	bool refused = sight->state != PEER_DOWN && sight->state != PEER_CONNECTING;

	if (refused && sight->error[0])
		return is_new_refusal(watch, sight->error, now_ns);
	if (comes_and_goes(watch, now_ns) && !watch->left) {
		if (watch->flaps_told_ns != 0 && now_ns - watch->flaps_told_ns < FLAPS_NS)
			return false;
		watch->flaps_told_ns = now_ns;
		return true;
	}
	if (sight->state == PEER_ACTIVE)
		return false;
	return is_away_for_long(watch, sight, now_ns);
}
