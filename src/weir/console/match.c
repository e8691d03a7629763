#include "weir/console/match.h"

#include "base/error.h"
#include "pkt/view.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void match_init(struct match *match)
{
	memset(match, 0, sizeof(*match));
}

static int parse_number(unsigned long *out, const char *text, unsigned long max)
{
	char *end;

	if (*text < '0' || *text > '9')
		return -ERR_MALFORMED;
	errno = 0;
	*out = strtoul(text, &end, 10);
	if (*end)
		return -ERR_MALFORMED;
	return errno || *out > max ? -ERR_RANGE : 0;
}

int match_parse_protocol(struct match *match, const char *text)
{
	unsigned long number = 0;

	match->icmp = strcmp(text, "icmp") == 0;
	if (strcmp(text, "tcp") == 0)
		number = PROTOCOL_TCP;
	else if (strcmp(text, "udp") == 0)
		number = PROTOCOL_UDP;
	else if (!match->icmp && strcmp(text, "any") != 0 &&
		 (parse_number(&number, text, UINT8_MAX) || number == 0))
		return -ERR_MALFORMED;
	match->protocol = (uint8_t)number;
	return 0;
}

int match_parse_port(uint16_t *out, const char *text, bool any_allowed)
{
	unsigned long number = 0;
	int rc = 0;

	if (!any_allowed || strcmp(text, "any") != 0)
		rc = parse_number(&number, text, UINT16_MAX);
	if (rc == 0)
		*out = (uint16_t)number;
	return rc;
}

uint8_t match_protocol(const struct match *match)
{
	if (!match->icmp)
		return match->protocol;
	if (match->source.family == 6 || match->destination.family == 6)
		return PROTOCOL_ICMP6;
	return PROTOCOL_ICMP;
}

bool match_tuple(const struct match *match, uint8_t protocol, const struct tuple *tuple)
{
	if (match->icmp && protocol != PROTOCOL_ICMP && protocol != PROTOCOL_ICMP6)
		return false;
	if (match->protocol && match->protocol != protocol)
		return false;
	if (match->source_port && match->source_port != tuple->sport)
		return false;
	if (match->destination_port && match->destination_port != tuple->dport)
		return false;
	return prefix_contains(&match->source, &tuple->src) &&
	       prefix_contains(&match->destination, &tuple->dst);
}
