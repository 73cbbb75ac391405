/* What a Postfix is told: main.cf, and what each service of master.cf has for itself; and the lines that tell it better. */
#include <string.h>
#include <unistd.h>

#include "milter/tool/child.h"
#include "milter/tool/doctor.h"

#define ANSWER_MAX ((size_t)1 << 20)

/* --- what Postfix is told */

const char *doctor_postfix_program(struct doctor *doctor, const char *name)
{
	static const char *const places[] = { "/usr/sbin", "/usr/local/sbin", "/sbin" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		const char *path = doctor_text(doctor, "%s/%s", places[i], name);

		if (access(path, X_OK) == 0)
			return path;
	}
	return NULL;
}

static bool postconf(struct doctor *doctor, const char *what, struct str *out, struct err *err)
{
	const char *program = doctor_postfix_program(doctor, "postconf");
	char *const argv[] = { (char *)program, (char *)"-c", (char *)doctor->postfix, (char *)what, NULL };

	if (!program)
		return err_set(err, ERR_BUSY, "there is no postconf on this host");
	return child_run(argv, CHILD_OUTPUT, ANSWER_MAX, &doctor->tool->arena, out, err);
}

/* "name = value" lines, the last of a name being in force. */
static struct str setting_of(struct str lines, struct str name)
{
	struct str line, left, right, found = STR_EMPTY;

	while (str_next(&lines, '\n', &line))
		if (str_cut(line, '=', &left, &right) && str_eq(str_trim(left), name))
			found = str_trim(right);
	return found;
}

struct str doctor_postfix_setting(const struct doctor *doctor, const char *name)
{
	return setting_of(doctor->main_cf, str_from_c(name));
}

static bool has_setting(struct str lines, struct str name)
{
	struct str line, left, right;

	while (str_next(&lines, '\n', &line))
		if (str_cut(line, '=', &left, &right) && str_eq(str_trim(left), name))
			return true;
	return false;
}

/* "smtp/inet/smtpd_milters" of master.cf. */
static struct str own_key(struct doctor *doctor, const struct doctor_service *service, const char *name)
{
	return tool_text(doctor->tool, STR_FMT "/%s", STR_ARG(service->name), name);
}

static bool has_own(struct doctor *doctor, const struct doctor_service *service, const char *name)
{
	return has_setting(doctor->overrides, own_key(doctor, service, name));
}

struct str doctor_postfix_of(struct doctor *doctor, const struct doctor_service *service, const char *name)
{
	return has_own(doctor, service, name) ? setting_of(doctor->overrides, own_key(doctor, service, name))
					      : doctor_postfix_setting(doctor, name);
}

struct str doctor_postfix_where(struct doctor *doctor, const struct doctor_service *service, const char *name)
{
	return has_own(doctor, service, name) ? service->name : STR("main.cf");
}

/* What "-" means is older than compatibility_level 1: yes. */
static bool is_chrooted(const struct doctor *doctor, struct str word)
{
	struct str level = doctor_postfix_setting(doctor, "compatibility_level");

	return str_eq(word, STR("y")) || (str_eq(word, STR("-")) && (level.len == 0 || str_eq(level, STR("0"))));
}

static struct doctor_service *place_of(struct doctor *doctor, struct str name, struct str program)
{
	if (str_eq(program, STR("smtpd")) && doctor->smtpd_count < DOCTOR_SMTPDS_MAX)
		return &doctor->smtpds[doctor->smtpd_count++];
	if (str_eq(program, STR("pickup")))
		return &doctor->pickup;
	return str_eq(name, STR("cleanup")) ? &doctor->cleanup : NULL;
}

/* service type private unprivileged chroot wakeup maxproc command */
static void read_service(struct doctor *doctor, struct str line)
{
	struct doctor_service *service;
	struct str words[8];

	for (size_t i = 0; i < 8; i++)
		if (!doctor_next_word(&line, &words[i]))
			return;
	service = place_of(doctor, words[0], words[7]);
	if (!service)
		return;
	service->name = tool_text(doctor->tool, STR_FMT "/" STR_FMT, STR_ARG(words[0]), STR_ARG(words[1]));
	service->list = service == &doctor->cleanup ? "non_smtpd_milters" : "smtpd_milters";
	service->milters = doctor_postfix_of(doctor, service, service->list);
	service->is_chrooted = is_chrooted(doctor, words[4]);
}

bool doctor_postfix_read(struct doctor *doctor, struct err *err)
{
	struct str services, line;

	if (!postconf(doctor, "-x", &doctor->main_cf, err) || !postconf(doctor, "-M", &services, err) ||
	    !postconf(doctor, "-Px", &doctor->overrides, err))
		return false;
	while (str_next(&services, '\n', &line))
		read_service(doctor, line);
	return true;
}

const struct doctor_service *doctor_postfix_way(const struct doctor *doctor, size_t at)
{
	if (at < doctor->smtpd_count)
		return &doctor->smtpds[at];
	return at == doctor->smtpd_count && doctor->cleanup.name.len ? &doctor->cleanup : NULL;
}

/* --- whose milters */

bool doctor_postfix_is_reinjection(const struct doctor_service *smtpd)
{
	static const struct str loopbacks[] = { STR_INIT("127."), STR_INIT("localhost:"), STR_INIT("[::1]:") };

	for (size_t i = 0; i < sizeof loopbacks / sizeof *loopbacks; i++)
		if (str_starts_nocase(smtpd->name, loopbacks[i]))
			return true;
	return false;
}

static const char *queue_directory(const struct doctor *doctor)
{
	return tool_text(doctor->tool, STR_FMT, STR_ARG(doctor_postfix_setting(doctor, "queue_directory"))).ptr;
}

/* Postfix takes no path without its "unix:" or "local:". */
bool doctor_postfix_is_us(const struct doctor *doctor, struct str name, bool is_chrooted)
{
	const char *dir = queue_directory(doctor);

	return (doctor_is_path(name) || str_starts(name, STR("inet:"))) && doctor_is_ours(doctor, name, is_chrooted ? dir : "", dir);
}

bool doctor_postfix_names_us(const struct doctor *doctor, struct str milters, bool is_chrooted)
{
	struct str name, options;

	while (doctor_next_milter(&milters, &name, &options))
		if (doctor_postfix_is_us(doctor, name, is_chrooted))
			return true;
	return false;
}

/* What main.cf should say: a path below the queue directory works with and without chroot. */
static const char *our_name(struct doctor *doctor)
{
	struct str listen = doctor->config->listen, path, port, host;
	struct str dir = doctor_postfix_setting(doctor, "queue_directory");

	if (!str_starts(listen, STR("unix:")))
		return str_cut(str_from(listen, str_find_byte(listen, ':') + 1), '@', &port, &host)
			       ? doctor_text(doctor, "inet:" STR_FMT ":" STR_FMT, STR_ARG(host), STR_ARG(port))
			       : "inet:127.0.0.1:8890";
	path = str_from(listen, 5);
	if (dir.len && str_starts(path, dir) && path.ptr[dir.len] == '/')
		path = str_from(path, dir.len + 1);
	return doctor_text(doctor, "unix:" STR_FMT, STR_ARG(path));
}

/* However it was spelled, or misspelled: what is left of it would stop all mail. */
static bool was_us(const struct doctor *doctor, struct str name, const char *dir)
{
	return doctor_is_ours(doctor, name, "", dir) || doctor_is_ours(doctor, name, dir, dir) || str_glob(STR("*sekisho*"), name) ||
	       str_glob(STR("inet:*:8890"), name);
}

const char *doctor_postfix_us_first(struct doctor *doctor, struct str milters)
{
	const char *dir = queue_directory(doctor), *list = our_name(doctor);
	struct str before = milters, name, options;

	for (; doctor_next_milter(&milters, &name, &options); before = milters) {
		if (was_us(doctor, name, dir))
			continue;
		while (before.len && (before.ptr[0] == ',' || before.ptr[0] == ' ' || before.ptr[0] == '\t'))
			before = str_from(before, 1);
		list = doctor_text(doctor, "%s, " STR_FMT, list,
				   STR_ARG(str_slice(before, 0, before.len - milters.len)));
	}
	return list;
}

/* postconf takes no blanks for master.cf: commas alone part a list there, with { } in it too. */
static const char *without_blanks(struct doctor *doctor, const char *list)
{
	struct str rest = str_from_c(list), word;
	char last = '{';
	const char *out = "";

	while (doctor_next_word(&rest, &word)) {
		out = doctor_text(doctor, "%s%s" STR_FMT, out, last == '{' || word.ptr[0] == '}' ? "" : ",", STR_ARG(word));
		last = word.ptr[word.len - 1];
	}
	return out;
}

const char *doctor_postfix_postconf(struct doctor *doctor)
{
	return strcmp(doctor->postfix, POSTFIX_DIR) == 0 ? "postconf" : doctor_text(doctor, "postconf -c %s", doctor->postfix);
}

const char *doctor_postfix_fix(struct doctor *doctor, const struct doctor_service *service, const char *name, const char *value)
{
	if (!has_own(doctor, service, name))
		return doctor_text(doctor, "%s =%s%s", name, *value ? " " : "", value);
	return doctor_text(doctor, "%s -P '" STR_FMT "/%s=%s'", doctor_postfix_postconf(doctor), STR_ARG(service->name), name,
			   without_blanks(doctor, value));
}

const char *doctor_postfix_fix_list(struct doctor *doctor, const struct doctor_service *service)
{
	return doctor_postfix_fix(doctor, service, service->list, doctor_postfix_us_first(doctor, service->milters));
}
