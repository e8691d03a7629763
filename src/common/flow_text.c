#include "common/flow_text.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define CELL_BYTES 128

static const char *string_of(const json_t *flow, const char *key)
{
	const char *text = json_string_value(json_object_get(flow, key));

	return text ? text : "-";
}

static json_int_t integer_of(const json_t *flow, const char *key)
{
	return json_integer_value(json_object_get(flow, key));
}

static void put(json_t *row, const char *key, json_t *value)
{
	json_object_set_new(row, key, value);
}

static void put_endpoint(
	json_t *row, const json_t *flow, const char *address_key, const char *port_key)
{
	const char *address = string_of(flow, address_key);
	bool brackets = strchr(address, ':') != NULL;
	char text[CELL_BYTES];

	snprintf(text, sizeof(text), "%s%s%s:%" JSON_INTEGER_FORMAT, brackets ? "[" : "", address,
		brackets ? "]" : "", integer_of(flow, port_key));
	put(row, address_key, json_string(text));
}

// A number that keeps its name.
static void put_number(json_t *row, const json_t *flow, const char *key)
{
	put(row, key, json_integer(integer_of(flow, key)));
}

static void put_text(json_t *row, const json_t *flow, const char *key)
{
	put(row, key, json_string(string_of(flow, key)));
}

// "own 0.3" is this node's own copy of generation 3 of node 0's; of a half flow one direction is
// seen elsewhere.
static void put_copy(json_t *row, const json_t *flow)
{
	bool half = json_is_true(json_object_get(flow, "half"));
	char text[CELL_BYTES];

	snprintf(text, sizeof(text), "%s %" JSON_INTEGER_FORMAT ".%" JSON_INTEGER_FORMAT "%s",
		string_of(flow, "copy"), integer_of(flow, "owner"), integer_of(flow, "generation"),
		half ? " half" : "");
	put(row, "copy", json_string(text));
}

static json_t *flow_row(const json_t *flow)
{
	json_t *row = json_object();

	put(row, "proto", json_string(string_of(flow, "protocol")));
	put_endpoint(row, flow, "client", "client_port");
	put_endpoint(row, flow, "server", "server_port");
	put_text(row, flow, "state");
	put_text(row, flow, "mode");
	put_text(row, flow, "service");
	put_number(row, flow, "idle_ms");
	put_number(row, flow, "d");
	put_number(row, flow, "e");
	put(row, "ts", json_integer(integer_of(flow, "ts_offset")));
	put_copy(row, flow);
	put(row, "w", json_integer(integer_of(flow, "worker")));
	return row;
}

json_t *flow_rows(const json_t *flows)
{
	json_t *rows = json_array();
	const json_t *flow;
	size_t index;

	json_array_foreach(flows, index, flow) json_array_append_new(rows, flow_row(flow));
	return rows;
}
