/* sekisho doctor: other programs that keep, or remove, files: logrotate, journald, systemd-tmpfiles, cron. */
#include <fnmatch.h>
#include <glob.h>
#include <string.h>

#include "config/base/num.h"
#include "milter/tool/doctor.h"

/* --- logs that tell the same for longer */

static int64_t relay_days(const struct doctor *doctor)
{
	const struct record_class *class = config_find_class(doctor->config, CLASS_RELAY);

	return class ? retention_days_most(class->keep) : 60;
}

/* How many daily logs may be put away beside the one in use and the one that goes late; 0: none is kept. */
static long long daily_logs(const struct doctor *doctor)
{
	return relay_days(doctor) > 2 ? relay_days(doctor) - 2 : 0;
}

/* "maxage 60" or "rotate 8" with "weekly", of one block; what a block does not say comes from before it. */
struct rotation {
	int64_t count, period_days, age_days;
	bool is_by_size;               /* "size 10M": when it is that large, which may be never */
};
#define FOREVER_DAYS 36600
#define MONTH_DAYS 31

static void read_directive(struct str line, struct rotation *rotation)
{
	static const struct {
		struct str name;
		int64_t days;
	} periods[] = { { STR_INIT("hourly"), 1 }, { STR_INIT("daily"), 1 }, { STR_INIT("weekly"), 7 }, { STR_INIT("monthly"), MONTH_DAYS },
			{ STR_INIT("yearly"), 366 } };
	struct str name, value;
	uint64_t n;

	doctor_next_word(&line, &name);
	value = str_trim(line);
	for (size_t i = 0; i < sizeof periods / sizeof *periods; i++)
		if (str_eq(name, periods[i].name))
			rotation->period_days = periods[i].days;
	if (str_eq(name, STR("size")))
		rotation->is_by_size = true;
	if (str_eq(name, STR("rotate")) && str_eq(str_trim(value), STR("-1")))          /* none is ever removed */
		rotation->count = FOREVER_DAYS;
	if (!num_parse_u64(str_trim(value), &n) || n > 100000)
		return;
	if (str_eq(name, STR("rotate")))
		rotation->count = (int64_t)n;
	else if (str_eq(name, STR("maxage")))
		rotation->age_days = (int64_t)n;
}

/* The log in use is one more than those put away. */
static int64_t days_of(const struct rotation *rotation)
{
	int64_t days = rotation->is_by_size ? FOREVER_DAYS : (rotation->count + 1) * rotation->period_days;

	return rotation->age_days && rotation->age_days + rotation->period_days < days ? rotation->age_days + rotation->period_days : days;
}

/* Does one of the patterns before a block match this path? */
static bool matches(struct doctor *doctor, struct str line, const char *path)
{
	struct str word;

	while (doctor_next_word(&line, &word)) {
		if (str_starts(word, STR("\"")))
			word = str_slice(word, 1, str_find_byte(str_from(word, 1), '"'));
		if (word.len && word.ptr[0] == '/' && fnmatch(doctor_text(doctor, STR_FMT, STR_ARG(word)), path, FNM_PATHNAME) == 0)
			return true;
	}
	return false;
}

static bool is_mail_log(struct doctor *doctor, struct str line)
{
	return str_find(line, STR("/mail.")) < line.len || str_find(line, STR("/maillog")) < line.len ||
	       matches(doctor, line, "/var/log/mail.log") ||
	       matches(doctor, line, doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->maillog_path))) ||
	       matches(doctor, line, doctor_text(doctor, STR_FMT, STR_ARG(doctor_postfix_setting(doctor, "maillog_file"))));
}

/* Days that this file keeps a mail log; 0: it names none. */
static int64_t read_rotations(struct doctor *doctor, struct str text, struct rotation *outer)
{
	struct rotation inner = *outer;
	bool is_inside = false, is_mail = false;
	int64_t most = 0;
	struct str line;

	while (str_next(&text, '\n', &line)) {
		line = str_trim(line);
		if (str_starts(line, STR("#")))
			continue;
		if (!is_inside && is_mail_log(doctor, line))
			is_mail = true;
		if (str_starts(line, STR("}"))) {
			if (is_mail && days_of(&inner) > most)
				most = days_of(&inner);
			is_inside = is_mail = false;
			inner = *outer;
		} else {
			read_directive(line, is_inside ? &inner : outer);
		}
		if (str_ends(line, STR("{"))) {
			is_inside = true;
			inner = *outer;
		}
	}
	return most;
}

static enum doctor_level look_logrotate(struct doctor *doctor)
{
	struct rotation all = { .count = 4, .period_days = 7 };
	const char *where = NULL;
	int64_t most = 0, days;
	glob_t found;
	struct str text;

	if (doctor_read(doctor, doctor_text(doctor, "%s/logrotate.conf", doctor->etc), &text, NULL))
		most = read_rotations(doctor, text, &all);
	if (glob(doctor_text(doctor, "%s/logrotate.d/*", doctor->etc), 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct rotation mine = all;

			if (!doctor_read(doctor, found.gl_pathv[i], &text, NULL) || (days = read_rotations(doctor, text, &mine)) <= most)
				continue;
			most = days;
			where = doctor_text(doctor, "%s", found.gl_pathv[i]);
		}
		globfree(&found);
	}
	if (!where)
		where = doctor_text(doctor, "%s/logrotate.conf", doctor->etc);
	if (most > relay_days(doctor))
		return doctor_say(doctor, DOCTOR_FAULT,
				  relay_days(doctor) > MONTH_DAYS ?
					  doctor_text(doctor, "%s: maxage %lld", where, (long long)relay_days(doctor) - MONTH_DAYS) :
					  doctor_text(doctor, "%s: daily, rotate %lld", where, daily_logs(doctor)),
				  "%s keeps the MTA's log up to %lld days, the relay log is kept %lld", where, (long long)most,
				  (long long)relay_days(doctor));
	return doctor_say(doctor, DOCTOR_FINE, NULL, most ? "logrotate keeps the MTA's log no longer" : "logrotate keeps no log of the MTA");
}

static bool rotates(struct doctor *doctor, const char *files, const char *path)
{
	bool is_found = false;
	struct str text, line;
	glob_t found;

	if (glob(doctor_text(doctor, "%s/%s", doctor->etc, files), 0, NULL, &found) != 0)
		return false;
	for (size_t i = 0; i < found.gl_pathc && !is_found; i++)
		for (bool ok = doctor_read(doctor, found.gl_pathv[i], &text, NULL); ok && !is_found && str_next(&text, '\n', &line);)
			is_found = !str_starts(str_trim(line), STR("#")) && matches(doctor, line, path);
	globfree(&found);
	return is_found;
}

/* The log that Postfix writes by itself: `postfix logrotate` puts it away, and removes nothing. */
static enum doctor_level look_own_log(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor_postfix_setting(doctor, "maillog_file")));

	if (!*path || strncmp(path, "/dev/", 5) == 0)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Postfix writes no log by itself");
	if (rotates(doctor, "logrotate.conf", path) || rotates(doctor, "logrotate.d/*", path))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "logrotate takes %s away", path);
	return doctor_say(doctor, DOCTOR_NOTE,
			  doctor_text(doctor, "printf '%%s\\n' '%s {' daily 'rotate %lld' missingok nocreate postrotate 'postfix -c %s reload' "
				      "endscript '}' >%s/logrotate.d/postfix", path, daily_logs(doctor), doctor->postfix, doctor->etc),
			  "nothing takes %s away, the relay log is kept %lld days", path, (long long)relay_days(doctor));
}

/* systemd.time(7) as far as retentions go: "2month", "1 year 90day", seconds without a unit. -1: not understood. */
static int64_t span_days(struct str value)
{
	static const struct {
		struct str name;
		int64_t seconds;
	} units[] = { { STR_INIT(""), 1 },	 { STR_INIT("s"), 1 },	      { STR_INIT("sec"), 1 },	     { STR_INIT("m"), 60 },
		      { STR_INIT("min"), 60 },	 { STR_INIT("h"), 3600 },     { STR_INIT("hour"), 3600 },    { STR_INIT("d"), 86400 },
		      { STR_INIT("day"), 86400 }, { STR_INIT("days"), 86400 }, { STR_INIT("w"), 604800 },    { STR_INIT("week"), 604800 },
		      { STR_INIT("weeks"), 604800 }, { STR_INIT("month"), 2629800 }, { STR_INIT("months"), 2629800 },
		      { STR_INIT("M"), 2629800 }, { STR_INIT("y"), 31557600 }, { STR_INIT("year"), 31557600 },
		      { STR_INIT("years"), 31557600 } };
	int64_t seconds = 0;

	while (value.len) {
		size_t digits = 0, end, unit = 0;
		uint64_t n;

		while (digits < value.len && ascii_is_digit(value.ptr[digits]))
			digits++;
		for (end = digits; end < value.len && !ascii_is_digit(value.ptr[end]);)
			end++;
		while (unit < sizeof units / sizeof *units && !str_eq(str_trim(str_slice(value, digits, end - digits)), units[unit].name))
			unit++;
		if (unit == sizeof units / sizeof *units || !num_parse_u64(str_slice(value, 0, digits), &n) || n > UINT32_MAX ||
		    seconds > (int64_t)FOREVER_DAYS * 86400)
			return -1;
		seconds += (int64_t)n * units[unit].seconds;
		value = str_from(value, end);
	}
	return (seconds + 86399) / 86400;
}

/* Does this file say it? */
static bool read_journald(struct str text, struct str *out)
{
	struct str line, name, value;
	bool is_there = false;

	while (str_next(&text, '\n', &line))
		if (str_cut(line, '=', &name, &value) && str_eq(str_trim(name), STR("MaxRetentionSec"))) {
			*out = str_trim(value);
			is_there = true;
		}
	return is_there;
}

static enum doctor_level look_journald(struct doctor *doctor)
{
	const char *where = doctor_text(doctor, "%s/systemd/journald.conf", doctor->etc), *fix;
	struct str value = STR_EMPTY, text;
	bool is_there = doctor_read(doctor, where, &text, NULL);
	int64_t days;
	glob_t found;

	if (is_there)
		read_journald(text, &value);
	if (glob(doctor_text(doctor, "%s/systemd/journald.conf.d/*.conf", doctor->etc), 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++, is_there = true)
			if (doctor_read(doctor, found.gl_pathv[i], &text, NULL) && read_journald(text, &value))
				where = doctor_text(doctor, "%s", found.gl_pathv[i]);
		globfree(&found);
	}
	fix = doctor_text(doctor, "%s: MaxRetentionSec=%lldday", where, (long long)relay_days(doctor));
	days = span_days(value);
	if (!is_there)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "journald is not set up here");
	if (days > relay_days(doctor))
		return doctor_say(doctor, DOCTOR_FAULT, fix, "the journal is kept %lld days, the relay log %lld", (long long)days,
				  (long long)relay_days(doctor));
	if (days <= 0)
		return doctor_say(doctor, DOCTOR_NOTE, fix, "the journal is kept as long as it has room, the relay log %lld days",
				  (long long)relay_days(doctor));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "the journal is kept no longer than the relay log");
}

/* --- what removes our records */

/* Does this path hold our log or our state, or is it in one of them? */
static bool holds_ours(const struct doctor *doctor, struct str path)
{
	const struct str ours[] = { doctor->config->log_dir, doctor->config->state_dir };

	while (path.len && (path.ptr[path.len - 1] == '/' || path.ptr[path.len - 1] == '*'))
		path = str_slice(path, 0, path.len - 1);
	for (size_t i = 0; path.len && path.ptr[0] == '/' && i < sizeof ours / sizeof *ours; i++) {
		bool is_above = path.len <= ours[i].len;
		struct str longer = is_above ? ours[i] : path, shorter = is_above ? path : ours[i];

		if (str_starts(longer, shorter) && (longer.len == shorter.len || longer.ptr[shorter.len] == '/'))
			return true;
	}
	return false;
}

/* "/var/log/sekisho/.../x.jsonl {" */
static bool rotates_ours(struct doctor *doctor, struct str line)
{
	for (size_t i = 0; i < doctor->config->class_count; i++)
		if (matches(doctor, line, doctor_text(doctor, STR_FMT "/" STR_FMT "/2026-11-21.jsonl", STR_ARG(doctor->config->log_dir),
						      STR_ARG(doctor->config->classes[i].name))))
			return true;
	return false;
}

/* tmpfiles.d(5): type path mode user group age; r and R remove at each start. */
static bool ages_ours(struct doctor *doctor, struct str line)
{
	struct str type = STR_EMPTY, path = STR_EMPTY, age = STR_EMPTY;

	doctor_next_word(&line, &type);
	doctor_next_word(&line, &path);
	for (size_t i = 0; i < 4; i++)
		doctor_next_word(&line, &age);
	if (!type.len || !holds_ours(doctor, path))
		return false;
	return str_find_byte(STR("rR"), type.ptr[0]) < 2 || (type.ptr[0] != 'x' && type.ptr[0] != 'X' && age.len && age.ptr[0] != '-');
}

/* find -name PATTERN: does it mean a record? */
static bool means_record(struct doctor *doctor, struct str pattern)
{
	struct str bare = pattern;

	while (bare.len && str_find_byte(STR("\"'\\"), bare.ptr[0]) < 3)
		bare = str_from(bare, 1);
	while (bare.len && str_find_byte(STR("\"'"), bare.ptr[bare.len - 1]) < 2)
		bare = str_slice(bare, 0, bare.len - 1);
	return fnmatch(doctor_text(doctor, STR_FMT, STR_ARG(bare)), "2026-11-21.jsonl", 0) == 0;
}

/* A line of a crontab or of a script that it runs: "find /var/log -mtime +14 -delete". */
static bool deletes_ours(struct doctor *doctor, struct str line)
{
	static const struct str verbs[] = { STR_INIT("-delete"), STR_INIT("rm"), STR_INIT("/bin/rm"), STR_INIT("/usr/bin/rm"),
					    STR_INIT("tmpreaper"), STR_INIT("tmpwatch"), STR_INIT("shred"), STR_INIT("gzip"),
					    STR_INIT("truncate") };
	struct str word;
	bool is_ours = false, deletes = false, is_next_name = false;

	while (doctor_next_word(&line, &word)) {
		if (is_next_name && !means_record(doctor, word))
			return false;
		is_next_name = str_eq(word, STR("-name")) || str_eq(word, STR("-iname"));
		is_ours |= holds_ours(doctor, word);
		for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
			deletes |= str_eq(word, verbs[i]);
	}
	return is_ours && deletes;
}

static const struct cleaner {
	const char *files;             /* below /etc */
	bool (*is_meant)(struct doctor *doctor, struct str line);
} cleaners[] = {
	{ "logrotate.conf", rotates_ours }, { "logrotate.d/*", rotates_ours }, { "tmpfiles.d/*.conf", ages_ours },
	{ "crontab", deletes_ours },        { "cron.d/*", deletes_ours },      { "cron.*ly/*", deletes_ours },
};

static bool find_line(struct doctor *doctor, const struct cleaner *cleaner, const char *file, struct str *out)
{
	struct str text, line;

	if (!doctor_read(doctor, file, &text, NULL))
		return false;
	while (str_next(&text, '\n', &line)) {
		*out = str_trim(line);
		if (!str_starts(*out, STR("#")) && cleaner->is_meant(doctor, *out))
			return true;
	}
	return false;
}

static enum doctor_level look_cleaners(struct doctor *doctor)
{
	enum doctor_level level = doctor_say(doctor, DOCTOR_FINE, NULL, "nothing else removes records");

	for (size_t i = 0; i < sizeof cleaners / sizeof *cleaners && level == DOCTOR_FINE; i++) {
		struct str line;
		glob_t found;

		if (glob(doctor_text(doctor, "%s/%s", doctor->etc, cleaners[i].files), 0, NULL, &found) != 0)
			continue;
		for (size_t j = 0; j < found.gl_pathc && level == DOCTOR_FINE; j++)
			if (find_line(doctor, &cleaners[i], found.gl_pathv[j], &line))
				level = doctor_say(doctor, DOCTOR_FAULT,
						   doctor_text(doctor, "%s: take out \"" STR_FMT "\"", found.gl_pathv[j], STR_ARG(line)),
						   "%s takes files of " STR_FMT " away", found.gl_pathv[j],
						   STR_ARG(doctor->config->log_dir));
		globfree(&found);
	}
	return level;
}

const struct doctor_check doctor_cleaner_checks[] = {
	{ "logrotate", DOCTOR_CONFIG, "What the relay log forgets in time still stands in a log that is kept longer.", look_logrotate },
	{ "maillog_file", DOCTOR_POSTFIX, "What the relay log forgets in time still stands in a log that is kept longer.", look_own_log },
	{ "journald", DOCTOR_CONFIG, "What the relay log forgets in time still stands in a journal that is kept longer.", look_journald },
	{ "cleaners", DOCTOR_CONFIG,
	  "Records go by their own rule, which leaves proof; what another program takes away is missing, and the chain says so.",
	  look_cleaners },
	{ NULL },
};
