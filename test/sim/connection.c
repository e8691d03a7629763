#include "connection.h"

#include "base/bytes.h"
#include "base/check.h"

// Inside are the servers of clients outside, and the other way round.
enum net {
	NET_CLIENT = 1,
	NET_SERVER,
	NET_STRANGER,
	NET_CLIENT_INSIDE,
	NET_SERVER_OUTSIDE,
	NET_CROWD
};

static struct addr make(enum net net, unsigned number, bool ip6)
{
	uint8_t ip4[4] = {10, (uint8_t)net, (uint8_t)(number >> 8), (uint8_t)number};
	uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8, 0, (uint8_t)net};

	if (net == NET_SERVER) {
		ip4[0] = 198;
		ip4[1] = 51;
		ip4[2] = 100;
	}
	be16_put(bytes + 14, (uint16_t)number);
	return ip6 ? addr_from_ip6(bytes) : addr_from_ip4(ip4);
}

struct addr connection_client(unsigned number, bool inside, bool ip6)
{
	return make(inside ? NET_CLIENT_INSIDE : NET_CLIENT, number, ip6);
}

struct addr connection_server(unsigned number, bool inside, bool ip6)
{
	return make(inside ? NET_SERVER : NET_SERVER_OUTSIDE, 1 + number % 200, ip6);
}

struct addr connection_crowd(unsigned number)
{
	return make(NET_CROWD, number, false);
}

struct addr connection_stranger(unsigned number, bool ip6)
{
	return make(NET_STRANGER, number, ip6);
}

static unsigned net_of(const struct addr *addr)
{
	const uint8_t *b = addr->b;

	if (!addr_is_ip4(addr))
		return b[5];
	return b[12] == 198 ? NET_SERVER : b[13];
}

bool connection_is_inside(const struct addr *addr)
{
	unsigned net = net_of(addr);

	return net == NET_SERVER || net == NET_CLIENT_INSIDE || net == NET_CROWD;
}

enum host connection_host(const struct addr *addr, unsigned *number)
{
	static const enum host hosts[] = {HOST_UNKNOWN, HOST_CLIENT, HOST_SERVER, HOST_STRANGER,
		HOST_CLIENT, HOST_SERVER, HOST_CROWD};
	const uint8_t *b = addr->b;
	unsigned net = net_of(addr);
	bool ours = addr_is_ip4(addr) ? b[12] == 198 || b[12] == 10 : b[0] == 0x20;

	*number = be16_get(b + 14);
	if (addr_is_ip4(addr) && net == NET_SERVER)
		*number &= 0xff;
	return ours && net < ARRAY_LEN(hosts) ? hosts[net] : HOST_UNKNOWN;
}
