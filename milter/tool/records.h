/*
 * records - what log show and log search have in common: which records are still there to be seen, and how they look.
 */
#ifndef SEKISHO_RECORDS_H
#define SEKISHO_RECORDS_H

#include "milter/record/format.h"
#include "milter/tool/tool.h"

/* What a record may be called: mail, what people do with it, what operators do, the gate, the log itself. */
#define RECORDS_EVENTS \
	"accepted|held|released|dropped|deferred|rejected|delivered|delayed|failed|expired|bounced|complained|" \
	"opened|clicked|unsubscribed|" \
	"access|quota_reset|suppressed|reader_forgotten|links_denied|links_allowed|tenant-erased|backup|" \
	"started|stopped|config|store|alarm|verified|guard|halved|suspended|resumed|" \
	"begin|tenants|checkpoint|clock|recovered|purged|erased|restored"

/* A record that was found, with its line. */
struct found {
	struct str class_name, line;
	struct record_line record;
};

/* Called for each record of a class, torn and unreadable lines left out. False stops the walk. `line` lives for the call. */
typedef bool records_fn(void *arg, struct str class_name, struct str line);

/*
 * Walks the files of one class of JST days first to last and of the next there is (find.h), records over age left out: they are no more, even while
 * their file still waits for the purge. A class without a directory has none. Sealed lines come opened where this user has
 * the keys, else as they stand and counted in tool->closed_records.
 */
bool records_walk(struct tool *tool, const struct record_class *class, int64_t first_day, int64_t last_day, bool from_end,
		  records_fn *fn, void *arg, struct err *err);

/* Copies and parses; false: no record, or it is over age. */
bool records_take(struct arena *arena, const struct record_class *class, struct str line, struct found *out);

/* "2 recipients, 1,234 bytes, rule hourly: 451 4.7.1 ..." */
struct str records_describe(struct tool *tool, const struct record_event *event);
/* "userunknown, hard: 550 5.1.1 no such user (by mx.example)": what the MTA's log said; empty without an outcome. */
struct str records_outcome(struct tool *tool, const struct record_event *event);
/* "a@x", or "a@x and 3 more". */
struct str records_recipients(struct tool *tool, const struct record_event *event);

/* ASCII case folded; `needle` is not empty. */
bool records_contains(struct str text, struct str needle);

#endif
