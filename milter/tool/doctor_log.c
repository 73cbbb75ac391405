/* sekisho doctor: the relay log, its key and its disk, and the other logs that tell the same. */
#include <glob.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "config/base/num.h"
#include "milter/record/sign.h"
#include "milter/tool/doctor.h"

/* --- the directory */

static const char *log_dir(struct doctor *doctor)
{
	return doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->log_dir));
}

static enum doctor_level look_dir(struct doctor *doctor)
{
	const char *dir = log_dir(doctor);
	const struct passwd *user;
	struct stat st;
	uid_t uid;

	if (stat(dir, &st) != 0)
		return doctor_say_errno(doctor, dir,
					doctor_text(doctor, "install -d -o sekisho -g sekisho -m 0750 %s", dir));
	if (!S_ISDIR(st.st_mode))
		return doctor_say(doctor, DOCTOR_FAULT, NULL, "%s is no directory", dir);
	if (!doctor_daemon_user(doctor, &uid))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL,
				  "whom sekisho-milter runs as cannot be told: it does not run yet");
	user = getpwuid(uid);
	if (uid != 0 && (st.st_uid != uid || (st.st_mode & 0300) != 0300))
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chown -R %s: %s && chmod 0750 %s",
								    user ? user->pw_name : "sekisho", dir, dir),
				  "%s cannot be written by %s, whom sekisho-milter runs as", dir, user ? user->pw_name : "the user");
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s can be written", dir);
}

static enum doctor_level look_privacy(struct doctor *doctor)
{
	const char *dir = log_dir(doctor), *wide = NULL;
	glob_t found;
	struct stat st;

	if (stat(dir, &st) != 0)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "%s is not there to look at", dir);
	if ((st.st_mode & 7) == 0)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "only owner and group can look into %s", dir);
	if (glob(doctor_text(doctor, "%s/*/*.jsonl", dir), GLOB_NOSORT, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && !wide; i++)
			if (stat(found.gl_pathv[i], &st) == 0 && st.st_mode & 6)
				wide = doctor_text(doctor, "%s", found.gl_pathv[i]);
		globfree(&found);
	}
	if (wide)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chmod -R o-rwx %s", dir), "every user of this host can read %s",
				  wide);
	return doctor_say(doctor, DOCTOR_NOTE, doctor_text(doctor, "chmod o-rwx %s", dir), "every user of this host can look into %s", dir);
}

static enum doctor_level look_disk(struct doctor *doctor)
{
	const char *dir = log_dir(doctor);
	int64_t warn = doctor->config->disk_warn_percent, blocks, inodes;
	struct statvfs fs;

	if (statvfs(dir, &fs) != 0 || fs.f_blocks == 0)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "%s is not there to look at", dir);
	blocks = (int64_t)((double)fs.f_bavail * 100 / (double)fs.f_blocks);
	inodes = fs.f_files ? (int64_t)((double)fs.f_favail * 100 / (double)fs.f_files) : 100;
	if (blocks < warn)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "df -h %s; free room, or give the log a larger disk", dir),
				  "%lld %% of the disk of %s is free; relay_log.disk_warn is %lld %%", (long long)blocks, dir, (long long)warn);
	if ((double)fs.f_bavail * (double)fs.f_frsize < (double)doctor->config->preallocate)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "df -h %s; free room, or lower relay_log.preallocate", dir),
				  "the disk of %s has no room for one step of preallocation (%lld octets)", dir,
				  (long long)doctor->config->preallocate);
	if (inodes < warn)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "df -i %s; remove small files there", dir),
				  "%lld %% of the inodes on the disk of %s are free", (long long)inodes, dir);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%lld %% of the log's disk is free", (long long)blocks);
}

/* --- the key */

static enum doctor_level look_key(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->log_key_file));
	const struct passwd *user;
	struct stat st;
	uid_t uid;

	if (!*path)
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho.yaml: relay_log: {key_file: /etc/sekisho/relay-log.key}",
				  "relay_log.key_file is none: the log is not signed");
	if (stat(path, &st) != 0)
		return doctor_say_errno(doctor, path, "sekisho key new --owner sekisho");
	/* The configuration is no good while others can read it. */
	if (doctor_daemon_user(doctor, &uid) && uid != 0 && st.st_uid != uid) {
		user = getpwuid(uid);
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chown %s %s", user ? user->pw_name : "sekisho", path),
				  "%s is not %s's, whom sekisho-milter runs as", path, user ? user->pw_name : "the user");
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s is its owner's alone", path);
}

static enum doctor_level look_public_key(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->log_key_file)),
		   *public = doctor_text(doctor, "%s.pub", path);
	struct sign_publics *publics = arena_new(&doctor->tool->arena, struct sign_publics);
	struct sign_key *key;
	struct err err;
	bool is_pair;

	if (!*path || !publics)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "the log is not signed");
	if (!sign_publics_load(public, publics, &err))
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "openssl pkey -in %s -pubout -out %s", path, public),
				  "the public key cannot be read: %s", err.text);
	if (!sign_key_load(path, &key, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "whether %s belongs to the key: %s", public, err.text);
	is_pair = sign_publics_find(publics, str_from_c(sign_key_id(key))) != NULL;
	sign_key_free(key);
	if (!is_pair)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "openssl pkey -in %s -pubout >>%s", path, public),
				  "%s does not hold the public half of %s", public, path);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s belongs to the key", public);
}

/* --- the MTA's log, which the gate follows */

static enum doctor_level look_maillog(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->maillog_path));
	const struct passwd *user = NULL;
	struct stat st;
	uid_t uid;

	if (!config_follows_maillog(doctor->config))
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho.yaml: maillog: /var/log/mail.log", "no log of the MTA is read (maillog)");
	if (!*path)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "the MTA's log is read from the journal");
	if (stat(path, &st) != 0)
		return doctor_say_errno(doctor, path,
					"sekisho.yaml: maillog: {journal: system}, or apt-get install rsyslog");
	if (doctor_daemon_user(doctor, &uid))
		user = getpwuid(uid);
	if (user && !doctor_may(user, &st, 4))
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "usermod -a -G adm %s; chgrp adm %s; chmod g+r %s", user->pw_name, path, path),
				  "%s cannot read %s (mode %04o)", user->pw_name, path, (unsigned)st.st_mode & 07777);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "the MTA's log is read from %s", path);
}

/* --- other logs */

static int64_t relay_days(const struct doctor *doctor)
{
	const struct record_class *class = config_find_class(doctor->config, STR("relay"));

	return !class ? 60 : class->keep_is_year ? 366 : class->keep_days;
}

/* "maxage 60" or "rotate 8" with "weekly", of one block; what a block does not say comes from before it. */
struct rotation {
	int64_t count, period_days, age_days;
	bool is_by_size;               /* "size 10M": when it is that large, which may be never */
};
#define FOREVER_DAYS 36600

static void read_directive(struct str line, struct rotation *rotation)
{
	static const struct {
		struct str name;
		int64_t days;
	} periods[] = { { STR_INIT("hourly"), 1 }, { STR_INIT("daily"), 1 }, { STR_INIT("weekly"), 7 }, { STR_INIT("monthly"), 31 },
			{ STR_INIT("yearly"), 366 } };
	struct str name = line, value = STR_EMPTY;
	uint64_t n;

	str_cut(line, ' ', &name, &value);
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

static bool is_mail_log(struct str line)
{
	return str_find(line, STR("/mail.")) < line.len || str_find(line, STR("/maillog")) < line.len;
}

/* Days that this file keeps a mail log; 0: it names none. */
static int64_t read_rotations(struct str text, struct rotation *outer)
{
	struct rotation inner = *outer;
	bool is_inside = false, is_mail = false;
	int64_t most = 0;
	struct str line;

	while (str_next(&text, '\n', &line)) {
		line = str_trim(line);
		if (!is_inside && is_mail_log(line))
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
		most = read_rotations(text, &all);
	if (glob(doctor_text(doctor, "%s/logrotate.d/*", doctor->etc), 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc; i++) {
			struct rotation mine = all;

			if (!doctor_read(doctor, found.gl_pathv[i], &text, NULL) || (days = read_rotations(text, &mine)) <= most)
				continue;
			most = days;
			where = doctor_text(doctor, "%s", found.gl_pathv[i]);
		}
		globfree(&found);
	}
	if (!where)
		where = doctor_text(doctor, "%s/logrotate.conf", doctor->etc);
	if (most > relay_days(doctor))
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "%s: maxage %lld", where, (long long)relay_days(doctor) - 31),
				  "%s keeps the MTA's log up to %lld days, the relay log is kept %lld", where, (long long)most,
				  (long long)relay_days(doctor));
	return doctor_say(doctor, DOCTOR_FINE, NULL, most ? "logrotate keeps the MTA's log no longer" : "logrotate keeps no log of the MTA");
}

/* systemd.time(7) as far as retentions go: "2month", "90day", "1 week", seconds without a unit. -1: not understood. */
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
	size_t len = 0;
	uint64_t n;

	while (len < value.len && ascii_is_digit(value.ptr[len]))
		len++;
	if (!num_parse_u64(str_slice(value, 0, len), &n) || n > UINT32_MAX)
		return -1;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (str_eq(str_trim(str_from(value, len)), units[i].name))
			return ((int64_t)n * units[i].seconds + 86399) / 86400;
	return -1;
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

const struct doctor_check doctor_log_checks[] = {
	{ "relay_log", DOCTOR_CONFIG, "No message is accepted that cannot be recorded.", look_dir },
	{ "relay_log_privacy", DOCTOR_CONFIG, "The log holds who wrote to whom.", look_privacy },
	{ "disk", DOCTOR_CONFIG, "When it is full, mail waits at its senders.", look_disk },
	{ "key", DOCTOR_CONFIG, "Without a key that only the gate has, the log proves nothing to others.", look_key },
	{ "public_key", DOCTOR_CONFIG, "Nobody can verify the log without the public key.", look_public_key },
	{ "maillog", DOCTOR_CONFIG, "What became of mail stands there alone: deliveries, and the bounces that the MTA writes itself.",
	  look_maillog },
	{ "logrotate", DOCTOR_CONFIG, "What the relay log forgets in time still stands in a log that is kept longer.", look_logrotate },
	{ "journald", DOCTOR_CONFIG, "What the relay log forgets in time still stands in a journal that is kept longer.", look_journald },
	{ NULL },
};
