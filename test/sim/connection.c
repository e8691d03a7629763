#include "connection.h"

#include "base/bytes.h"

enum { NET_CLIENT = 1, NET_SERVER = 2, NET_STRANGER = 3 };

static struct addr make(uint8_t net, unsigned number, bool ip6)
{
	uint8_t ip4[4] = {10, net, (uint8_t)(number >> 8), (uint8_t)number};
	uint8_t bytes[16] = {0x20, 0x01, 0x0d, 0xb8, 0, net};

	if (net == NET_SERVER) {
		ip4[0] = 198;
		ip4[1] = 51;
		ip4[2] = 100;
	}
	be16_put(bytes + 14, (uint16_t)number);
	return ip6 ? addr_from_ip6(bytes) : addr_from_ip4(ip4);
}

struct addr connection_client(unsigned number, bool ip6)
{
	return make(NET_CLIENT, number, ip6);
}

struct addr connection_server(unsigned number, bool ip6)
{
	return make(NET_SERVER, 1 + number % 200, ip6);
}

struct addr connection_stranger(unsigned number, bool ip6)
{
	return make(NET_STRANGER, number, ip6);
}

enum host connection_host(const struct addr *addr, unsigned *number)
{
	static const enum host hosts[] = {HOST_UNKNOWN, HOST_CLIENT, HOST_SERVER, HOST_STRANGER};
	const uint8_t *b = addr->b;

	*number = be16_get(b + 14);
	if (!addr_is_ip4(addr))
		return b[0] == 0x20 && b[5] <= NET_STRANGER ? hosts[b[5]] : HOST_UNKNOWN;
	if (b[12] == 198) {
		*number &= 0xff;
		return HOST_SERVER;
	}
	return b[12] == 10 && b[13] <= NET_STRANGER ? hosts[b[13]] : HOST_UNKNOWN;
}
