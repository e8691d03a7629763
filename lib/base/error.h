// Error codes of lib/: functions return 0 or one of these, negated.
#pragma once

enum error {
	ERR_MALFORMED = 1, // the input breaks its own format
	ERR_RANGE,	   // a value is outside its documented range
	ERR_FULL,	   // a bounded resource has no room
	ERR_EXISTS,	   // the thing is already there
	ERR_MISSING,	   // the thing is not there
	ERR_MEMORY,	   // the caller's memory is too small, or the heap is exhausted
	ERR_CRYPTO,	   // the crypto library refused
};
