#include "weir/console/form.h"

#include "base/check.h"

#include <string.h>

static const char *const type_names[TYPE_COUNT] = {
#define X(name, word) [TYPE_##name] = word,
	GRAMMAR_TYPES(X)
#undef X
};

const char *form_type_name(enum grammar_type type)
{
	return type_names[type];
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static void form_add(struct form *form, const struct form_element *element)
{
	CHECK(form->count < GRAMMAR_ELEMENTS_MAX);
	form->element[form->count++] = *element;
}

// MATCH and TUPLE are five places and an optional pair.
static void form_add_match(struct form *form, bool exact, bool optional)
{
	static const char *const places[] = {
		"PROTOCOL", "SRC", "SPORT", "DST", "DPORT", "in", "SIDE"};

	for (unsigned i = 0; i < ARRAY_LEN(places); i++)
		form_add(form, &(struct form_element){.text = places[i],
				       .len = (uint8_t)strlen(places[i]),
				       .group = (optional && i == 0) || i == 5,
				       .optional = optional || i >= 5,
				       .exact = exact});
}

static bool word_is(const char *word, size_t len, const char *name)
{
	return strlen(name) == len && memcmp(word, name, len) == 0;
}

void form_parse(struct form *form, const char *text)
{
	bool optional = false;

	memset(form, 0, sizeof(*form));
	while (*text) {
		bool opens = *text == '[';
		size_t len = strcspn(text += opens, " ]");

		optional |= opens;
		if (word_is(text, len, "MATCH") || word_is(text, len, "TUPLE"))
			form_add_match(form, *text == 'T', optional);
		else
			form_add(form, &(struct form_element){.text = text,
					       .len = (uint8_t)len,
					       .group = opens,
					       .optional = optional});
		text += len;
		if (*text == ']')
			optional = false;
		text += strspn(text, "] ");
	}
	while (form->path < form->count && !form->element[form->path].optional &&
		is_lower(form->element[form->path].text[0]) &&
		!memchr(form->element[form->path].text, '|', form->element[form->path].len))
		form->path++;
}

static bool is_type(const char *word, size_t len)
{
	for (unsigned type = 0; type < TYPE_COUNT; type++)
		if (word_is(word, len, type_names[type]))
			return true;
	return false;
}

static enum grammar_type type_by_name(const char *word, size_t len)
{
	for (unsigned type = 0; type < TYPE_COUNT; type++)
		if (word_is(word, len, type_names[type]))
			return (enum grammar_type)type;
	check_failed("a type of forms", __FILE__, __LINE__);
}

bool form_next(const struct form_element *element, unsigned *at, struct form_alternative *out)
{
	const char *word = element->text + *at;
	const char *bar;
	size_t len;

	if (*at >= element->len)
		return false;
	// A type may be named by all its values.
	bar = *at == 0 && is_type(word, element->len) ? NULL
						      : memchr(word, '|', element->len - *at);
	len = bar ? (size_t)(bar - word) : (size_t)(element->len - *at);
	*at += (unsigned)len + 1;
	memset(out, 0, sizeof(*out));
	if (is_lower(*word) && !is_type(word, len)) {
		CHECK(len < sizeof(out->keyword));
		memcpy(out->keyword, word, len);
	} else {
		out->type = type_by_name(word, len);
	}
	return true;
}

size_t form_path(const char *text, char *out, size_t room)
{
	struct form form;
	const struct form_element *last;
	size_t len;

	form_parse(&form, text);
	last = &form.element[form.path - 1];
	len = (size_t)(last->text + last->len - text);
	CHECK(form.path > 0 && len < room);
	memcpy(out, text, len);
	out[len] = '\0';
	return len;
}
