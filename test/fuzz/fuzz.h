// What a fuzz target defines.
#pragma once

#include <stddef.h>
#include <stdint.h>

#define FUZZ_INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
