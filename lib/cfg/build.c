#include "cfg/build.h"

#include "base/check.h"
#include "cfg/device.h"

#include <stdio.h>
#include <string.h>

_Static_assert(CHOICE_AUTO == 0 && CHOICE_ON == 1 && CHOICE_OFF == 2, "order of \"auto|on|off\"");
_Static_assert(SIDE_OUTSIDE == 0 && SIDE_INSIDE == 1 && SIDE_SYNC == 2,
	"order of \"outside|inside|sync\"");

static int64_t number(struct document *document, struct element *element, enum key key)
{
	return value_of(document, element, key)->number;
}

static void text(char out[CONFIG_TEXT_BYTES], struct document *document, struct element *element,
	enum key key)
{
	snprintf(out, CONFIG_TEXT_BYTES, "%s", value_of(document, element, key)->text);
}

static void build_eal(struct config_eal *eal, struct document *document)
{
	eal->workers = (uint32_t)number(document, NULL, KEY_EAL_WORKERS);
	eal->memory_mb = (uint32_t)number(document, NULL, KEY_EAL_MEMORY_MB);
	eal->hugepages = (uint8_t)number(document, NULL, KEY_EAL_HUGEPAGES);
	eal->idle = (uint8_t)number(document, NULL, KEY_EAL_IDLE);
	text(eal->cpus, document, NULL, KEY_EAL_CPUS);
}

void build_port(struct config_port *port, struct document *document, struct element *element)
{
	const char *device = value_of(document, element, KEY_PORTS_DEVICE)->text;

	text(port->name, document, element, KEY_PORTS_NAME);
	// check_device() saw that it fits.
	CHECK(device_resolve(document->file, device, port->device, sizeof(port->device)));
	port->side = (uint8_t)number(document, element, KEY_PORTS_SIDE);
	port->mtu = (uint16_t)number(document, element, KEY_PORTS_MTU);
}

static void build_log(struct config *config, struct document *document)
{
	const char *to = document->values[KEY_LOG_TO].text;

	choice_name(schema[KEY_LOG_LEVEL].choices, (unsigned)number(document, NULL, KEY_LOG_LEVEL),
		config->log_level, sizeof(config->log_level));
	if (strchr(to, '/') == NULL)
		text(config->log_to, document, NULL, KEY_LOG_TO);
	else
		CHECK(file_resolve(document->file, to, config->log_to, sizeof(config->log_to)));
}

// Sync ports are not among them: build_cluster() finds the one it needs.
static void build_ports(struct config *config, struct document *document)
{
	struct value *ports = &document->values[KEY_PORTS];

	CHECK(ports->count <= ARRAY_LEN(config->ports));
	for (unsigned i = 0; i < ports->count; i++) {
		struct element *port = &ports->elements[i];

		if (number(document, port, KEY_PORTS_SIDE) != SIDE_SYNC)
			build_port(&config->ports[config->port_count++], document, port);
	}
}

bool config_build(struct config *config, struct document *document)
{
	text(config->node, document, NULL, KEY_NODE);
	text(config->runtime, document, NULL, KEY_RUNTIME);
	build_eal(&config->eal, document);
	build_ports(config, document);
	config->follow_link = number(document, NULL, KEY_FOLLOW_LINK);
	config->flow_capacity = (uint32_t)number(document, NULL, KEY_FLOWS_CAPACITY);
	build_log(config, document);
	config->policy = policy_build(document);
	if (config->policy == NULL)
		return false;
	build_cluster(config, document);
	return true;
}
