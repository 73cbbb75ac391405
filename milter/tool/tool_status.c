/* sekisho status: how the gate is doing; when it does not answer, what can be said without it. */
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/config_report.h"
#include "milter/record/reader.h"
#include "milter/tool/commands.h"
#include "milter/tool/daemon.h"
#include "milter/tool/queue.h"
#include "milter/tool/top.h"

static const struct option options[] = { QUEUE_MTA_OPTIONS(0), { NULL } };

static int64_t time_of(const json_t *status, const char *path)
{
	int64_t us = 0;

	return jst_parse_time(daemon_str(status, path), &us) ? us : 0;
}

/* What waits in the MTA's hold queue, whoever put it there. */
struct on_hold {
	bool is_there;                 /* an MTA whose queue could be asked */
	bool is_known;
	int64_t messages;
	struct err why;                /* it is not known */
};

static struct on_hold count_held(struct tool *tool, const struct queue_options *want)
{
	struct on_hold out = { .is_there = false };
	struct queue_mta mta;

	out.is_there = queue_find(tool, want, &mta, &out.why);
	out.is_known = out.is_there && queue_count_held(tool, &mta, &out.messages, &out.why);
	return out;
}

static void show_held(struct tool *tool, const struct on_hold *held)
{
	if (held->is_known)
		tool_field(tool, "On hold", "%s message%s in the MTA's queue", tool_number(tool, held->messages).ptr,
			   held->messages == 1 ? "" : "s");
	else if (held->is_there)
		tool_field(tool, "On hold", "not seen: %s", held->why.text);
}

/* --- it answers */

static void show_messages(struct tool *tool, const json_t *status)
{
	static const char *const names[] = { "accepted", "deferred", "rejected", "held", "aborted" };
	struct buf buf;

	buf_init(&buf, 4096);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		struct str path = tool_text(tool, "messages.%s", names[i]);

		buf_printf(&buf, "%s" STR_FMT " %s", i ? ", " : "", STR_ARG(tool_number(tool, daemon_i64(status, path.ptr))),
			   names[i]);
	}
	tool_field(tool, "Messages", STR_FMT, STR_ARG(buf_view(&buf)));
	buf_clear(&buf);
}

static void show_log(struct tool *tool, const json_t *status)
{
	bool is_full = json_is_true(daemon_member(status, "relay_log.is_full"));
	bool is_low = json_is_true(daemon_member(status, "relay_log.is_low"));

	tool_field(tool, "Relay log", STR_FMT ", seq %lld, %s records in %s commits", STR_ARG(daemon_str(status, "relay_log.file")),
		   (long long)daemon_i64(status, "relay_log.seq"), tool_number(tool, daemon_i64(status, "relay_log.records")).ptr,
		   tool_number(tool, daemon_i64(status, "relay_log.groups")).ptr);
	tool_field(tool, "", "last sync %.1f ms, slowest %.1f ms; signed " STR_FMT " JST",
		   (double)daemon_i64(status, "relay_log.sync_us_last") / 1000, (double)daemon_i64(status, "relay_log.sync_us_max") / 1000,
		   STR_ARG(tool_time(tool, time_of(status, "relay_log.last_checkpoint"))));
	tool_field(tool, "", "disk %lld %% free%s", (long long)daemon_i64(status, "relay_log.free_percent"),
		   is_full ? ": FULL, mail is deferred" : is_low ? ": LOW" : "");
	if (daemon_i64(status, "relay_log.failures"))
		tool_field(tool, "", "%lld FAILURES to write", (long long)daemon_i64(status, "relay_log.failures"));
	if (daemon_i64(status, "relay_log.alarms"))
		tool_field(tool, "", "%lld ALARM%s: see " STR_FMT " log search --class ops --event alarm",
			   (long long)daemon_i64(status, "relay_log.alarms"), daemon_i64(status, "relay_log.alarms") == 1 ? "" : "S",
			   STR_ARG(tool_self(tool)));
}

/* How far the follower of the MTA's log is. */
static void show_maillog(struct tool *tool, const json_t *status)
{
	struct str journal = daemon_str(status, "maillog.journal"), path = daemon_str(status, "maillog.path");

	if (!daemon_member(status, "maillog"))
		return;
	tool_field(tool, "MTA's log", "%s" STR_FMT ", %s lines read, %s outcomes", journal.len ? "journal " : "",
		   STR_ARG(journal.len ? journal : path),
		   tool_number(tool, daemon_i64(status, "maillog.lines")).ptr,
		   tool_number(tool, daemon_i64(status, "maillog.outcomes")).ptr);
	if (daemon_i64(status, "maillog.behind_octets"))
		tool_field(tool, "", "%s octets behind, " STR_FMT, tool_number(tool, daemon_i64(status, "maillog.behind_octets")).ptr,
			   STR_ARG(tool_duration(tool, daemon_i64(status, "maillog.lag_s") * US_PER_S)));
}

static void show_status(struct tool *tool, const json_t *status, const struct on_hold *held)
{
	int64_t now_us = clock_now_us(), started_us = time_of(status, "started");

	tool_field(tool, "Gate", STR_FMT " " STR_FMT " on " STR_FMT ", pid %lld, up " STR_FMT,
		   STR_ARG(daemon_str(status, "program")), STR_ARG(daemon_str(status, "version")),
		   STR_ARG(daemon_str(status, "node")), (long long)daemon_i64(status, "pid"),
		   STR_ARG(tool_duration(tool, now_us > started_us ? now_us - started_us : 0)));
	tool_field(tool, "Configuration", STR_FMT ", generation %lld, loaded " STR_FMT " JST, %lld tenant%s",
		   STR_ARG(daemon_str(status, "config.path")), (long long)daemon_i64(status, "config.generation"),
		   STR_ARG(tool_time(tool, time_of(status, "config.loaded"))), (long long)daemon_i64(status, "config.tenants"),
		   daemon_i64(status, "config.tenants") == 1 ? "" : "s");
	if (daemon_str(status, "config.last_error").len)
		tool_field(tool, "", "NOT RELOADED: " STR_FMT, STR_ARG(daemon_str(status, "config.last_error")));
	tool_field(tool, "Sessions", "%s now, %s since the start", tool_number(tool, daemon_i64(status, "sessions")).ptr,
		   tool_number(tool, daemon_i64(status, "sessions_total")).ptr);
	show_messages(tool, status);
	show_held(tool, held);
	tool_field(tool, "Store", STR_FMT ", %lld failures%s", STR_ARG(daemon_str(status, "store.backend")),
		   (long long)daemon_i64(status, "store.failures"),
		   json_is_true(daemon_member(status, "store.is_local")) ? "; AWAY: this relay counts by itself" : "");
	show_log(tool, status);
	show_maillog(tool, status);
	if (daemon_i64(status, "guard.strikes"))
		tool_field(tool, "Guard", "%s strikes since the start; last " STR_FMT " JST, " STR_FMT,
			   tool_number(tool, daemon_i64(status, "guard.strikes")).ptr,
			   STR_ARG(tool_time(tool, time_of(status, "guard.last_at"))), STR_ARG(daemon_str(status, "guard.last")));
	tool_field(tool, "Clock", STR_FMT ", off by at most %.1f ms", STR_ARG(daemon_str(status, "clock.state")),
		   (double)daemon_i64(status, "clock.max_error_us") / 1000);
}

/* Things that an operator must act on. */
static bool is_sick(const json_t *status)
{
	return daemon_str(status, "config.last_error").len || json_is_true(daemon_member(status, "relay_log.is_full")) ||
	       json_is_true(daemon_member(status, "relay_log.is_low"));
}

/* What each tenant sent, has used and could not deliver; without a store that can be looked at, what it sent. */
static void add_tenants(struct tool *tool, json_t *status)
{
	struct top top = { .status = NULL };
	struct top_source source;
	struct json json;
	struct buf text;
	struct err err;

	if (!tool_store_open(tool, TOOL_LOOK, &err))
		tool_fail(tool, TOOL_OK, "tenants' quotas and bounces are not told: store: %s", err.text);
	if (!top_source_init(&source, tool->config, tool->store))
		return;
	top_gather(&source, &tool->arena, &top);
	buf_init(&text, DAEMON_ANSWER_MAX);
	json_init(&json, &text);
	json_array_open(&json);
	top_write_json(&top, &json);
	json_array_close(&json);
	json_object_set_new(status, "tenants", json_loadb(text.ptr, text.len, 0, NULL));
	buf_clear(&text);
	top_clear(&top);
	top_source_clear(&source);
}

static int answer(struct tool *tool, json_t *status, const struct on_hold *held)
{
	if (tool->is_json) {
		add_tenants(tool, status);
		if (held->is_known)
			json_object_set_new(status, "on_hold", json_integer(held->messages));

		char *text = json_dumps(status, JSON_COMPACT);

		buf_add_c(&tool->out, text ? text : "{}");
		buf_add_byte(&tool->out, '\n');
		free(text);
	} else {
		show_status(tool, status, held);
	}
	return is_sick(status) ? TOOL_NO : TOOL_OK;
}

/* --- it does not */

static struct str free_space(struct tool *tool, struct str dir)
{
	struct statvfs fs;

	if (statvfs(tool_text(tool, STR_FMT, STR_ARG(dir)).ptr, &fs) != 0 || fs.f_blocks == 0)
		return STR("not there");
	return tool_text(tool, "disk %lld %% free", (long long)(fs.f_bavail * 100 / fs.f_blocks));
}

static struct str store_there(struct tool *tool)
{
	struct str path = tool->config->store_path;
	bool is_there = access(tool_text(tool, STR_FMT, STR_ARG(path)).ptr, F_OK) == 0;

	if (tool->config->store_backend != STORE_EMBEDDED)
		return STR("redis");
	return tool_text(tool, STR_FMT "%s", STR_ARG(path), is_there ? "" : ", not there");
}

/* The newest record of a class; empty: none. */
static struct str last_record(struct tool *tool, struct str class_name)
{
	struct str dir = tool_text(tool, STR_FMT "/" STR_FMT, STR_ARG(tool->config->log_dir), STR_ARG(class_name)), line;
	struct record_reader *reader;
	struct record_line record;
	struct str out = STR_EMPTY;
	bool is_torn, found;
	struct err err;

	if (!record_reader_open(dir, INT64_MIN, INT64_MAX, true, &reader, &err))
		return out;
	while (record_reader_next(reader, &line, &is_torn, &found, &err) && found)
		if (!is_torn && record_parse(line, &tool->arena, &record, &err) && !record.is_erased) {
			out = tool_text(tool, "last record " STR_FMT " JST, seq %lld, " STR_FMT,
					STR_ARG(tool_time(tool, record.stamp.time_us)), (long long)record.stamp.seq,
					STR_ARG(record.event.event));
			break;
		}
	record_reader_close(reader);
	return out;
}

static void show_config(struct tool *tool, const struct config *config)
{
	struct config_report report;
	struct err err;

	config_report_init(&report);
	if (tool_config_beside(config, &report)) {
		tool_field(tool, "Configuration", STR_FMT ", good, %zu tenant%s", STR_ARG(config->path), config->tenant_count,
			   config->tenant_count == 1 ? "" : "s");
	} else {
		config_report_first(&report, &err);
		tool_field(tool, "Configuration", STR_FMT ", with errors: %s", STR_ARG(config->path), err.text);
	}
	config_report_clear(&report);
}

static int without_it(struct tool *tool, const struct err *why, const struct on_hold *held)
{
	const struct config *config = tool->config;
	struct str last = last_record(tool, CLASS_RELAY);
	struct err err;
	pid_t pid;
	bool runs = daemon_pid(config, &pid, &err);

	if (tool->is_json) {
		json_object_open(&tool->json);
		json_member_bool(&tool->json, "answers", false);
		json_member_str(&tool->json, "error", str_from_c(why->text));
		if (runs)
			json_member_i64(&tool->json, "pid", pid);
		if (held->is_known)
			json_member_i64(&tool->json, "on_hold", held->messages);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
		return TOOL_NO;
	}
	tool_field(tool, "Gate", "does not answer: %s", why->text);
	if (runs)
		tool_field(tool, "", "but process %d runs", (int)pid);
	else
		tool_field(tool, "", "%s", err.text);
	show_config(tool, config);
	show_held(tool, held);
	tool_field(tool, "Store", STR_FMT, STR_ARG(store_there(tool)));
	tool_field(tool, "Relay log", STR_FMT ", " STR_FMT, STR_ARG(config->log_dir), STR_ARG(free_space(tool, config->log_dir)));
	tool_field(tool, "", STR_FMT, STR_ARG(last.len ? last : STR("no record that could be read")));
	return TOOL_NO;
}

static int run(struct tool *tool, const void *values)
{
	struct on_hold held;
	json_t *status;
	struct err err;
	int code;

	if (!tool_config(tool))
		return TOOL_UNKNOWN;
	held = count_held(tool, values);        /* first, while this may be root */
	if (!daemon_ask(tool->config, "/status", &status, &err))
		return without_it(tool, &err, &held);
	code = answer(tool, status, &held);
	json_decref(status);
	return code;
}

const struct tool_command command_status = {
	.name = "status",
	.operands = "",
	.summary = "how the gate is doing",
	.about = "Asks the running sekisho-milter, at metrics.listen, how it is: configuration, sessions, messages, store, relay "
		 "log, disk and clock; and counts what waits on hold in the MTA's queue, which is its owner's and root's to see. When "
		 "it does not answer, tells what can be seen without it. With --json the daemon's own answer, the count as "
		 "on_hold, and what each tenant sent in the last minute and since the start, has used of its fullest quota, and "
		 "could not deliver today.",
	.options = options,
	.values_size = sizeof(struct queue_options),
	.has_json = true,
	.examples = "sekisho status\nsekisho status --json | jq .messages",
	.ok = "it answers and is well",
	.no = "it does not answer; or a reload failed, or the log's disk is low or full",
	.unknown = "the configuration cannot be read",
	.run = run,
};
