/*
 * scan - take JSON apart without building anything: the members of an object, the items of an array.
 *
 * Strings come as they stand between their quotes, still escaped; values come as slices of the text. A value that is
 * passed over is checked for its brackets and quotes only: whoever needs it takes it apart in turn.
 *
 * Input    lines from disks that anybody may have touched
 * Bounds   SCAN_DEPTH_MAX brackets inside one another; linear in the text; no recursion
 */
#ifndef SEKISHO_RECORD_SCAN_H
#define SEKISHO_RECORD_SCAN_H

#include "config/base/arena.h"

#define SCAN_DEPTH_MAX 64

enum scan_step {
	SCAN_BAD,                      /* the text is not what it should be here */
	SCAN_ITEM,
	SCAN_END,                      /* the closing bracket; what follows it is in scan->rest */
};

struct scan {
	struct str rest;
	bool has_begun;
};

/* False when the text does not begin with the bracket. */
bool scan_open(struct str text, char bracket, struct scan *out);
enum scan_step scan_member(struct scan *scan, struct str *out_key, struct str *out_value);
enum scan_step scan_item(struct scan *scan, struct str *out_value);

/* What a value holds; false when it is something else. */
bool scan_is_string(struct str value, struct str *out_escaped);
/* The string itself: points into the value when nothing was escaped, else into the arena. */
bool scan_string(struct str value, struct arena *arena, struct str *out);
bool scan_i64(struct str value, int64_t *out);

/* One member of an object by its name; false when absent or when the text breaks before it. */
bool scan_find(struct str object, struct str key, struct str *out_value);
bool scan_find_string(struct str object, struct str key, struct str *out_escaped);
bool scan_find_i64(struct str object, struct str key, int64_t *out);

#endif
