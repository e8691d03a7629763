#include "pkt/options.h"

#include "base/cursor.h"
#include "base/error.h"
#include "pkt/edit.h"

#include <string.h>

#define TCP_HEADER_BYTES 20

enum kind {
	KIND_EOL = 0,
	KIND_NOP = 1,
	KIND_MSS = 2,
	KIND_WSCALE = 3,
	KIND_SACK_OK = 4,
	KIND_SACK = 5,
	KIND_TIMESTAMPS = 8,
	KIND_MD5 = 19,
	KIND_AO = 29,
	KIND_MPTCP = 30,
	KIND_FAST_OPEN = 34,
};

// One option as it lies in the header: `at` is the offset of its kind byte.
struct item {
	const uint8_t *p;
	uint16_t at;
	uint8_t len;
};

static void take_sack(struct options *options, const struct item *item)
{
	options->sack_count = (uint8_t)((item->len - 2) / 8);
	options->sack_at = (uint16_t)(item->at + 2);
}

static void take_timestamps(struct options *options, const struct item *item)
{
	options->timestamps_at = (uint16_t)(item->at + 2);
	options->tsval = be32_get(item->p + 2);
	options->tsecr = be32_get(item->p + 6);
}

static uint8_t limit_wscale(uint8_t shift)
{
	return shift < OPTIONS_WSCALE_MAX ? shift : OPTIONS_WSCALE_MAX;
}

static uint16_t kind_bit(uint8_t kind)
{
	switch (kind) {
	case KIND_MSS:
		return OPTION_MSS;
	case KIND_WSCALE:
		return OPTION_WSCALE;
	case KIND_SACK_OK:
		return OPTION_SACK_OK;
	case KIND_SACK:
		return OPTION_SACK;
	case KIND_TIMESTAMPS:
		return OPTION_TIMESTAMPS;
	case KIND_MD5:
	case KIND_AO:
		return OPTION_SIGNED;
	case KIND_MPTCP:
		return OPTION_MPTCP;
	case KIND_FAST_OPEN:
		return OPTION_FAST_OPEN;
	default:
		return 0;
	}
}

// Whether the length is one the kind can have; any of 2 and more for the kinds not read here.
static bool length_good(uint8_t kind, uint8_t len)
{
	switch (kind) {
	case KIND_MSS:
		return len == 4;
	case KIND_WSCALE:
		return len == 3;
	case KIND_SACK_OK:
		return len == 2;
	case KIND_SACK:
		return len >= 10 && len <= 2 + 8 * OPTIONS_SACK_MAX && (len - 2) % 8 == 0;
	case KIND_TIMESTAMPS:
		return len == 10;
	default:
		return len >= 2;
	}
}

static void take(struct options *options, const struct item *item)
{
	uint8_t kind = item->p[0];
	uint16_t bit = kind_bit(kind);

	if (options->bits & bit)
		return; // the first one won
	options->bits |= bit;
	if (kind == KIND_MSS)
		options->mss = be16_get(item->p + 2);
	else if (kind == KIND_WSCALE)
		options->wscale = limit_wscale(item->p[2]);
	else if (kind == KIND_SACK)
		take_sack(options, item);
	else if (kind == KIND_TIMESTAMPS)
		take_timestamps(options, item);
	else if (kind == KIND_FAST_OPEN)
		options->fast_open_at = item->at;
}

static int walk(struct options *options, const uint8_t *data, uint16_t from, uint16_t to)
{
	uint16_t at = from;

	while (at < to && data[at] != KIND_EOL) {
		struct item item = {.p = data + at, .at = at};

		if (data[at] == KIND_NOP) {
			at++;
			continue;
		}
		if (to - at < 2)
			return -ERR_MALFORMED;
		item.len = data[at + 1];
		if (item.len > to - at || !length_good(data[at], item.len))
			return -ERR_MALFORMED;
		take(options, &item);
		at = (uint16_t)(at + item.len);
	}
	return 0;
}

// None, the whole set of options of most SYNs (Linux's layout), and of most other segments.
static bool take_common(struct options *options, const uint8_t *data, uint16_t from, uint16_t to)
{
	const uint64_t front = 0x0a08020400000402, mss_field = 0xffff0000; // as loaded
	const uint8_t *p = data + from;
	unsigned len = (unsigned)(to - from);

	if (len == 20 && (host64_get(p) & ~mss_field) == front &&
		be32_get(p + 16) >> 8 == 0x010303) {
		uint16_t mss = be16_get(p + 2);

		*options = (struct options){.bits = OPTION_SACK_OK | OPTION_TIMESTAMPS |
						    OPTION_WSCALE | (mss != 0 ? OPTION_MSS : 0),
			.mss = mss,
			.wscale = limit_wscale(p[19]),
			.timestamps_at = (uint16_t)(from + 8),
			.tsval = be32_get(p + 8),
			.tsecr = be32_get(p + 12)};
		return true;
	}
	if (len == 12 && be32_get(p) == 0x0101080a) {
		*options = (struct options){.bits = OPTION_TIMESTAMPS,
			.wscale = OPTIONS_WSCALE_NONE,
			.timestamps_at = (uint16_t)(from + 4),
			.tsval = be32_get(p + 4),
			.tsecr = be32_get(p + 8)};
		return true;
	}
	if (len == 0)
		*options = (struct options){.wscale = OPTIONS_WSCALE_NONE};
	return len == 0;
}

int options_parse_range(struct options *options, const uint8_t *data, uint16_t from, uint16_t to)
{
	return take_common(options, data, from, to) ? 0
						    : options_walk_range(options, data, from, to);
}

int options_walk_range(struct options *options, const uint8_t *data, uint16_t from, uint16_t to)
{
	int err;

	memset(options, 0, sizeof(*options));
	options->wscale = OPTIONS_WSCALE_NONE;
	err = walk(options, data, from, to);
	if (options->mss == 0)
		options->bits &= (uint16_t)~OPTION_MSS;
	return err;
}

int options_parse(struct options *options, const struct view *view)
{
	return options_parse_range(
		options, view->data, (uint16_t)(view->l4 + TCP_HEADER_BYTES), view->payload);
}

void options_strip(struct view *view, uint16_t bits)
{
	uint16_t at = (uint16_t)(view->l4 + TCP_HEADER_BYTES);

	while (at < view->payload && view->data[at] != KIND_EOL) {
		uint8_t kind = view->data[at], len;

		if (kind == KIND_NOP) {
			at++;
			continue;
		}
		if (view->payload - at < 2)
			return;
		len = view->data[at + 1];
		if (len > view->payload - at || !length_good(kind, len))
			return;
		if (kind_bit(kind) & bits)
			edit_nop(view, at, len);
		at = (uint16_t)(at + len);
	}
}

unsigned options_write(uint8_t out[OPTIONS_BYTES_MAX], const struct options *options)
{
	struct cursor c = cursor_write(out, OPTIONS_BYTES_MAX);

	if (options->bits & OPTION_MSS) {
		cursor_put16(&c, KIND_MSS << 8 | 4);
		cursor_put16(&c, options->mss);
	}
	if (options->bits & OPTION_SACK_OK)
		cursor_put16(&c, KIND_SACK_OK << 8 | 2);
	if (options->bits & OPTION_TIMESTAMPS) {
		cursor_put16(&c, KIND_TIMESTAMPS << 8 | 10);
		cursor_put32(&c, options->tsval);
		cursor_put32(&c, options->tsecr);
	}
	if (options->bits & OPTION_WSCALE && options->wscale != OPTIONS_WSCALE_NONE) {
		cursor_put16(&c, KIND_WSCALE << 8 | 3);
		cursor_put8(&c, limit_wscale(options->wscale));
	}
	while ((c.at - out) % 4 != 0)
		cursor_put8(&c, KIND_NOP);
	return (unsigned)(c.at - out);
}
