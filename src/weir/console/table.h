// The commands of the console. Parser, completion, `help`, the manual page and the dispatcher are
// made from this one list.
//
// A form is: leading lower-case words (the path), then arguments. An upper-case word is a typed
// value, A|B an alternative, [...] may be left out. Verbs and objects are testpmd's where it has
// them.
#pragma once

#include "weir/console/grammar.h"

// X(name of the function behind command_, form, what it does, example)
#define COMMANDS(X)                                                                                \
	X(show_status, "show status", "State, uptime, version and configuration of this node.",    \
		"show status")                                                                     \
	X(show_port_info, "show port info PORT|all", "Device, side, MTU and link of ports.",       \
		"show port info outside")                                                          \
	X(show_port_stats, "show port stats PORT|all",                                             \
		"Packets and bytes of ports, and what the device lost or refused.",                \
		"show port stats all")                                                             \
	X(show_port_xstats, "show port xstats PORT|all",                                           \
		"The device's own counters, as its driver names them.", "show port xstats inside") \
	X(clear_port_stats, "clear port stats PORT|all",                                           \
		"Starts the counters of `show port stats` from zero again, for the console "       \
		"alone: "                                                                          \
		"those of `show drop` and of the device go on.",                                   \
		"clear port stats all")                                                            \
	X(show_drop, "show drop",                                                                  \
		"What became of every packet, and the dropped ones by reason. `unexplained` is 0 " \
		"unless packets got lost inside.",                                                 \
		"show drop")                                                                       \
	X(show_flow_stats, "show flow stats",                                                      \
		"Size of the flow tables, how much of it has its pages (populated_bytes: the "     \
		"background gets there), flows by state (`other`: not TCP), and the queues of "    \
		"segments that wait.",                                                             \
		"show flow stats")                                                                 \
	X(show_flow, "show flow [MATCH] [limit NUMBER]",                                           \
		"Flows, with client as the source of MATCH and server as the destination; 1000 "   \
		"unless a limit is given, 0 for all. MATCH is PROTOCOL SOURCE SPORT DESTINATION "  \
		"DPORT, each of which may be `any`. In the table d is added to the server's "      \
		"sequence numbers on their way, e to the client's, ts (ts_offset) to the "         \
		"server's "                                                                        \
		"time stamps; copy is whose copy this is, with OWNER.GENERATION of the flow, w "   \
		"the "                                                                             \
		"worker.",                                                                         \
		"show flow tcp 192.0.2.0/24 any 198.51.100.10 80 limit 20")                        \
	X(clear_flow, "clear flow all", "Removes every flow of this node.", "clear flow all")      \
	X(show_service, "show service [SERVICE]",                                                  \
		"Services with their handshakes and the profile their SYN/ACKs announce.",         \
		"show service lab")                                                                \
	X(show_rule, "show rule", "The rules in their order, with what they match.", "show rule")  \
	X(show_rule_hits, "show rule hits",                                                        \
		"How often each rule decided since this configuration came in.", "show rule hits") \
	X(show_worker, "show worker", "Load and cost per packet of each worker.", "show worker")   \
	X(show_cluster, "show cluster",                                                            \
		"This node in its cluster: state, active nodes, counter, peers and what is "       \
		"shared with them.",                                                               \
		"show cluster")                                                                    \
	X(show_cluster_peer, "show cluster peer PEER",                                             \
		"One peer: address, handshakes, what waits for it, why it was refused.",           \
		"show cluster peer pop-b")                                                         \
	X(show_config, "show config", "The configuration in effect, in the form of its file.",     \
		"show config")                                                                     \
	X(show_why, "show why TUPLE",                                                              \
		"What would happen to a first packet now: verdict and reason, by which of the "    \
		"rule and an existing flow, rule, service, mode, flow, and the limit a new flow "  \
		"would exceed (with `cookie`: once its client returned that). Of TCP that is a "   \
		"SYN; `synack` says what becomes of a SYN/ACK instead: allow, offer (to another "  \
		"node), or the reason it is dropped for. `offered_to` says "                       \
		"whom an answer from the inside that has no flow here goes to, `others_active` "   \
		"whether there is anybody. "                                                       \
		"TUPLE is PROTOCOL SOURCE SPORT DESTINATION DPORT [in outside|inside], where it "  \
		"would arrive (outside unless said); of ICMP, DPORT is the type and SPORT 0.",     \
		"show why tcp 192.0.2.10 40000 198.51.100.10 80 in outside")                       \
	X(show_capture, "show capture", "The running or last capture.", "show capture")            \
	X(capture_start, "capture start PORT|drop [MATCH] file FILE [count NUMBER]",               \
		"Copies the packets of a port (both directions), or all dropped ones with their "  \
		"reason and rule, into a pcapng file; a relative name is in the runtime folder, "  \
		"an existing capture is replaced, no other file. What was queued before it was "   \
		"dropped, and what another node handed over, is counted only. The comments of "    \
		"packets are shown by tshark and wireshark.",                                      \
		"capture start drop tcp any any any 80 file /tmp/drop.pcapng count 1000")          \
	X(capture_stop, "capture stop", "Ends the capture and closes its file.", "capture stop")   \
	X(start, "start", "Starts forwarding.", "start")                                           \
	X(stop, "stop", "Stops forwarding: packets are dropped as `stopped`; flows stay.", "stop") \
	X(set_log, "set log LEVEL", "Sets the log level of Weir until the next restart.",          \
		"set log debug")                                                                   \
	X(set_cluster_wait, "set cluster wait finder|all|none",                                    \
		"Whose confirmation the client's first segments wait for: the finder's, that of "  \
		"all nodes, nobody's. It holds for this node alone, until its next reload.",       \
		"set cluster wait none")                                                           \
	X(cluster_rekey, "cluster rekey",                                                          \
		"New keys for the channels to all peers, now; nothing is lost.", "cluster rekey")  \
	X(cluster_rotate, "cluster rotate",                                                        \
		"A new secret for the whole cluster, from which the keys of coming cookies are "   \
		"made.",                                                                           \
		"cluster rotate")                                                                  \
	X(reload_check, "reload check",                                                            \
		"Checks the configuration file as `reload` would, and changes nothing: what is "   \
		"in force, and the sha256 of the file that would take its place.",                 \
		"reload check")                                                                    \
	X(reload, "reload",                                                                        \
		"Reads the configuration file again and applies it as a whole, or not at all.",    \
		"reload")                                                                          \
	X(help, "help [WORDS]",                                                                    \
		"The commands that start with these words, with examples; `help all` for all.",    \
		"help show port")                                                                  \
	X(quit, "quit", "Leaves weirctl; in `weir run -i` it stops the appliance.", "quit")

// X(command, field of its answer, what it means). `help` shows them; the reasons of `show drop`
// come from base/reason.h.
#define COMMAND_FIELDS(X)                                                                          \
	X(show_drop, "received", "packets that arrived at the ports")                              \
	X(show_drop, "generated", "packets made here: answers, server SYNs, resets")               \
	X(show_drop, "from_peers", "packets other nodes handed to this one")                       \
	X(show_drop, "transmitted", "packets that left through the ports")                         \
	X(show_drop, "consumed", "packets that were taken and answered, or not needed any more")   \
	X(show_drop, "queued", "packets that wait in a queue now")                                 \
	X(show_drop, "to_peers", "packets handed to other nodes")                                  \
	X(show_drop, "dropped", "packets dropped, for all reasons together")                       \
	X(show_drop, "unexplained",                                                                \
		"what is missing in this sum; 0 unless packets got lost inside")                   \
	X(show_drop, "reasons", "packets dropped by reason, with what each means:")                \
	X(show_flow, "client", "who began the flow: address and port")                             \
	X(show_flow, "server", "whom it asked: address and port")                                  \
	X(show_flow, "state", "of the TCP connection as seen here; `other` where it is none")      \
	X(show_flow, "mode", "proxy (SYN cookies), msyn (m.SYN), track, bypass")                   \
	X(show_flow, "service", "the service it belongs to, - where it has none")                  \
	X(show_flow, "idle_ms", "since the last packet that kept it alive")                        \
	X(show_flow, "d", "added to the server's sequence numbers on their way to the client")     \
	X(show_flow, "e", "added to the client's sequence numbers on their way to the server")     \
	X(show_flow, "ts_offset", "added to the server's time stamps (column ts)")                 \
	X(show_flow, "copy",                                                                       \
		"own: made by this node; finder: given by the owner; backup: kept for it")         \
	X(show_flow, "owner", "id of the node that made it (in column copy, before the point)")    \
	X(show_flow, "generation", "number of the handshake the state is of (behind the point)")   \
	X(show_flow, "half", "one direction is seen by another node (`half` in column copy)")      \
	X(show_flow, "worker", "the worker of this node that has it (column w)")                   \
	X(show_service, "flows", "open and opening connections; what has ended is not counted")    \
	X(show_service, "syn", "SYNs that arrived")                                                \
	X(show_service, "synack_sent", "of them answered with a cookie")                           \
	X(show_service, "cookie_valid", "ACKs that proved one: clients that are there")            \
	X(show_service, "cookie_bad", "ACKs whose number is no cookie: guesses, or too old")       \
	X(show_service, "server_syn", "SYNs sent to servers, repetitions included")                \
	X(show_service, "server_synack", "that were accepted")                                     \
	X(show_service, "server_refused",                                                          \
		"that were refused, or accepted without what the client was promised")             \
	X(show_service, "server_timeout", "that were not answered in time")                        \
	X(show_service, "profile", "what SYN/ACKs announce now, as learnt from the servers")       \
	X(show_cluster, "id", "this node's number; m.SYN cookies carry it")                        \
	X(show_cluster, "max_id",                                                                  \
		"the highest id the cluster may ever have: how many ids a cookie tells apart")     \
	X(show_cluster, "state",                                                                   \
		"joining (agrees with the others first), active, draining (is leaving)")           \
	X(show_cluster, "view", "ids of the active nodes, as this one sees them")                  \
	X(show_cluster, "time_counter", "the cluster's common clock, in steps of 16 s")            \
	X(show_cluster, "key_epoch", "which keys cookies are made with now; follows time_counter") \
	X(show_cluster, "secret_generation",                                                       \
		"how often the secret of the cookies was made: 1, and 1 more per rotation")        \
	X(show_cluster, "counter_refused",                                                         \
		"times a peer's clock was too far ahead to be believed")                           \
	X(show_cluster, "unsent", "messages for all nodes while none was active")                  \
	X(show_cluster, "share",                                                                   \
		"who gets a new connection: finder (who saw the answer), all, none")               \
	X(show_cluster, "wait", "whose confirmation the client's first segments wait for")         \
	X(show_cluster, "sessions",                                                                \
		"who holds a session, how many fit here, and into the whole cluster")              \
	X(show_cluster, "opening.synack_to_owner",                                                 \
		"SYN/ACKs found here and handed to the node that asked")                           \
	X(show_cluster, "opening.synack_from_finder",                                              \
		"SYN/ACKs other nodes found and handed to this one")                               \
	X(show_cluster, "opening.shared", "states of connections told to other nodes")             \
	X(show_cluster, "opening.wait_timeouts", "confirmations that did not come within wait_ms") \
	X(show_cluster, "opening.wait_us_p50",                                                     \
		"how long confirmations were waited for: half of them at most")                    \
	X(show_cluster, "opening.wait_us_p99",                                                     \
		"99 of 100 at most; those that never came count with wait_ms")                     \
	X(show_cluster, "transport.kind", "how nodes reach each other: port or socket")            \
	X(show_cluster, "transport.tx_refused", "datagrams the device or the system did not take") \
	X(show_cluster, "transport.unresolved",                                                    \
		"not sent: the peer's or gateway's MAC address is not known (ARP)")                \
	X(show_cluster, "transport.foreign",                                                       \
		"arrived from an address and port that is no peer's; the log names one")           \
	X(show_cluster, "transport.wrong_port",                                                    \
		"arrived from a peer's address at a UDP port that is not this node's")             \
	X(show_cluster, "transport.malformed", "cut, too long, or with a wrong checksum")          \
	X(show_cluster, "peers.state", "down, connecting, joining, active, draining, refused")     \
	X(show_cluster, "peers.rtt_us", "round trip time to the peer")                             \
	X(show_cluster, "peers.updates_sent",                                                      \
		"messages about flows told to the peer; updates_applied: by it")                   \
	X(show_cluster, "peers.resent", "records sent again because no acknowledgement came")      \
	X(show_cluster, "peers.dirty", "1: the peer missed something, which will be told again")   \
	X(show_cluster, "peers.refused",                                                           \
		"datagrams: repeated, of another version; hello: not our kind; and bad_auth:")     \
	X(show_cluster, "peers.refused.bad_auth",                                                  \
		"not sealed with the keys of now, as some are when a peer was restarted")          \
	X(show_cluster_peer, "queued", "records the peer has not acknowledged yet")                \
	X(show_cluster_peer, "unsent",                                                             \
		"messages that found no room, or the peer gone; state is told later")              \
	X(show_cluster_peer, "dropped", "datagrams that were authentic and made no sense")         \
	X(show_cluster_peer, "handshakes", "key agreements with it")                               \
	X(show_cluster_peer, "rekeys", "of those, with a peer that was not restarted in between")  \
	X(show_cluster_peer, "error",                                                              \
		"what is wrong with it now, as in `show status'; - where nothing is")              \
	X(show_cluster_peer, "differs",                                                            \
		"services it has configured otherwise than this node, - where none is")            \
	X(cluster_rotate, "secret_generation", "number of the new secret")                         \
	X(cluster_rotate, "from_epoch",                                                            \
		"key_epoch of `show cluster' whose cookies are its first; an epoch is 32 s")       \
	X(cluster_rotate, "peers", "how many hear of it now")

enum command {
#define X(name, form, help, example) COMMAND_##name,
	COMMANDS(X)
#undef X
		COMMAND_COUNT
};

extern const struct grammar_command command_table[COMMAND_COUNT];

struct command_field {
	enum command command;
	const char *name;
	const char *meaning;
};

// COMMAND_FIELDS, and the reasons; ends with a name of NULL.
extern const struct command_field command_fields[];
