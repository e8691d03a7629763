#include "common/drop_text.h"

json_t *drop_explained(json_t *data)
{
	json_t *reasons = json_object_get(data, "reasons"), *count;
	json_t *meanings = json_object_get(data, "meanings");
	json_t *rows, *copy;
	const char *name;

	if (!json_is_object(reasons) || !json_is_object(meanings))
		return json_incref(data);
	rows = json_array();
	json_object_foreach(reasons, name, count)
	{
		json_t *meaning = json_object_get(meanings, name);

		json_array_append_new(rows, json_pack("{s:s,s:O,s:O?}", "reason", name, "packets",
						    count, "meaning", meaning));
	}
	copy = json_copy(data);
	json_object_del(copy, "meanings");
	json_object_set_new(copy, "reasons", rows);
	return copy;
}
