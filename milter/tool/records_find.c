#include "milter/tool/records_find.h"

#include "config/base/clock.h"
#include "config/base/utf8.h"

bool records_range_read(const struct tool *tool, const struct records_range *range, int64_t *out_first_us, int64_t *out_last_us)
{
	if (range->days && range->from.is_given) {
		tool_usage(tool, "--days and --from say the same thing twice");
		return false;
	}
	*out_last_us = range->to.is_given ? range->to.us : INT64_MAX;
	*out_first_us = range->from.is_given ? range->from.us : INT64_MIN;
	if (range->days) {
		int64_t last_day = jst_day(range->to.is_given ? range->to.us : clock_now_us());

		*out_first_us = jst_day_start_us(last_day - (range->days < 100000 ? range->days : 100000) + 1);
	}
	if (*out_first_us <= *out_last_us)
		return true;
	tool_usage(tool, "--from is after --to");
	return false;
}

void records_wish_key(struct records_wish *wish, enum index_field field, struct str value)
{
	if (wish->key_count < FIND_WISHES_MAX)
		wish->keys[wish->key_count++] = (struct find_key){ field, value };
}

void records_wish_text(struct records_wish *wish, struct tool *tool, struct str text)
{
	struct buf raw;

	if (text.len == 0 || wish->text_count == FIND_WISHES_MAX || !utf8_is_valid(text))
		return;
	buf_init(&raw, RECORD_LINE_MAX);
	json_escape(&raw, text);
	if (!raw.failed && arena_copy(&tool->arena, buf_view(&raw), &wish->texts[wish->text_count]))
		wish->text_count++;
	buf_clear(&raw);
}

struct search {
	struct tool *tool;
	const struct record_class *class;
	const struct records_wish *wish;
	int64_t now_us;
};

/* Nobody sees what is over age, nor whose records are not his to see. */
static bool may_be_seen(const struct search *s, const struct record_line *record)
{
	return !record->is_erased && s->now_us < retention_end_us(s->class->keep, record->stamp.time_us) &&
	       (s->tool->only_tenant.len == 0 || str_eq(s->tool->only_tenant, record->event.tenant));
}

static bool match(void *arg, struct str line, struct arena *scratch)
{
	const struct search *s = arg;
	const struct records_wish *wish = s->wish;
	struct record_line record;
	struct err err;

	return record_parse(line, scratch, &record, &err) && may_be_seen(s, &record) && record.stamp.time_us >= wish->first_us &&
	       record.stamp.time_us <= wish->last_us && (!wish->matches || wish->matches(wish->arg, &record, scratch));
}

static bool take(void *arg, struct str line)
{
	const struct search *s = arg;
	struct found found = { .class_name = s->class->name };
	struct err err;

	if (!arena_copy(&s->tool->arena, line, &found.line) || !record_parse(found.line, &s->tool->arena, &found.record, &err))
		return true;
	tool_progress("", 0, 0);
	return s->wish->found(s->wish->arg, &found);
}

static void show_progress(void *arg, int64_t done, int64_t total)
{
	(void)arg;
	if (done < total)
		tool_progress("searching", done, total);
}

bool records_run(struct tool *tool, const struct record_class *class, struct find_query *query, struct err *err)
{
	struct str dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(class->name));
	struct str keyring = tool->config->log_keyring;
	int64_t oldest = jst_day(clock_now_us()) - retention_days_most(class->keep) - 1;
	struct find_report report = { 0 };

	query->dir = dir.ptr;
	query->first_day = query->first_day > oldest ? query->first_day : oldest;
	query->progress = show_progress;
	if (keyring.len && !seal_open(keyring, class->name, &query->seal, err))
		return false;

	bool ok = record_find(query, &report, err);

	seal_close(query->seal);
	tool_progress("", 0, 0);
	tool->closed_records += tool->only_tenant.len ? 0 : report.closed;      /* those of others are among them */
	return ok;
}

/* The day of a file is that of its records' commit: one before, for those that were committed at midnight. The next one is find's. */
bool records_find(struct tool *tool, const struct record_class *class, const struct records_wish *wish, struct err *err)
{
	struct search s = { .tool = tool, .class = class, .wish = wish, .now_us = clock_now_us() };
	struct find_query query = {
		.first_day = wish->first_us == INT64_MIN ? INT64_MIN : jst_day(wish->first_us) - 1,
		.last_day = wish->last_us == INT64_MAX ? INT64_MAX : jst_day(wish->last_us),
		.newest_first = wish->newest_first,
		.ignores_index = wish->ignores_index,
		.any = wish->any,
		.keys = wish->keys,
		.key_count = wish->key_count,
		.texts = wish->texts,
		.text_count = wish->text_count,
		.match = match,
		.found = take,
		.arg = &s,
	};

	return records_run(tool, class, &query, err);
}
