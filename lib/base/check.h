// Assertions that stay on in release builds: a broken invariant in a firewall must stop it, not
// let packets through. They guard programming errors only, never input.
#pragma once

_Noreturn void check_failed(const char *expression, const char *file, int line);

#define CHECK(expression) ((expression) ? (void)0 : check_failed(#expression, __FILE__, __LINE__))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))
