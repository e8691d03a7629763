// Where most of what arrives at a port has a wrong checksum, its sender leaves checksums to a NIC
// that is not there (a veth does, unless told otherwise), and nothing passes: this is a problem of
// the node and a warning in the log. Judged is what arrived since the mark before the last, one to
// two times CHECKSUMS_MARK_NS. Control thread alone.
#include "weir/control_internal.h"

#include "common/log.h"
#include "weir/control.h"
#include "weir/stats.h"

#define CHECKSUMS_MARK_NS  10000000000ULL
#define CHECKSUMS_EVERY_NS 60000000000ULL // one line of the log for a port
#define BAD_MIN		   3		  // packets: a SYN and its repetitions
#define BAD_SHARE	   4		  // of all packets: one of so many

static void tell(struct checksums *port, const char *name, uint64_t now_ns)
{
	if (port->told_ns && now_ns - port->told_ns < CHECKSUMS_EVERY_NS)
		return;
	port->told_ns = now_ns;
	log_warning("checksums are wrong: port=%s packets=%llu of=%llu hint=\"does their sender "
		    "leave them to a NIC? there: ethtool -K INTERFACE tx off\"",
		name, (unsigned long long)port->wrong, (unsigned long long)port->arrived);
}

static void look(struct checksums *port, const struct port_stats *now, uint64_t now_ns)
{
	uint64_t bad = now->rx_bad_checksum - port->marks[0].bad;
	uint64_t arrived = now->rx_packets - port->marks[0].arrived;
	bool wrong = bad >= BAD_MIN && bad >= arrived / BAD_SHARE;

	port->wrong = wrong ? bad : 0;
	port->arrived = arrived;
	if (wrong)
		tell(port, now->name, now_ns);
	if (now_ns - port->marks[1].at_ns < CHECKSUMS_MARK_NS)
		return;
	port->marks[0] = port->marks[1];
	port->marks[1] = (struct checksums_mark){now_ns, now->rx_bad_checksum, now->rx_packets};
}

void checksums_look(struct node *node, uint64_t now_ns)
{
	struct port_stats stats;

	for (unsigned i = 0; i < node->port_count; i++) {
		stats_port(node, i, &stats);
		look(&node->control->checksums[i], &stats, now_ns);
	}
}

uint64_t control_wrong_checksums(const struct node *node, unsigned port, uint64_t *arrived)
{
	const struct checksums *checksums = &node->control->checksums[port];

	*arrived = checksums->arrived;
	return checksums->wrong;
}
