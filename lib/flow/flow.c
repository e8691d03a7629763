#include "flow/flow.h"

#include "base/check.h"

#include <stddef.h>

const char *flow_mode_name(enum flow_mode mode)
{
	static const char *const names[] = {
		[MODE_PROXY] = "proxy",
		[MODE_MSYN] = "msyn",
		[MODE_TRACK] = "track",
		[MODE_BYPASS] = "bypass",
	};

	return (size_t)mode < ARRAY_LEN(names) ? names[mode] : NULL;
}
