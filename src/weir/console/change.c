// The commands that change something.
#include "weir/console/console_private.h"

#include "base/error.h"
#include "common/log.h"
#include "weir/control.h"
#include "weir/node.h"

#include <stdio.h>
#include <string.h>

#define ERRORS_BYTES 8000

static void set_forwarding(struct session *session, bool forward)
{
	if (!control_set_forwarding(session->node, forward)) {
		session_fail(session, "failed", NULL, "the appliance is about to end");
		return;
	}
	session_answer(session,
		json_pack("{s:s}", "state", node_state_name(node_get_state(session->node))));
}

void command_start(struct session *session)
{
	set_forwarding(session, true);
}

void command_stop(struct session *session)
{
	set_forwarding(session, false);
}

void command_set_log(struct session *session)
{
	enum log_level level;

	if (log_level_parse(session->args.level, &level)) {
		session_fail(session, "bad_argument", NULL, "no such log level");
		return;
	}
	log_set_level(level);
	session_answer(session, json_pack("{s:s}", "level", log_level_name(level)));
}

void command_clear_flow(struct session *session)
{
	if (!control_flush(session->node)) {
		session_fail(session, "busy", "try again", "a worker takes no messages now");
		return;
	}
	session_answer(session, json_pack("{s:s}", "cleared", "all flows"));
}

static json_t *reply_errors(const struct config_errors *errors)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < errors->count; i++)
		json_array_append_new(list, json_string(errors->list[i].text));
	return list;
}

static void fail_reload(struct session *session, int rc, const struct config_errors *errors)
{
	char text[ERRORS_BYTES] = "";
	size_t used = 0;

	for (unsigned i = 0; i < errors->count && used < sizeof(text); i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? "\n" : "",
			errors->list[i].text);
	session_fail_details(session, rc == -ERR_FULL ? "busy" : "failed",
		rc == -ERR_FULL	   ? "try again"
		: rc == -ERR_RANGE ? "these changes need a restart; nothing was changed"
				   : "nothing was changed",
		*text ? text : "the configuration was not taken", reply_errors(errors));
}

static void do_reload(struct session *session, bool check_only)
{
	struct config_errors errors = {.count = 0};
	struct node *node = session->node;
	char sha256[65];
	int rc = control_reload(node, check_only, sha256, &errors);
	json_t *data;

	if (rc) {
		fail_reload(session, rc, &errors);
	} else {
		data = json_pack("{s:b,s:I,s:s}", "applied", !check_only, "config_generation",
			(json_int_t)node->generation, "config_sha256", node->config->sha256);
		if (check_only) {
			json_object_set_new(data, "would_apply", json_true());
			json_object_set_new(data, "file_sha256", json_string(sha256));
		}
		json_object_set_new(data, "notes", reply_errors(&errors));
		session_answer(session, data);
	}
	config_errors_free(&errors);
}

void command_reload(struct session *session)
{
	do_reload(session, false);
}

void command_reload_check(struct session *session)
{
	do_reload(session, true);
}

// The clients leave on their own; asked of the appliance it means nothing (`weir run -i` stops by
// SIGTERM).
void command_quit(struct session *session)
{
	session_answer(session, json_object());
}
