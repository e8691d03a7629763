// The terminal side: libedit with completion by the appliance, history per user. SIGINT belongs to
// the thread that runs this: it clears the line, or gives up the answer that is awaited.
#include "common/client.h"

#include "common/render.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#define HISTORY_LINES 1000
#define PROMPT	      "weir> "

static char *prompt(EditLine *edit)
{
	static char text[] = PROMPT;

	(void)edit;
	return text;
}

static pthread_t editor; // the thread in client_interact()

// The kernel gives a SIGINT to any thread; the editor's system call must see it.
static void on_interrupt(int number)
{
	client_cancelled = 1;
	if (!pthread_equal(pthread_self(), editor))
		pthread_kill(editor, number);
}

// One character from the terminal: 1, 0 at the end of input, -1 where Ctrl-C was pressed.
static int read_character(EditLine *edit, wchar_t *out)
{
	mbstate_t state = {0};
	char byte;
	ssize_t got;
	size_t len;

	for (;;) {
		got = client_cancelled || client_closing ? -1 : read(STDIN_FILENO, &byte, 1);
		if (got < 0 && errno == EINTR && !client_cancelled && !client_closing) {
			el_resize(edit);
			continue;
		}
		if (got <= 0)
			return (int)got;
		len = mbrtowc(out, &byte, 1, &state);
		if (len == (size_t)-1)
			*out = '?';
		if (len != (size_t)-2)
			return 1;
	}
}

// Bytes all words begin with.
static size_t common_len(const json_t *words)
{
	const char *first = json_string_value(json_array_get(words, 0));
	size_t len = first ? strlen(first) : 0;
	const json_t *word;
	size_t index;

	json_array_foreach(words, index, word)
	{
		const char *text = json_string_value(word);
		size_t same = 0;

		while (text && same < len && text[same] == first[same])
			same++;
		len = same;
	}
	return len;
}

static void list_words(struct client *client, const json_t *words)
{
	const json_t *word;
	size_t index;

	fputc('\n', client->out);
	json_array_foreach(words, index, word)
	{
		fputs(index ? "  " : "", client->out);
		render_text(
			json_string_value(word) ? json_string_value(word) : "", "", client->out);
	}
	fputc('\n', client->out);
	fflush(client->out);
}

static unsigned char complete_words(
	EditLine *edit, struct client *client, const json_t *words, const char *before)
{
	const char *blank = strrchr(before, ' ');
	size_t typed = strlen(blank ? blank + 1 : before);
	size_t common = common_len(words);
	char insert[LINE_MAX];

	if (common < typed || json_array_size(words) == 0)
		return CC_REFRESH_BEEP;
	snprintf(insert, sizeof(insert), "%.*s%s", (int)(common - typed),
		json_string_value(json_array_get(words, 0)) + typed,
		json_array_size(words) == 1 ? " " : "");
	if (*insert && el_insertstr(edit, insert) == 0)
		return CC_REFRESH;
	list_words(client, words);
	return CC_REDISPLAY;
}

static json_t *words_at_cursor(EditLine *edit, struct client **client, char before[LINE_MAX])
{
	const LineInfo *line = el_line(edit);

	el_get(edit, EL_CLIENTDATA, client);
	snprintf(before, LINE_MAX, "%.*s", (int)(line->cursor - line->buffer), line->buffer);
	return client_complete(*client, before);
}

static unsigned char on_complete(EditLine *edit, int key)
{
	char before[LINE_MAX];
	struct client *client;
	json_t *words = words_at_cursor(edit, &client, before);
	unsigned char rc = complete_words(edit, client, words, before);

	(void)key;
	json_decref(words);
	return rc;
}

static unsigned char on_question(EditLine *edit, int key)
{
	char before[LINE_MAX];
	struct client *client;
	json_t *words = words_at_cursor(edit, &client, before);

	(void)key;
	list_words(client, words);
	json_decref(words);
	return CC_REDISPLAY;
}

// The history's file, made readable by its owner alone. Heap memory or NULL.
static char *history_file(void)
{
	const char *home = getenv("HOME");
	char *path = NULL;
	int fd;

	if (!home || asprintf(&path, "%s/.weir_history", home) < 0)
		return NULL;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		free(path);
		return NULL;
	}
	(void)fchmod(fd, 0600);
	close(fd);
	return path;
}

static enum client_status run_lines(
	struct client *client, EditLine *edit, History *past, bool *quit)
{
	enum client_status status = CLIENT_OK;
	const char *typed;
	char line[LINE_MAX];
	HistEvent event;
	int count;

	*quit = false;
	while (status != CLIENT_UNREACHABLE && !*quit && !client_closing) {
		client_cancelled = 0;
		typed = el_gets(edit, &count);
		if (!typed && client_cancelled && !client_closing) { // Ctrl-C: a new line
			el_reset(edit);
			fputc('\n', client->out);
			continue;
		}
		if (!typed || count <= 0)
			break;
		snprintf(line, sizeof(line), "%s", typed);
		line[strcspn(line, "\r\n")] = '\0';
		if (line[strspn(line, " \t")] == '\0')
			continue;
		history(past, &event, H_ENTER, line);
		*quit = client_is_quit(line);
		if (!*quit)
			status = client_command(client, line);
	}
	return status == CLIENT_UNREACHABLE ? status : CLIENT_OK;
}

static EditLine *edit_open(struct client *client, History *past)
{
	EditLine *edit = el_init("weir", stdin, client->out, client->err);

	if (!edit)
		return NULL;
	el_set(edit, EL_CLIENTDATA, client);
	el_set(edit, EL_PROMPT, prompt);
	el_set(edit, EL_EDITOR, "emacs");
	el_set(edit, EL_SIGNAL, 0);
	el_set(edit, EL_GETCFN, read_character);
	el_set(edit, EL_HIST, history, past);
	// In wide characters: of narrow ones it keeps copies that it never frees.
	el_wset(edit, EL_ADDFN, L"weir-complete", L"complete the word", on_complete);
	el_wset(edit, EL_ADDFN, L"weir-list", L"list what could follow", on_question);
	el_set(edit, EL_BIND, "\t", "weir-complete", NULL);
	el_set(edit, EL_BIND, "?", "weir-list", NULL);
	el_set(edit, EL_BIND, "^R", "em-inc-search-prev", NULL);
	return edit;
}

enum client_status client_interact(struct client *client, bool *quit)
{
	struct sigaction interrupt = {.sa_handler = on_interrupt}, before;
	History *past = history_init();
	char *file = history_file();
	enum client_status status = CLIENT_FAILED;
	EditLine *edit;
	HistEvent event;

	if (!past)
		return status;
	editor = pthread_self();
	sigaction(SIGINT, &interrupt, &before);
	history(past, &event, H_SETSIZE, HISTORY_LINES);
	history(past, &event, H_SETUNIQUE, 1);
	if (file)
		history(past, &event, H_LOAD, file);
	edit = edit_open(client, past);
	if (edit) {
		status = run_lines(client, edit, past, quit);
		el_end(edit);
	}
	if (file)
		history(past, &event, H_SAVE, file);
	history_end(past);
	free(file);
	sigaction(SIGINT, &before, NULL);
	return status;
}
