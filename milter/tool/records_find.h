/*
 * records_find - what log search and log show ask of the log: by index, by all cores, in order (milter/record/find.h).
 *
 * Records over age are no more, and whoever may see one tenant's records finds those alone.
 */
#ifndef SEKISHO_RECORDS_FIND_H
#define SEKISHO_RECORDS_FIND_H

#include "milter/record/find.h"
#include "milter/tool/records.h"

/* --from, --to and --days, as every command that reads records has them. */
struct records_range {
	struct option_time from, to;
	int64_t days;
};
#define RECORDS_RANGE_OPTIONS(at)                                                                                             \
	{ "--from", OPTION_SINCE, at + offsetof(struct records_range, from), "TIME", NULL,                                    \
	  "from then on: 2026-11-21, \"2026-11-21 18:04\" (JST), today, yesterday, or 2h (ago)" },                            \
	{ "--to", OPTION_UNTIL, at + offsetof(struct records_range, to), "TIME", NULL, "up to then; a date includes its day" }, \
	{ "--days", OPTION_COUNT, at + offsetof(struct records_range, days), "N", NULL, "the last N days, today being one of them" }

/* Microseconds, inclusive; INT64_MIN and INT64_MAX where nothing is said. False: said, exit with TOOL_USAGE. */
bool records_range_read(const struct tool *tool, const struct records_range *range, int64_t *out_first_us, int64_t *out_last_us);

/* What a search is after. Filled by those who ask; lives as long as they do. */
struct records_wish {
	struct find_key keys[FIND_WISHES_MAX];
	struct str texts[FIND_WISHES_MAX];      /* escaped */
	size_t key_count, text_count;
	bool any, newest_first, ignores_index;
	int64_t first_us, last_us;
	/* In any thread. NULL: all. */
	bool (*matches)(void *arg, const struct record_line *record, struct arena *scratch);
	/* The records one by one, in the tool's arena. False: enough. */
	bool (*found)(void *arg, const struct found *found);
	void *arg;
};

void records_wish_key(struct records_wish *wish, enum index_field field, struct str value);
/* The octets as JSON has them. One that is empty or no UTF-8 narrows nothing. */
void records_wish_text(struct records_wish *wish, struct tool *tool, struct str text);

/* For records.c: the directory, the days, what is sealed and the progress are filled in; `arg` is `found`'s. */
bool records_run(struct tool *tool, const struct record_class *class, struct find_query *query, struct err *err);

bool records_find(struct tool *tool, const struct record_class *class, const struct records_wish *wish, struct err *err);

#endif
