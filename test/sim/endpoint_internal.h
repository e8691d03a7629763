// What the files of an endpoint share.
#pragma once

#include "endpoint.h"
#include "scheduler.h"

#define RTO_SYN_NS (300 * SIM_MS)

void endpoint_complain(struct endpoint *e, const char *text);
uint32_t endpoint_clock(const struct endpoint *e);
void endpoint_arm(struct endpoint *e, uint64_t after_ns);
void endpoint_progress(struct endpoint *e);
void endpoint_send_ack(struct endpoint *e);
void endpoint_send_reset_for(struct endpoint *e, const struct segment *in);
void endpoint_send_some(struct endpoint *e);
void endpoint_begin(struct endpoint *e, enum endpoint_state state);
void endpoint_end(struct endpoint *e, enum endpoint_state state);
void endpoint_abort(struct endpoint *e);
void endpoint_send_syn(struct endpoint *e);
