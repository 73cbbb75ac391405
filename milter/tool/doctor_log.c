/* sekisho doctor: the relay log, its key and its disk, and the log of the MTA that the gate follows. */
#include <glob.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "milter/record/sign.h"
#include "milter/token_ring.h"
#include "milter/tool/doctor.h"

#define STATE_ROOM ((size_t)64 << 20)

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

/* The first of these that has one of the mode's bits. */
static const char *find_open(struct doctor *doctor, const char *pattern, mode_t bits)
{
	const char *open = NULL;
	glob_t found;
	struct stat st;

	if (glob(pattern, GLOB_NOSORT, NULL, &found) != 0)
		return NULL;
	for (size_t i = 0; i < found.gl_pathc && !open; i++)
		if (lstat(found.gl_pathv[i], &st) == 0 && !S_ISLNK(st.st_mode) && st.st_mode & bits)
			open = doctor_text(doctor, "%s", found.gl_pathv[i]);
	globfree(&found);
	return open;
}

static enum doctor_level look_privacy(struct doctor *doctor)
{
	static const struct {
		const char *below;
		mode_t bits;
		const char *text;
	} rows[] = {
		{ "", 2, "every user of this host can change %s" },
		{ "/*", 2, "every user of this host can change %s" },
		{ "/*/*", 2, "every user of this host can change %s" },
		{ "/*/*.jsonl", 4, "every user of this host can read %s" },
	};
	const char *dir = log_dir(doctor);
	struct stat st;

	if (stat(dir, &st) != 0)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "%s is not there to look at", dir);
	if ((st.st_mode & 7) == 0)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "only owner and group can look into %s", dir);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const char *open = find_open(doctor, doctor_text(doctor, "%s%s", dir, rows[i].below), rows[i].bits);

		if (open)
			return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chmod -R o-rwx %s", dir), rows[i].text, open);
	}
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

/* The store, and large bodies while they wait. */
static enum doctor_level look_state_disk(struct doctor *doctor)
{
	const char *dir = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->state_dir));
	struct statvfs fs;

	if (statvfs(dir, &fs) != 0)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "%s is not there to look at", dir);
	if (fs.f_bavail < STATE_ROOM / fs.f_frsize)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "df -h %s; free room", dir),
				  "the disk of %s has %lld MiB left", dir, (long long)(fs.f_bavail * fs.f_frsize >> 20));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s has room", dir);
}

/* --- and what kind of disk it is */

static enum doctor_level look_kind(struct doctor *doctor)
{
	static const struct {
		unsigned long magic;       /* statfs(2) */
		const char *name;
		enum doctor_level of_store;
	} kinds[] = {
		{ 0x01021994, "tmpfs", DOCTOR_NOTE },   { 0x858458f6, "ramfs", DOCTOR_NOTE },  { 0x6969, "NFS", DOCTOR_FAULT },
		{ 0xff534d42, "SMB", DOCTOR_FAULT },    { 0xfe534d42, "SMB", DOCTOR_FAULT },
	};
	const bool is_embedded = doctor->config->store_backend == STORE_EMBEDDED;
	const char *dirs[] = { log_dir(doctor), doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->state_dir)) };
	const char *settings[] = { "relay_log: {dir: /var/log/sekisho}", "state_dir: /var/lib/sekisho" };
	struct statfs fs;

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; statfs(dirs[i], &fs) == 0 && j < sizeof kinds / sizeof *kinds; j++)
			if (((unsigned long)fs.f_type & 0xffffffff) == kinds[j].magic)
				return doctor_say(doctor, i == 1 && is_embedded ? kinds[j].of_store : DOCTOR_NOTE,
						  doctor_text(doctor, "sekisho.yaml: %s, on a disk of this host", settings[i]),
						  "%s is on %s", dirs[i], kinds[j].name);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "log and state are on disks of this host");
}

/* --- the keys */

/* There, and the daemon's own; `fix` makes one. */
static enum doctor_level look_secret(struct doctor *doctor, const char *path, const char *fix)
{
	const struct passwd *user;
	struct stat st;
	uid_t uid;

	if (stat(path, &st) != 0)
		return doctor_say_errno(doctor, path, fix);
	/* The configuration is no good while others can read it. */
	if (doctor_daemon_user(doctor, &uid) && uid != 0 && st.st_uid != uid) {
		user = getpwuid(uid);
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chown %s %s", user ? user->pw_name : "sekisho", path),
				  "%s is not %s's, whom sekisho-milter runs as", path, user ? user->pw_name : "the user");
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s is its owner's alone", path);
}

static enum doctor_level look_key(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->log_key_file));

	if (!*path)
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho.yaml: relay_log: {key_file: /etc/sekisho/relay-log.key}",
				  "relay_log.key_file is none: the log is not signed");
	return look_secret(doctor, path, "sekisho key new --owner sekisho");
}

static enum doctor_level look_tracking_key(struct doctor *doctor)
{
	struct str path = doctor->config->token_key_file;
	enum doctor_level level = look_secret(doctor, doctor_text(doctor, STR_FMT, STR_ARG(path)), "sekisho key rotate");
	struct token_keys *keys;
	struct err err;

	if (level != DOCTOR_FINE)
		return level;
	if (token_ring_read(path, &keys, &err)) {
		token_keys_free(keys);
		return level;
	}
	if (access(path.ptr, R_OK) != 0)
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "it cannot be looked at: %s", err.text);
	return doctor_say(doctor, DOCTOR_FAULT, NULL, "it cannot be read: %s", err.text);
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
	struct str theirs = doctor->postfix ? doctor_postfix_setting(doctor, "maillog_file") : STR_EMPTY;
	const char *fix = doctor_text(doctor, "sekisho.yaml: maillog: " STR_FMT, STR_ARG(theirs.len ? theirs : STR("/var/log/mail.log")));
	const struct passwd *user = NULL;
	struct stat st;
	uid_t uid;

	if (!config_follows_maillog(doctor->config))
		return doctor_say(doctor, DOCTOR_NOTE, fix, "no log of the MTA is read (maillog)");
	if (theirs.len && !doctor_is_same_file(doctor_text(doctor, STR_FMT, STR_ARG(theirs)), path))
		return doctor_say(doctor, DOCTOR_FAULT, fix, "Postfix logs to " STR_FMT " (maillog_file), and the gate reads %s", STR_ARG(theirs),
				  *path ? path : "the journal");
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

const struct doctor_check doctor_log_checks[] = {
	{ "relay_log", DOCTOR_CONFIG, "No message is accepted that cannot be recorded.", look_dir },
	{ "relay_log_privacy", DOCTOR_CONFIG, "The log holds who wrote to whom.", look_privacy },
	{ "disk_kind", DOCTOR_CONFIG,
	  "What is only in memory is gone when the host is; over a network neither locks nor \"on disk\" can be relied on.", look_kind },
	{ "state_disk", DOCTOR_CONFIG, "Without counters no quota can be held.", look_state_disk },
	{ "disk", DOCTOR_CONFIG, "When it is full, mail waits at its senders.", look_disk },
	{ "key", DOCTOR_CONFIG, "Without a key that only the gate has, the log proves nothing to others.", look_key },
	{ "tracking_key", DOCTOR_TOKENS, "It seals tracked links and signs return paths: without it the gate does not start.",
	  look_tracking_key },
	{ "public_key", DOCTOR_CONFIG, "Nobody can verify the log without the public key.", look_public_key },
	{ "maillog", DOCTOR_CONFIG, "What became of mail stands there alone: deliveries, and the bounces that the MTA writes itself.",
	  look_maillog },
	{ NULL },
};
