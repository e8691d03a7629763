// The row table of CREATE (WIRE.md section 4): what a flow of a service need not repeat. Two kinds,
// one struct: the own table, made from the policy and declared to all; and a peer's, read from its
// ROWS and mapped to this node's services.
#pragma once

#include "base/addr.h"
#include "policy/policy.h"

#include <stdbool.h>
#include <stdint.h>

#define ROWS_MAX 255 // row 255 does not exist
#define ROW_NONE 255

struct row {
	bool valid;
	bool client_inside;
	uint8_t mode;	   // enum flow_mode
	uint8_t next;	   // next row of the same `service`, ROW_NONE (rows_find)
	uint16_t service;  // this node's id; SERVICE_NONE where it has no service of the name
	uint16_t declared; // id at the node that declares the table; in the own table the same
	uint16_t port_first, port_last;
	struct prefix prefix; // of the server; of one family
	char name[SERVICE_NAME_BYTES];
};

// All zero is a table nothing is known of: nothing is found in it.
struct rows {
	uint8_t generation;		  // 0: none yet
	uint8_t first[SERVICE_COUNT_MAX]; // first row of each `service`, ROW_NONE
	uint16_t own[SERVICE_COUNT_MAX];  // `service` of each `declared`, SERVICE_NONE
	struct row row[ROWS_MAX];
};

// The own table: the TCP services of a policy that keep flows, as many rows as fit, but one of each
// service before the second of any, so that peers learn all names. generation: 1..255.
void rows_build(struct rows *rows, const struct policy *policy, uint8_t generation);

// Empties a table of a peer and gives it another generation.
void rows_clear(struct rows *rows, uint8_t generation);

// Maps the names of a peer's table to the services of a policy: after rows changed, and when a
// policy is replaced.
void rows_adopt(struct rows *rows, const struct policy *policy);

// The first row that covers a server's address and port for a service (its id here); ROW_NONE.
uint8_t rows_find(
	const struct rows *rows, uint16_t service, const struct addr *server, uint16_t port);

// The id here of what the declaring node calls `declared`; SERVICE_NONE.
uint16_t rows_service(const struct rows *rows, uint16_t declared);
