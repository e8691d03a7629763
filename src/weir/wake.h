// What a sleeping worker can wait on: the kernel sockets behind af_packet and af_xdp queues. The
// drivers of DPDK 22.11 offer no receive interrupt for them, but the sockets can be polled like any
// other; they are found by asking every socket of this process what it is.
#pragma once

#define WAKE_MAX 64

// Sockets of one port by queue; count 0 where the device has none.
struct wake {
	int fds[WAKE_MAX];
	unsigned count;
};

// The packet sockets bound to interface `ifindex`, in the order they were opened: one per queue.
void wake_find_packet(struct wake *wake, int ifindex);

// The AF_XDP sockets that are in none of the `known` sets.
void wake_find_xdp(struct wake *wake, const struct wake *const *known, unsigned known_count);
