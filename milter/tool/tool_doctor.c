/* sekisho doctor: what is wrong on this host, why it matters, and the line that mends it. */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/config_report.h"
#include "milter/tool/commands.h"
#include "milter/tool/daemon.h"
#include "milter/tool/doctor.h"

#define FILE_MAX ((size_t)1 << 20)

struct doctor_values {
	struct queue_options mta;
	struct str etc, lang;
	bool is_full;
};
#define DOCTOR(field) offsetof(struct doctor_values, field)

static const struct option options[] = {
	{ "--all", OPTION_FLAG, DOCTOR(is_full), NULL, NULL, "also print what is right" },
	{ "--etc", OPTION_TEXT, DOCTOR(etc), "DIR", NULL,
	  "where logrotate.d, tmpfiles.d, cron.d and systemd/journald.conf are (default: /etc)" },
	TOOL_LANG_OPTION(DOCTOR(lang)),
	QUEUE_MTA_OPTIONS(DOCTOR(mta)),
	{ NULL },
};

static const struct {
	const char *name, *word;
} levels[DOCTOR_LEVEL_COUNT] = {
	[DOCTOR_FINE] = { "ok", "ok" },
	[DOCTOR_NOTE] = { "note", "note" },
	[DOCTOR_UNSEEN] = { "unseen", "not seen" },
	[DOCTOR_FAULT] = { "fault", "FAULT" },
};

/* --- what checks share */

static struct str format(struct doctor *doctor, const char *fmt, va_list ap)
{
	struct buf raw;
	struct str out;

	buf_init(&raw, FILE_MAX);
	buf_vprintf(&raw, fmt, ap);
	out = tool_text(doctor->tool, STR_FMT, STR_ARG(buf_view(&raw)));
	buf_clear(&raw);
	return out;
}

enum doctor_level doctor_say(struct doctor *doctor, enum doctor_level level, const char *fix, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	doctor->text = format(doctor, tool_word(doctor->tool, fmt), ap);
	va_end(ap);
	doctor->fix = str_from_c(fix);
	return level;
}

enum doctor_level doctor_say_errno(struct doctor *doctor, const char *path, const char *fix)
{
	bool is_hidden = errno == EACCES || errno == EPERM;

	return doctor_say(doctor, is_hidden ? DOCTOR_UNSEEN : DOCTOR_FAULT, is_hidden ? "run this as root" : fix, "%s: %s", path,
			  tool_word(doctor->tool, strerror(errno)));
}

const char *doctor_text(struct doctor *doctor, const char *fmt, ...)
{
	va_list ap;
	struct str out;

	va_start(ap, fmt);
	out = format(doctor, fmt, ap);
	va_end(ap);
	return out.ptr;
}

bool doctor_read(struct doctor *doctor, const char *path, struct str *out, struct err *err)
{
	struct stat st;
	struct buf buf;
	bool ok;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_BUSY, "%s: there is no such file, or it cannot be seen", path);
	buf_init(&buf, FILE_MAX);
	ok = io_read_file(path, &buf, err) &&
	     (arena_copy(&doctor->tool->arena, buf_view(&buf), out) || err_memory(err));
	buf_clear(&buf);
	return ok;
}

bool doctor_daemon_user(struct doctor *doctor, uid_t *out)
{
	struct stat st;
	struct err err;
	pid_t pid;

	if ((daemon_pid(doctor->config, &pid, &err) && stat(doctor_text(doctor, "/proc/%d", (int)pid), &st) == 0) ||
	    stat(doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->state_dir)), &st) == 0) {
		*out = st.st_uid;
		return true;
	}
	return false;
}

/* --- what there is to look at */

static enum doctor_level look_config(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->tool->config_path));
	struct config_report report;
	struct err err = { 0 };
	bool is_read = config_load(path, &doctor->tool->config, &report);
	enum doctor_level level;

	doctor->config = doctor->tool->config = is_read ? doctor->tool->config : NULL;
	if (is_read && tool_config_beside(doctor->config, &report)) {
		level = doctor_say(doctor, DOCTOR_FINE, NULL, "%s is good", path);
	} else {
		const struct config_error *first = &report.errors[0];

		config_report_first(&report, &err);
		level = doctor_say(doctor, DOCTOR_FAULT,
				   report.count && first->command.len ? doctor_text(doctor, STR_FMT, STR_ARG(first->command))
								      : "sekisho check",
				   "the configuration does not hold: %s", err.text);
	}
	config_report_clear(&report);
	return level;
}

static enum doctor_level look_mta(struct doctor *doctor)
{
	const char *name = doctor->postfix ? doctor->postfix : doctor->sendmail;
	struct err err;
	bool ok;

	if (!name)
		return doctor_say(doctor, DOCTOR_FAULT, "apt-get install postfix", "neither " POSTFIX_DIR " nor " SENDMAIL_CF " is there");
	ok = doctor->postfix ? doctor_postfix_read(doctor, &err) : doctor_sendmail_read(doctor, name, &err);
	if (ok)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "the MTA is %s, with %s", doctor->postfix ? "Postfix" : "Sendmail", name);
	doctor->postfix = doctor->sendmail = NULL;
	return doctor_say(doctor, DOCTOR_FAULT, NULL, "the configuration in %s cannot be read: %s", name, err.text);
}

static void choose_mta(struct doctor *doctor, const struct doctor_values *want)
{
	struct queue_mta mta;

	queue_choose(doctor->tool, &want->mta, &mta);
	doctor->postfix = mta.postfix;
	doctor->sendmail = mta.sendmail;
}

static const struct doctor_check first_checks[] = {
	{ "configuration", DOCTOR_ALWAYS, "A gate with an error in its configuration does not start, and does not reload.", look_config },
	{ "mta", DOCTOR_CONFIG, "How the MTA comes to the gate is half of what the gate promises.", look_mta },
	{ NULL },
};

/* --- the round */

static bool is_met(const struct doctor *doctor, enum doctor_need need)
{
	switch (need) {
	case DOCTOR_ALWAYS: return true;
	case DOCTOR_CONFIG: return doctor->config;
	case DOCTOR_DAEMON: return doctor->status;
	case DOCTOR_POSTFIX: return doctor->config && doctor->postfix;
	case DOCTOR_SENDMAIL: return doctor->config && doctor->sendmail;
	case DOCTOR_EMBEDDED: return doctor->config && doctor->config->store_backend == STORE_EMBEDDED;
	case DOCTOR_TRACKING: return doctor->config && doctor->config->needs_rewrite;
	case DOCTOR_TOKENS: return doctor->config && doctor->config->needs_keys;
	case DOCTOR_REDIS: return doctor->config && doctor->config->store_backend == STORE_REDIS;
	}
	return false;
}

static void write_finding(struct doctor *doctor, const struct doctor_check *check, enum doctor_level level)
{
	const char *why = tool_word(doctor->tool, check->why);
	struct json *json = &doctor->tool->json;

	if (doctor->tool->is_json) {
		json_object_open(json);
		json_member_str(json, "check", str_from_c(check->name));
		json_member_str(json, "level", str_from_c(levels[level].name));
		json_member_str(json, "text", doctor->text);
		if (level != DOCTOR_FINE) {
			json_member_str(json, "why", str_from_c(why));
			json_member_str_opt(json, "fix", doctor->fix);
		}
		json_object_close(json);
		return;
	}
	tool_field(doctor->tool, levels[level].word, STR_FMT, STR_ARG(doctor->text));
	if (level == DOCTOR_FINE)
		return;
	tool_field(doctor->tool, "", "%s", why);
	/* Not folded: a line to be copied. */
	if (doctor->fix.len)
		tool_print(doctor->tool, "%-13s -> " STR_FMT "\n", "", STR_ARG(doctor->fix));
	tool_print(doctor->tool, "\n");
}

static void look_round(struct doctor *doctor, const struct doctor_check *checks, bool is_full, size_t counts[DOCTOR_LEVEL_COUNT])
{
	for (; checks->name; checks++) {
		enum doctor_level level;

		if (!is_met(doctor, checks->need))
			continue;
		level = checks->look(doctor);
		counts[level]++;
		if (level != DOCTOR_FINE || is_full || doctor->tool->is_json)
			write_finding(doctor, checks, level);
	}
}

static int sum_up(struct doctor *doctor, const size_t counts[DOCTOR_LEVEL_COUNT])
{
	struct tool *tool = doctor->tool;

	tool_print(tool, "%zu fault%s, %zu note%s, %zu not seen, %zu in order\n", counts[DOCTOR_FAULT],
		   counts[DOCTOR_FAULT] == 1 ? "" : "s", counts[DOCTOR_NOTE], counts[DOCTOR_NOTE] == 1 ? "" : "s", counts[DOCTOR_UNSEEN],
		   counts[DOCTOR_FINE]);
	if (tool->is_json) {
		json_array_close(&tool->json);
		json_member_i64(&tool->json, "faults", (int64_t)counts[DOCTOR_FAULT]);
		json_member_i64(&tool->json, "notes", (int64_t)counts[DOCTOR_NOTE]);
		json_member_i64(&tool->json, "unseen", (int64_t)counts[DOCTOR_UNSEEN]);
		json_object_close(&tool->json);
		buf_add_byte(&tool->out, '\n');
	}
	return counts[DOCTOR_FAULT] ? TOOL_NO : counts[DOCTOR_UNSEEN] ? TOOL_UNKNOWN : TOOL_OK;
}

static int run(struct tool *tool, const void *values)
{
	const struct doctor_check *const rounds[] = { first_checks, doctor_gate_checks, doctor_reach_checks, doctor_postfix_checks,
						      doctor_ways_checks, doctor_mail_checks, doctor_sendmail_checks,
						      doctor_log_checks, doctor_cleaner_checks, doctor_store_checks,
						      doctor_keep_checks };
	const struct doctor_values *want = values;
	struct doctor doctor = { .tool = tool, .main_cf = STR_EMPTY, .sendmail_cf = STR_EMPTY };
	size_t counts[DOCTOR_LEVEL_COUNT] = { 0 };
	struct err err;

	doctor.etc = want->etc.ptr ? doctor_text(&doctor, STR_FMT, STR_ARG(want->etc)) : "/etc";
	tool->is_japanese = tool_is_japanese(want->lang);
	choose_mta(&doctor, want);
	if (tool->is_json) {
		json_object_open(&tool->json);
		json_key(&tool->json, "findings");
		json_array_open(&tool->json);
	}
	for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++) {
		look_round(&doctor, rounds[i], want->is_full, counts);
		if (i == 0 && doctor.config && !daemon_ask(doctor.config, "/status", &doctor.status, &err))
			doctor.status = NULL;
	}
	json_decref(doctor.status);
	return sum_up(&doctor, counts);
}

const struct tool_command command_doctor = {
	.name = "doctor",
	.operands = "",
	.summary = "what is wrong on this host, and what mends it",
	.about = "Looks at the gate, its socket, the MTA's settings, the relay log with its key and disk, the store, the clock, how "
		 "long other logs keep what the relay log forgets, and what else removes records. A fault breaks a promise of the "
		 "gate; a note is worth knowing. Each "
		 "comes with its reason and, after an arrow, the line that mends it. Nothing is changed. Best run as root, who sees "
		 "everything.",
	.options = options,
	.values_size = sizeof(struct doctor_values),
	.has_json = true,
	.examples = "sekisho doctor\nsekisho doctor --all --postfix /etc/postfix-out\nsekisho doctor --lang ja\nsekisho doctor --json | jq '.findings[].fix'",
	.ok = "no fault, perhaps notes",
	.no = "there is a fault",
	.unknown = "no fault, but something could not be looked at",
	.run = run,
};
