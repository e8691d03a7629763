#include "pkt/craft.h"

#include "base/check.h"
#include "base/error.h"
#include "pkt/checksum.h"
#include "pkt/ip6.h"

#include <string.h>

#define MAC_BYTES	 6
#define L2_BYTES_MAX	 (14 + 4 * VIEW_TAGS_MAX)
#define IP4_HEADER_BYTES 20
#define TCP_HEADER_BYTES 20
#define IP4_DF		 0x4000

// Everything taken from the model before the first byte is written: it may be the same memory.
struct plan {
	uint8_t l2[L2_BYTES_MAX];
	uint16_t l2_bytes;
	bool ip4;
	uint32_t flow_label;
	struct addr src, dst;
	uint16_t sport, dport;
	uint8_t options[OPTIONS_BYTES_MAX];
	uint16_t tcp_bytes;
};

static void swap_macs(uint8_t *l2)
{
	uint8_t mac[MAC_BYTES];

	memcpy(mac, l2, MAC_BYTES);
	memcpy(l2, l2 + MAC_BYTES, MAC_BYTES);
	memcpy(l2 + MAC_BYTES, mac, MAC_BYTES);
}

static void plan_init(struct plan *plan, const struct view *model, const struct craft *craft)
{
	bool reply = craft->reply;

	CHECK((model->bits & VIEW_TCP) && model->l3 <= L2_BYTES_MAX);
	memcpy(plan->l2, model->data, model->l3);
	if (reply)
		swap_macs(plan->l2);
	plan->l2_bytes = model->l3;
	plan->ip4 = model->bits & VIEW_IP4;
	plan->flow_label = plan->ip4 || reply ? 0 : be32_get(model->data + model->l3) & 0x000fffff;
	plan->src = reply ? model->dst : model->src;
	plan->dst = reply ? model->src : model->dst;
	plan->sport = reply ? model->dport : model->sport;
	plan->dport = reply ? model->sport : model->dport;
	plan->tcp_bytes =
		(uint16_t)(TCP_HEADER_BYTES + options_write(plan->options, &craft->options));
}

static void write_ip4(uint8_t *ip, const struct plan *plan, uint8_t ttl)
{
	memset(ip, 0, IP4_HEADER_BYTES);
	ip[0] = 4 << 4 | IP4_HEADER_BYTES / 4;
	be16_put(ip + 2, (uint16_t)(IP4_HEADER_BYTES + plan->tcp_bytes));
	be16_put(ip + 6, IP4_DF);
	ip[8] = ttl;
	ip[9] = PROTOCOL_TCP;
	memcpy(ip + 12, plan->src.b + 12, 4);
	memcpy(ip + 16, plan->dst.b + 12, 4);
	be16_put(ip + 10, checksum_finish(checksum_add(0, ip, IP4_HEADER_BYTES)));
}

static void write_ip6(uint8_t *ip, const struct plan *plan, uint8_t hop_limit)
{
	be32_put(ip, 6u << 28 | plan->flow_label);
	be16_put(ip + 4, plan->tcp_bytes);
	ip[6] = PROTOCOL_TCP;
	ip[7] = hop_limit;
	memcpy(ip + 8, plan->src.b, ADDR_BYTES);
	memcpy(ip + 24, plan->dst.b, ADDR_BYTES);
}

// `addresses` are those of the IP header, for the pseudo-header.
static void write_tcp(uint8_t *tcp, const struct plan *plan, const struct craft *craft)
{
	const uint8_t *addresses = tcp - (plan->ip4 ? 8 : 32);
	uint64_t sum = (uint64_t)PROTOCOL_TCP + plan->tcp_bytes;

	be16_put(tcp, plan->sport);
	be16_put(tcp + 2, plan->dport);
	be32_put(tcp + 4, craft->seq);
	be32_put(tcp + 8, craft->ack);
	tcp[12] = (uint8_t)(plan->tcp_bytes / 4 << 4);
	tcp[13] = craft->tcp_flags;
	be16_put(tcp + 14, craft->window);
	be32_put(tcp + 16, 0); // checksum and urgent pointer
	memcpy(tcp + TCP_HEADER_BYTES, plan->options, plan->tcp_bytes - TCP_HEADER_BYTES);
	// Both IP headers end with the two addresses.
	sum = checksum_add(sum, addresses, (size_t)(tcp - addresses));
	be16_put(tcp + 16, checksum_finish(checksum_add(sum, tcp, plan->tcp_bytes)));
}

int craft_tcp(struct frame *out, const struct view *model, const struct craft *craft)
{
	uint32_t room = (uint32_t)out->len + out->tailroom;
	uint8_t ttl = craft->ttl != 0 ? craft->ttl : CRAFT_TTL;
	uint16_t ip_bytes, len;
	struct plan plan;

	plan_init(&plan, model, craft);
	ip_bytes = plan.ip4 ? IP4_HEADER_BYTES : IP6_HEADER_BYTES;
	len = (uint16_t)(plan.l2_bytes + ip_bytes + plan.tcp_bytes);
	if (len > room)
		return -ERR_MEMORY;
	memcpy(out->data, plan.l2, plan.l2_bytes);
	if (plan.ip4)
		write_ip4(out->data + plan.l2_bytes, &plan, ttl);
	else
		write_ip6(out->data + plan.l2_bytes, &plan, ttl);
	write_tcp(out->data + plan.l2_bytes + ip_bytes, &plan, craft);
	out->len = len;
	out->tailroom = (uint16_t)(room - len < UINT16_MAX ? room - len : UINT16_MAX);
	out->flags = 0;
	return 0;
}

void craft_reset_for(struct craft *craft, const struct view *model)
{
	memset(craft, 0, sizeof(*craft));
	craft->reply = true;
	craft->tcp_flags = TCP_RST;
	if (model->tcp_flags & TCP_ACK) {
		craft->seq = model->ack;
		return;
	}
	craft->tcp_flags = TCP_RST | TCP_ACK;
	craft->ack = model->seq + view_seg_len(model);
}
