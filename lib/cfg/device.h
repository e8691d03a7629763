// The names of devices (INTERFACE section 1, `ports`).
#pragma once

#include <stdbool.h>
#include <stddef.h>

// NULL where `device` is well-formed, else what is wrong with it. Static storage.
const char *device_check(const char *device);

// Writes the device with its file name resolved against the configuration file's folder.
bool device_resolve(const char *file, const char *device, char *out, size_t size);
