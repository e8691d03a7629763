#include "cfg/device.h"

#include "cfg/document.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define INTERFACE_CHARS 15 // IFNAMSIZ without its NUL
#define RING_CHARS	24 // DPDK's limit on ring names, less its own prefix
#define LOOP		",loop"

static const char kinds[] = "is no device: give pci:0000:03:00.0, af_packet:IF, af_xdp:IF, "
			    "memif:SOCKET, ring:NAME, pcap:FILE[,loop], null or tap:IF";

static const char *check_interface(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > INTERFACE_CHARS || strpbrk(name, "/ ,=:") != NULL)
		return "needs an interface name of 1 to 15 characters behind the colon";
	return NULL;
}

// The rest of a device name goes into a driver's argument string, where these separate arguments.
static const char *check_file(const char *name)
{
	if (*name == '\0' || strpbrk(name, ",=") != NULL)
		return "needs a file name without `,' and `=' behind the colon";
	return NULL;
}

static const char *check_pcap(const char *name)
{
	char file[256];
	size_t len = strlen(name);

	if (len > strlen(LOOP) && strcmp(name + len - strlen(LOOP), LOOP) == 0)
		len -= strlen(LOOP);
	if (len >= sizeof(file))
		return "has a file name that is too long";
	snprintf(file, sizeof(file), "%.*s", (int)len, name);
	return check_file(file);
}

static const char *check_ring(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && strchr("_-", name[i]) == NULL)
			return "needs a name of letters, digits, `-' and `_'";
	return len > 0 && len <= RING_CHARS ? NULL : "needs a name of 1 to 24 characters";
}

// DDDD:BB:DD.F in hexadecimal; the domain may be left out.
static const char *check_pci(const char *name)
{
	static const char whole[] = "xxxx:xx:xx.x";
	const char *form = strlen(name) == 7 ? whole + 5 : whole;
	size_t i;

	for (i = 0; form[i] != '\0'; i++) {
		bool matches =
			form[i] == 'x' ? isxdigit((unsigned char)name[i]) != 0 : name[i] == form[i];

		if (!matches)
			break;
	}
	return form[i] == '\0' && name[i] == '\0' ? NULL : "needs an address such as 0000:03:00.0";
}

static const struct {
	const char *prefix;
	const char *(*check)(const char *rest);
} devices[] = {
	{"pci:", check_pci},
	{"af_packet:", check_interface},
	{"af_xdp:", check_interface},
	{"memif:", check_file},
	{"ring:", check_ring},
	{"pcap:", check_pcap},
	{"tap:", check_interface},
};

const char *device_check(const char *device)
{
	if (strcmp(device, "null") == 0)
		return NULL;
	for (unsigned i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
		size_t len = strlen(devices[i].prefix);

		if (strncmp(device, devices[i].prefix, len) == 0)
			return devices[i].check(device + len);
	}
	return kinds;
}

bool device_resolve(const char *file, const char *device, char *out, size_t size)
{
	const char *name = strchr(device, ':');
	int kind_len;

	if (strncmp(device, "pcap:", 5) != 0 && strncmp(device, "memif:", 6) != 0) {
		snprintf(out, size, "%s", device);
		return strlen(device) < size;
	}
	kind_len = (int)(name - device) + 1;
	snprintf(out, size, "%.*s", kind_len, device);
	return (size_t)kind_len < size &&
	       file_resolve(file, name + 1, out + kind_len, size - (size_t)kind_len);
}
