// Link types of captures: what is not Ethernet gets an Ethernet header in front, because the engine
// knows nothing else. The addresses in it are made up: 02:00:00:00:00:01 sends, ...:02 receives.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_ETHERNET_BYTES 14

// True for the types (libpcap's DLT_*) that can be replayed.
bool link_is_known(int type);

// Name for people.
const char *link_name(int type);

// True where frames of the type are taken as they are.
bool link_is_ethernet(int type);

// Writes the packet with an Ethernet header instead of its own into out[size]; what does not fit is
// cut. Its bytes, or 0 where `data` is too short to have a header of its type.
size_t link_to_ethernet(int type, const uint8_t *data, size_t len, uint8_t *out, size_t size);
