// TCP options alone: what was read and can be written reads back the same.
#include "base/check.h"
#include "fuzz.h"
#include "pkt/options.h"

#include <string.h>

#define WRITTEN (OPTION_MSS | OPTION_SACK_OK | OPTION_TIMESTAMPS | OPTION_WSCALE)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t wire[OPTIONS_BYTES_MAX];
	struct options in, out, walked;
	unsigned written;

	if (len > OPTIONS_BYTES_MAX)
		return 0;
	CHECK(options_parse_range(&in, data, 0, (uint16_t)len) ==
		options_walk_range(&walked, data, 0, (uint16_t)len));
	CHECK(memcmp(&in, &walked, sizeof(in)) == 0);
	written = options_write(wire, &in);
	CHECK(written <= sizeof(wire) && written % 4 == 0 && written < len + 4);
	CHECK(options_parse_range(&out, wire, 0, (uint16_t)written) == 0);
	CHECK(out.bits == (in.bits & WRITTEN) && out.mss == in.mss && out.wscale == in.wscale);
	CHECK(out.tsval == in.tsval && out.tsecr == in.tsecr);
	return 0;
}
