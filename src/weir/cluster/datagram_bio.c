#include "weir/cluster/datagram_bio.h"

#include <string.h>

static int bio_write(BIO *bio, const char *data, int len)
{
	struct datagram_queue *queue = BIO_get_data(bio);
	unsigned at = (queue->first + queue->count) % QUEUE_DATAGRAMS;

	BIO_clear_retry_flags(bio);
	if (queue->count < QUEUE_DATAGRAMS && len > 0 && len <= DTLS_DATAGRAM_BYTES) {
		memcpy(queue->datagrams[at], data, (size_t)len);
		queue->lens[at] = (uint16_t)len;
		queue->count++;
	}
	return len;
}

static int bio_read(BIO *bio, char *out, int room)
{
	struct datagram_queue *queue = BIO_get_data(bio);
	size_t len = queue->in_len;

	BIO_clear_retry_flags(bio);
	if (queue->in == NULL) {
		BIO_set_retry_read(bio);
		return -1;
	}
	if (len > (size_t)room) // the rest is lost, as with a socket
		len = (size_t)room;
	memcpy(out, queue->in, len);
	queue->in = NULL;
	return (int)len;
}

static long bio_ctrl(BIO *bio, int command, long value, void *pointer)
{
	(void)bio;
	(void)value;
	(void)pointer;
	switch (command) {
	case BIO_CTRL_FLUSH:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return DTLS_DATAGRAM_BYTES;
	default: // no overhead, no timeouts, nothing pending
		return 0;
	}
}

static int bio_create(BIO *bio)
{
	BIO_set_init(bio, 1);
	return 1;
}

BIO_METHOD *datagram_bio_method(void)
{
	BIO_METHOD *method =
		BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir datagrams");

	if (method != NULL && BIO_meth_set_write(method, bio_write) == 1 &&
		BIO_meth_set_read(method, bio_read) == 1 &&
		BIO_meth_set_ctrl(method, bio_ctrl) == 1 &&
		BIO_meth_set_create(method, bio_create) == 1)
		return method;
	BIO_meth_free(method);
	return NULL;
}

size_t datagram_queue_take(struct datagram_queue *queue, uint8_t *out)
{
	size_t len;

	if (queue->count == 0)
		return 0;
	len = queue->lens[queue->first];
	memcpy(out, queue->datagrams[queue->first], len);
	queue->first = (queue->first + 1) % QUEUE_DATAGRAMS;
	queue->count--;
	return len;
}
