// A BIO for DTLS in memory. A memory BIO of OpenSSL 3.0 is a stream and would glue datagrams
// together; this one keeps their boundaries. One datagram is lent to it for reading, what is
// written waits in a small queue. A full queue loses datagrams, as a wire does.
#pragma once

#include "weir/cluster/dtls.h"

#include <openssl/bio.h>

#include <stddef.h>
#include <stdint.h>

#define QUEUE_DATAGRAMS 16 // a flight with a chain of large certificates

// The BIO's data (BIO_set_data). All zero: empty.
struct datagram_queue {
	const uint8_t *in; // what is read next; NULL: nothing
	size_t in_len;
	unsigned first, count;
	uint16_t lens[QUEUE_DATAGRAMS];
	uint8_t datagrams[QUEUE_DATAGRAMS][DTLS_DATAGRAM_BYTES];
};

// BIO_meth_free() it. NULL: out of memory.
BIO_METHOD *datagram_bio_method(void);
// The oldest datagram that was written, into DTLS_DATAGRAM_BYTES; its length, 0: none.
size_t datagram_queue_take(struct datagram_queue *queue, uint8_t *out);
