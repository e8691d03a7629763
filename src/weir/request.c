// Questions to workers. A request has a token that comes back in the reply; who asked is found by
// it. One that is not answered within a second is given up, so that an asker never waits for ever.
#include "weir/control_internal.h"
#include "weir/worker.h"

#include <string.h>

#define PATIENCE_NS 1000000000ULL

static uint64_t *request_token(struct message *message)
{
	return message->type == MESSAGE_QUERY ? &message->body.query.token
					      : &message->body.flows.dump.token;
}

// A free request, or NULL. The slot is part of the token, so that a reply finds it at once.
static struct request *find_free(struct requests *requests)
{
	for (unsigned i = 0; i < CONTROL_REQUESTS_MAX; i++) {
		struct request *request = &requests->list[i];

		if (request->token == 0) {
			request->token = ++requests->asked * CONTROL_REQUESTS_MAX + i;
			return request;
		}
	}
	return NULL;
}

uint64_t control_request(struct node *node, unsigned worker, const struct message *message,
	control_reply *reply, void *argument)
{
	struct mailbox *mail = worker_mail(node->workers[worker]);
	struct message *cell;

	if (mailbox_room(mail, &cell, 1) == 0)
		return 0;
	struct request *request = find_free(&node->control->requests);
	if (!request)
		return 0;
	request->worker = worker;
	request->deadline_ns = node_now_ns() + PATIENCE_NS;
	request->reply = reply;
	request->argument = argument;
	*cell = *message;
	cell->node = NODE_NONE;
	cell->worker = (uint16_t)worker;
	*request_token(cell) = request->token;
	mailbox_post(mail, 1);
	return request->token;
}

void control_forget(struct node *node, uint64_t token)
{
	struct request *request = &node->control->requests.list[token % CONTROL_REQUESTS_MAX];

	if (token && request->token == token)
		request->token = 0;
}

// The slot is free before the asker is told: it may ask again.
static void finish(struct request *request, const struct message *reply)
{
	request->token = 0;
	request->reply(request->argument, reply);
}

void requests_answer(struct node *node, const struct message *reply)
{
	uint64_t token = reply->why ? reply->body.reply.token : reply->body.flows.dump.token;
	struct request *request = &node->control->requests.list[token % CONTROL_REQUESTS_MAX];

	if (token && request->token == token)
		finish(request, reply);
}

void requests_expire(struct node *node, uint64_t now_ns)
{
	for (unsigned i = 0; i < CONTROL_REQUESTS_MAX; i++) {
		struct request *request = &node->control->requests.list[i];

		if (request->token && request->deadline_ns < now_ns)
			finish(request, NULL);
	}
}
