// A configuration file as values, defaults filled in: what stands between libconfig and the typed
// configuration, and what config_dump() prints. Read by one walk (read.c), checked (check.c), then
// built from (build.c) and never changed.
#pragma once

#include "base/addr.h"
#include "cfg/errors.h"
#include "cfg/schema.h"

struct range {
	uint16_t low, high;
};

struct element;

struct value {
	struct place place;
	bool given;	// in the file or by --set
	bool bad;	// reported: what stands here is the default
	int64_t number; // INT BOOL CHOICE; PROTOCOL: protocol_code()
	char *text;	// TEXT
	unsigned count; // entries of the one that is used below
	struct prefix *prefixes;
	struct range *ranges;
	struct element *elements;
};

// One element of a list: the values of the keys list+1 .. schema_end(list)-1.
struct element {
	struct place place;
	enum key list;
	bool bad;	// no group: reported, and all its values are bad
	char label[72]; // its name, "[3]" where it has none
	struct value *values;
};

struct document {
	const char *file; // the caller's, while it is read and checked
	struct config_errors *errors;
	struct value values[KEY_COUNT]; // those below a list are unused
};

struct document *document_create(const char *file, struct config_errors *errors);
void document_destroy(struct document *document);

// Allocates the elements of a list, all values empty. False where memory is short.
bool elements_create(struct value *list, enum key key, unsigned count);

// A value of an element, or of the top level where element is NULL.
static inline struct value *value_of(
	struct document *document, struct element *element, enum key key)
{
	return element ? &element->values[key - element->list - 1] : &document->values[key];
}

// "services.lab.mode"; returns out.
const char *path_format(const struct element *element, enum key key, char *out, size_t size);

// Where a key of the top level is given; else the group it belongs to, else the first line.
struct place place_of_key(const struct document *document, enum key key);

// Reports an error about a key, at the place of its value or else of what surrounds it.
__attribute__((format(printf, 4, 5))) void report(
	struct document *document, struct element *element, enum key key, const char *format, ...);

// enum rule_protocol and, with RULE_OTHER, the IP protocol number, as one number.
static inline int64_t protocol_code(unsigned protocol, unsigned number)
{
	return protocol | number << 8;
}

static inline uint8_t protocol_of(int64_t code)
{
	return (uint8_t)code;
}

static inline uint8_t protocol_number(int64_t code)
{
	return (uint8_t)(code >> 8);
}

// The file's folder joined with a relative name. False where it does not fit.
bool file_resolve(const char *file, const char *name, char *out, size_t size);
