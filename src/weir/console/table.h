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
		"Size of the flow tables, flows by state (`other`: not TCP), and the queues of "   \
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
		"What would happen to a first packet now: verdict, reason, rule, service, mode, "  \
		"flow, and the limit a new flow would exceed (with `cookie`: once its client "     \
		"returned that). "                                                                 \
		"TUPLE is PROTOCOL SOURCE SPORT DESTINATION DPORT [in outside|inside], where it "  \
		"would arrive (outside unless said); of ICMP, DPORT is the type and SPORT 0.",     \
		"show why tcp 192.0.2.10 40000 198.51.100.10 80 in outside")                       \
	X(show_capture, "show capture", "The running or last capture.", "show capture")            \
	X(capture_start, "capture start PORT|drop [MATCH] file FILE [count NUMBER]",               \
		"Copies the packets of a port (both directions), or all dropped ones with their "  \
		"reason and rule, into a pcapng file; a relative name is in the runtime folder, "  \
		"an existing capture is replaced, no other file. Segments dropped from a queue "   \
		"are counted only.",                                                               \
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

enum command {
#define X(name, form, help, example) COMMAND_##name,
	COMMANDS(X)
#undef X
		COMMAND_COUNT
};

extern const struct grammar_command command_table[COMMAND_COUNT];
