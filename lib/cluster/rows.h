// The row table of CREATE (WIRE.md section 4): what a flow of a service need not repeat.
#pragma once

#include "base/addr.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stdint.h>

#define ROWS_MAX 255 // row 255 does not exist
#define ROW_NONE 255

struct row {
	bool valid;
	uint8_t mode; // enum flow_mode
	bool client_inside;
	uint16_t service; // sender's id on encoding; the receiver's own on decoding (or none)
	char name[SERVICE_NAME_BYTES];
	struct prefix prefix; // of the server
	uint16_t port_first, port_last;
};

struct rows {
	uint8_t generation; // 0: none yet
	struct row row[ROWS_MAX];
};

// The table for the TCP services of a policy, in its order, as many as fit.
void rows_build(struct rows *rows, const struct policy *policy, uint8_t generation);

// The first row that covers a server's address and port for a service (its id); ROW_NONE.
uint8_t rows_find(
	const struct rows *rows, uint16_t service, const struct addr *server, uint16_t port);
