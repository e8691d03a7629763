// Shared by port.c (which ports there are) and port_device.c (making them run).
#pragma once

#include "weir/port.h"

#include <stdbool.h>
#include <stdint.h>

#define PORT_DESCRIPTORS 1024 // wanted of each queue

struct node;

// Room a frame of this port needs in a buffer behind the headroom.
uint32_t port_room_bytes(const struct port *port);

// Makes, configures and starts the device; one line in the log where that fails. The pool exists.
// What can be told before anything is taken: that the interface or file is there. 0, or -ERR_*
// after a message.
int port_device_check(const struct port *port);

int port_device_start(struct node *node, struct port *port);
void port_device_stop(struct port *port);
