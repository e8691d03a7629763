#include "weir/replay/link.h"

#include "base/bytes.h"

#include <pcap/pcap.h>
#include <string.h>

#define ETHERTYPE_IP4 0x0800
#define ETHERTYPE_IP6 0x86dd

enum {
	NULL_BYTES = 4, // the address family, in the byte order of who wrote it
	SLL_BYTES = 16, // protocol at 14
	SLL_PROTOCOL = 14,
	SLL2_BYTES = 20, // protocol at 0
};

bool link_is_ethernet(int type)
{
	return type == DLT_EN10MB;
}

bool link_is_known(int type)
{
	switch (type) {
	case DLT_EN10MB:
	case DLT_RAW:
	case DLT_IPV4:
	case DLT_IPV6:
	case DLT_LINUX_SLL:
	case DLT_LINUX_SLL2:
	case DLT_NULL:
	case DLT_LOOP:
		return true;
	default:
		return false;
	}
}

const char *link_name(int type)
{
	const char *name = pcap_datalink_val_to_name(type);

	return name != NULL ? name : "of a number libpcap does not know";
}

static size_t header_bytes(int type)
{
	switch (type) {
	case DLT_NULL:
	case DLT_LOOP:
		return NULL_BYTES;
	case DLT_LINUX_SLL:
		return SLL_BYTES;
	case DLT_LINUX_SLL2:
		return SLL2_BYTES;
	default:
		return 0;
	}
}

// The type of what follows the header: as it says, else as the version in the first byte.
static uint16_t ethertype(int type, const uint8_t *data, size_t header)
{
	if (type == DLT_LINUX_SLL)
		return be16_get(data + SLL_PROTOCOL);
	if (type == DLT_LINUX_SLL2)
		return be16_get(data);
	return data[header] >> 4 == 6 ? ETHERTYPE_IP6 : ETHERTYPE_IP4;
}

size_t link_to_ethernet(int type, const uint8_t *data, size_t len, uint8_t *out, size_t size)
{
	static const uint8_t addresses[12] = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
	size_t header = header_bytes(type), rest;

	if (len <= header)
		return 0;
	rest = len - header;
	if (rest > size - LINK_ETHERNET_BYTES)
		rest = size - LINK_ETHERNET_BYTES;
	memcpy(out, addresses, sizeof(addresses));
	be16_put(out + sizeof(addresses), ethertype(type, data, header));
	memcpy(out + LINK_ETHERNET_BYTES, data + header, rest);
	return LINK_ETHERNET_BYTES + rest;
}
