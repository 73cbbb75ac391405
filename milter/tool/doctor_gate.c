/* sekisho doctor: the gate itself, its socket, its clock. */
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/record/timesync.h"
#include "milter/tool/daemon.h"
#include "milter/tool/doctor.h"

#define GROUPS_MAX 256

static enum doctor_level look_daemon(struct doctor *doctor)
{
	struct err err;
	pid_t pid;

	if (doctor->status)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "sekisho-milter runs as process %lld and answers",
				  (long long)daemon_i64(doctor->status, "pid"));
	if (!daemon_pid(doctor->config, &pid, &err) && daemon_is_hidden(doctor->config))
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "it cannot be looked at: %s", err.text);
	if (!daemon_pid(doctor->config, &pid, &err))
		return doctor_say(doctor, DOCTOR_FAULT, "systemctl enable --now sekisho-milter", "sekisho-milter does not run: %s", err.text);
	if (doctor->config->metrics_listen.len == 0)
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho.yaml: metrics: {listen: 127.0.0.1:9185}",
				  "sekisho-milter runs as process %d, and cannot be asked: metrics.listen is none", (int)pid);
	return doctor_say(doctor, DOCTOR_FAULT, "systemctl restart sekisho-milter", "process %d runs, but does not answer at " STR_FMT,
			  (int)pid, STR_ARG(doctor->config->metrics_listen));
}

static enum doctor_level look_reload(struct doctor *doctor)
{
	struct str why = daemon_str(doctor->status, "config.last_error");
	struct str path = daemon_str(doctor->status, "config.path"), version = daemon_str(doctor->status, "version");
	struct str theirs = daemon_str(doctor->status, "config.fingerprint");
	const char *file = doctor_text(doctor, STR_FMT, STR_ARG(path)), *ours = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->path));

	if (why.len)
		return doctor_say(doctor, DOCTOR_FAULT, "sekisho check && sekisho reload", "the last reload was refused: " STR_FMT,
				  STR_ARG(why));
	if (!str_eq(version, STR(PACKAGE_VERSION)))
		return doctor_say(doctor, DOCTOR_NOTE, "systemctl restart sekisho-milter",
				  "sekisho-milter runs as version " STR_FMT ", and %s is installed", STR_ARG(version), PACKAGE_VERSION);
	if (doctor_is_same_file(file, ours) && !str_eq(theirs, str_from_c(doctor_text(doctor, "%016" PRIx64, doctor->config->fingerprint))))
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho reload", "%s, or a file that it includes, was changed since it was loaded", file);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "the configuration in force is that of " STR_FMT, STR_ARG(path));
}

/* The file, and the directory where another could take its place. */
static enum doctor_level look_owner(struct doctor *doctor)
{
	struct str path = doctor->tool->config_path, dir = STR("."), name;
	struct stat st;

	if (str_find_byte(path, '/') < path.len)
		str_cut_last(path, '/', &dir, &name);

	const char *const places[] = { doctor_text(doctor, STR_FMT, STR_ARG(path)),
				       doctor_text(doctor, STR_FMT, STR_ARG(dir.len ? dir : STR("/"))) };

	for (size_t i = 0; i < 2; i++)
		if (stat(places[i], &st) == 0 && st.st_mode & S_IWOTH && !(st.st_mode & S_ISVTX))
			return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chmod o-w %s", places[i]),
					  "every user of this host can change %s", places[i]);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "not every user can change %s", places[0]);
}

/* --- the socket */

static const char *socket_path(struct doctor *doctor)
{
	struct str listen = doctor->config->listen;

	return str_starts(listen, STR("unix:")) ? doctor_text(doctor, STR_FMT, STR_ARG(str_from(listen, 5))) : NULL;
}

static bool can_connect(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(to.sun_path, sizeof to.sun_path, "%s", path);
	ok = fd >= 0 && connect(fd, (const void *)&to, sizeof to) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static bool is_loopback_host(struct str host)
{
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_slice(host, 1, host.len - 2);
	return str_starts(host, STR("127.")) || str_eq(host, STR("::1")) || str_eq_nocase(host, STR("localhost"));
}

static enum doctor_level look_listen(struct doctor *doctor)
{
	struct str listen = doctor->config->listen, port, host = STR_EMPTY;

	if (socket_path(doctor))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "only this host's users can come to " STR_FMT,
				  STR_ARG(listen));
	if (str_cut(listen, '@', &port, &host) && is_loopback_host(host))
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho.yaml: milter: {listen: \"unix:/var/spool/postfix/milter/sekisho.sock\"}",
				  "every user of this host can come to " STR_FMT ", as a socket in a directory would not allow",
				  STR_ARG(listen));
	return doctor_say(doctor, DOCTOR_FAULT, "sekisho.yaml: milter: {listen: \"unix:/var/spool/postfix/milter/sekisho.sock\"}",
			  "other hosts can come to " STR_FMT, STR_ARG(listen));
}

static enum doctor_level look_socket(struct doctor *doctor)
{
	const char *path = socket_path(doctor);
	struct stat st;

	if (!path)
		return doctor_say(doctor, DOCTOR_FINE, NULL, STR_FMT " is no file", STR_ARG(doctor->config->listen));
	if (lstat(path, &st) != 0)
		return doctor_say_errno(doctor, path, "systemctl restart sekisho-milter");
	if (!S_ISSOCK(st.st_mode))
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "rm %s; systemctl restart sekisho-milter", path),
				  "%s is no socket", path);
	if (!can_connect(path) && errno != EACCES)
		return doctor_say(doctor, DOCTOR_FAULT, "systemctl restart sekisho-milter", "nobody listens at %s", path);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s is there", path);
}

static bool is_member(const struct passwd *user, gid_t group)
{
	gid_t groups[GROUPS_MAX];
	int count = GROUPS_MAX;

	if (getgrouplist(user->pw_name, user->pw_gid, groups, &count) < 0)
		return false;
	for (int i = 0; i < count; i++)
		if (groups[i] == group)
			return true;
	return false;
}

bool doctor_may(const struct passwd *user, const struct stat *st, mode_t bit)
{
	if (user->pw_uid == 0)
		return true;
	if (user->pw_uid == st->st_uid)
		return st->st_mode & (bit << 6);
	if (is_member(user, st->st_gid))
		return st->st_mode & (bit << 3);
	return st->st_mode & bit;
}

/* Postfix's own user; Sendmail comes as root. */
static const struct passwd *mta_user(struct doctor *doctor)
{
	struct str name = doctor->postfix ? doctor_postfix_setting(doctor, "mail_owner") : STR_EMPTY;

	return getpwnam(name.len ? doctor_text(doctor, STR_FMT, STR_ARG(name)) : "root");
}

/* By its name, which need not be the user's. */
static const char *group_of(struct doctor *doctor, const struct passwd *user)
{
	const struct group *group = getgrgid(user->pw_gid);

	return group ? doctor_text(doctor, "%s", group->gr_name) : doctor_text(doctor, "%u", (unsigned)user->pw_gid);
}

/* The first directory on the way that the user may not pass. */
static const char *closed_parent(struct doctor *doctor, const struct passwd *user, const char *path)
{
	struct stat st;

	for (const char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		const char *dir = doctor_text(doctor, STR_FMT, STR_ARG(str_of(path, (size_t)(slash - path))));

		if (stat(dir, &st) == 0 && !doctor_may(user, &st, 1))
			return dir;
	}
	return NULL;
}

static enum doctor_level look_access(struct doctor *doctor)
{
	const char *path = socket_path(doctor), *closed;
	const struct passwd *user = mta_user(doctor);
	struct stat st;

	if (!path || stat(path, &st) != 0)
		return doctor_say(doctor, path ? DOCTOR_UNSEEN : DOCTOR_FINE, NULL,
				  "there is no socket file to look at");
	if (st.st_mode & 2)
		return doctor_say(doctor, DOCTOR_FAULT, "sekisho.yaml: milter: {socket_mode: \"0660\"}",
				  "every user of this host can write to %s (mode %04o)", path, (unsigned)st.st_mode & 07777);
	if (!user)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the MTA's user is not known on this host");
	if (!doctor_may(user, &st, 2))
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "sekisho.yaml: milter: {socket_mode: \"0660\", socket_group: %s}",
								    group_of(doctor, user)),
				  "%s cannot write to %s (mode %04o, group %u)", user->pw_name, path, (unsigned)st.st_mode & 07777,
				  (unsigned)st.st_gid);
	closed = closed_parent(doctor, user, path);
	if (closed)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chgrp %s %s && chmod g+x %s", group_of(doctor, user), closed, closed),
				  "%s cannot pass %s", user->pw_name, closed);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s may write to %s", user->pw_name, path);
}

/* --- who is told */

static enum doctor_level look_commands(struct doctor *doctor)
{
	const struct config *config = doctor->config;
	const struct {
		struct str path;
		const char *section;
	} commands[] = { { config->notify_command, "notify" }, { config->alarm_command, "alarm" } };
	const struct passwd *user = NULL;
	size_t count = 0;
	struct stat st;
	uid_t uid;

	if (doctor_daemon_user(doctor, &uid))
		user = getpwuid(uid);
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
		const char *path = doctor_text(doctor, STR_FMT, STR_ARG(commands[i].path));

		if (commands[i].path.len == 0)
			continue;
		count++;
		if (stat(path, &st) != 0)
			return doctor_say_errno(doctor, path, doctor_text(doctor, "sekisho.yaml: %s: {command: /path/of/a/program}",
									  commands[i].section));
		/* Root may do all but run what nobody may. */
		if (!(st.st_mode & 0111) || (user && !doctor_may(user, &st, 1)))
			return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "chmod a+rx %s", path), "%s cannot run %s (mode %04o)",
					  user ? user->pw_name : "sekisho-milter", path, (unsigned)st.st_mode & 07777);
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, count ? "who hears of alarms can be run" : "no command hears of alarms");
}

/* --- the clock */

/* One that is here and does not run, or else one that is to be had. */
static const char *clock_fix(void)
{
	static const struct {
		const char *program, *fix;
	} rows[] = {
		{ "/usr/sbin/chronyd", "systemctl enable --now chrony" },
		{ "/usr/lib/systemd/systemd-timesyncd", "timedatectl set-ntp true" },
		{ "/usr/sbin/ntpd", "systemctl enable --now ntpsec" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (access(rows[i].program, X_OK) == 0)
			return rows[i].fix;
	return "apt-get install chrony";
}

static enum doctor_level look_clock(struct doctor *doctor)
{
	int64_t error_us = timesync_error_us();
	enum timesync state = timesync_judge(error_us);

	if (state == TIMESYNC_OK)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "the clock is off by at most %lld us",
				  (long long)error_us);
	/* No promise is broken: mail passes, and each record says in what state the clock was. */
	if (state == TIMESYNC_NONE)
		return doctor_say(doctor, DOCTOR_NOTE, clock_fix(), "the clock is " STR_FMT ": the kernel vouches for nothing",
				  STR_ARG(timesync_name(state)));
	return doctor_say(doctor, DOCTOR_NOTE, clock_fix(),
			  "the clock is " STR_FMT ": the kernel vouches for no better than a second", STR_ARG(timesync_name(state)));
}

const struct doctor_check doctor_gate_checks[] = {
	{ "daemon", DOCTOR_CONFIG, "While it does not run, mail waits at its senders.", look_daemon },
	{ "configuration_owner", DOCTOR_CONFIG, "Who can change it says whose mail passes, and where its records go.", look_owner },
	{ "reload", DOCTOR_DAEMON, "What was changed since is not in force.", look_reload },
	{ "listen", DOCTOR_CONFIG, "Whoever reaches the socket can pose as the MTA; libmilter does not stand up to a hostile one.",
	  look_listen },
	{ "socket", DOCTOR_CONFIG, "Without it the MTA tells every sender to come again later.", look_socket },
	{ "socket_access", DOCTOR_CONFIG, "The MTA must be able to write to the socket, and nobody else should.", look_access },
	{ "commands", DOCTOR_CONFIG, "It would be told of alarms and struck senders, and is not: nobody hears of them.", look_commands },
	{ "clock", DOCTOR_ALWAYS, "Times in the log are worth what the clock is; records say how it was.", look_clock },
	{ NULL },
};
