/* sekisho doctor: does every message that passes this Postfix come to the gate, and wait for it? */
#include <string.h>
#include <unistd.h>

#include "milter/tool/child.h"
#include "milter/tool/doctor.h"

#define ANSWER_MAX ((size_t)1 << 20)

/* --- what Postfix is told */

static const char *find_postconf(void)
{
	static const char *const places[] = { "/usr/sbin/postconf", "/usr/local/sbin/postconf", "/sbin/postconf" };

	for (size_t i = 0; i < sizeof places / sizeof *places; i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

static bool postconf(struct doctor *doctor, const char *what, struct str *out, struct err *err)
{
	const char *program = find_postconf();
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

/* "smtp/inet/smtpd_milters = ..." of master.cf. */
static bool is_overridden(struct doctor *doctor, struct str overrides, struct str service, const char *name)
{
	return has_setting(overrides, tool_text(doctor->tool, STR_FMT "/%s", STR_ARG(service), name));
}

/* That, or main.cf's. */
static struct str override_of(struct doctor *doctor, struct str overrides, struct str service, const char *name)
{
	struct str key = tool_text(doctor->tool, STR_FMT "/%s", STR_ARG(service), name);

	return has_setting(overrides, key) ? setting_of(overrides, key) : doctor_postfix_setting(doctor, name);
}

/* service type private unprivileged chroot wakeup maxproc command */
static void read_service(struct doctor *doctor, struct str line, struct str overrides)
{
	struct str words[8];
	struct doctor_smtpd *smtpd = &doctor->smtpds[doctor->smtpd_count];

	for (size_t i = 0; i < 8; i++)
		if (!doctor_next_word(&line, &words[i]))
			return;

	bool is_chrooted = str_eq(words[4], STR("y"));

	if (str_eq(words[7], STR("cleanup")))
		doctor->is_cleanup_chrooted = is_chrooted;
	if (str_eq(words[7], STR("pickup")))
		smtpd = &doctor->pickup;
	else if (!str_eq(words[7], STR("smtpd")) || doctor->smtpd_count == DOCTOR_SMTPDS_MAX)
		return;
	smtpd->name = tool_text(doctor->tool, STR_FMT "/" STR_FMT, STR_ARG(words[0]), STR_ARG(words[1]));
	smtpd->receive_options = override_of(doctor, overrides, smtpd->name, "receive_override_options");
	smtpd->has_own_options = is_overridden(doctor, overrides, smtpd->name, "receive_override_options");
	if (smtpd == &doctor->pickup)
		return;
	smtpd->is_chrooted = is_chrooted;
	smtpd->milters = override_of(doctor, overrides, smtpd->name, "smtpd_milters");
	smtpd->default_action = override_of(doctor, overrides, smtpd->name, "milter_default_action");
	smtpd->content_filter = override_of(doctor, overrides, smtpd->name, "content_filter");
	smtpd->has_own_milters = is_overridden(doctor, overrides, smtpd->name, "smtpd_milters");
	smtpd->has_own_action = is_overridden(doctor, overrides, smtpd->name, "milter_default_action");
	smtpd->has_login = str_eq(override_of(doctor, overrides, smtpd->name, "smtpd_sasl_auth_enable"), STR("yes"));
	smtpd->has_tls = !str_eq(override_of(doctor, overrides, smtpd->name, "smtpd_tls_security_level"), STR("none")) &&
			 override_of(doctor, overrides, smtpd->name, "smtpd_tls_security_level").len;
	doctor->smtpd_count++;
}

bool doctor_postfix_read(struct doctor *doctor, struct err *err)
{
	struct str services, overrides, line;

	if (!postconf(doctor, "-x", &doctor->main_cf, err) || !postconf(doctor, "-M", &services, err) ||
	    !postconf(doctor, "-Px", &overrides, err))
		return false;
	while (str_next(&services, '\n', &line))
		read_service(doctor, line, overrides);
	return true;
}

/* --- whose milters */

bool doctor_postfix_is_reinjection(const struct doctor_smtpd *smtpd)
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

/* Postfix takes no path without its "unix:". */
static bool is_us(const struct doctor *doctor, struct str name, bool is_chrooted)
{
	const char *dir = queue_directory(doctor);

	return (str_starts(name, STR("unix:")) || str_starts(name, STR("inet:"))) && doctor_is_ours(doctor, name, is_chrooted ? dir : "", dir);
}

bool doctor_postfix_names_us(const struct doctor *doctor, struct str milters, bool is_chrooted)
{
	struct str name, options;

	while (doctor_next_milter(&milters, &name, &options))
		if (is_us(doctor, name, is_chrooted))
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

const char *doctor_postfix_us_first(struct doctor *doctor, struct str milters)
{
	const char *dir = queue_directory(doctor), *list = our_name(doctor);
	struct str before = milters, name, options;

	for (; doctor_next_milter(&milters, &name, &options); before = milters) {
		/* However it was spelled. */
		if (doctor_is_ours(doctor, name, "", dir) || doctor_is_ours(doctor, name, dir, dir))
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

const char *doctor_postfix_fix(struct doctor *doctor, const struct doctor_smtpd *smtpd, bool is_own, const char *name, const char *value)
{
	return is_own ? doctor_text(doctor, "postconf -P '" STR_FMT "/%s=%s'", STR_ARG(smtpd->name), name, without_blanks(doctor, value))
		      : doctor_text(doctor, "%s = %s", name, value);
}

static bool is_below_queue(const struct doctor *doctor)
{
	struct str dir = doctor_postfix_setting(doctor, "queue_directory");

	return !str_starts(doctor->config->listen, STR("unix:")) ||
	       (dir.len && str_starts(str_from(doctor->config->listen, 5), dir));
}

static enum doctor_level look_smtpd_milters(struct doctor *doctor)
{
	const char *bypass = NULL;

	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		const struct doctor_smtpd *smtpd = &doctor->smtpds[i];

		if (doctor_postfix_names_us(doctor, smtpd->milters, smtpd->is_chrooted))
			continue;
		if (smtpd->milters.len == 0 && doctor_postfix_is_reinjection(smtpd) &&
		    doctor_postfix_setting(doctor, "smtpd_milters").len) {
			bypass = smtpd->name.ptr;
			continue;
		}
		if (smtpd->is_chrooted && doctor_postfix_names_us(doctor, smtpd->milters, false) && !is_below_queue(doctor))
			return doctor_say(doctor, DOCTOR_FAULT,
					  "sekisho.yaml: milter: {listen: \"unix:/var/spool/postfix/milter/sekisho.sock\"}; "
					  "main.cf: smtpd_milters = unix:milter/sekisho.sock",
					  "the smtpd of " STR_FMT " is chrooted to " STR_FMT " and cannot see " STR_FMT, STR_ARG(smtpd->name),
					  STR_ARG(doctor_postfix_setting(doctor, "queue_directory")), STR_ARG(doctor->config->listen));
		return doctor_say(doctor, DOCTOR_FAULT,
				  doctor_postfix_fix(doctor, smtpd, smtpd->has_own_milters, "smtpd_milters",
						     doctor_postfix_us_first(doctor, smtpd->milters)),
				  "the smtpd of " STR_FMT " does not come to " STR_FMT ": its smtpd_milters is \"" STR_FMT "\"",
				  STR_ARG(smtpd->name), STR_ARG(doctor->config->listen), STR_ARG(smtpd->milters));
	}
	if (doctor->smtpd_count == 0)
		return doctor_say(doctor, DOCTOR_NOTE, NULL, "no smtpd stands in master.cf: no mail comes in by SMTP");
	if (bypass)
		return doctor_say(doctor, DOCTOR_NOTE, NULL,
				  "%s has no milters: right when only a content filter of this host hands mail back there", bypass);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "every smtpd comes to " STR_FMT, STR_ARG(doctor->config->listen));
}

static enum doctor_level look_non_smtpd(struct doctor *doctor)
{
	struct str milters = doctor_postfix_setting(doctor, "non_smtpd_milters");

	if (doctor_postfix_names_us(doctor, milters, doctor->is_cleanup_chrooted))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "mail that is made on this host comes to the gate too");
	return doctor_say(doctor, DOCTOR_FAULT, "non_smtpd_milters = $smtpd_milters", "non_smtpd_milters is \"" STR_FMT "\"",
			  STR_ARG(milters));
}

/* The action of our own entry when it has one in braces. */
static struct str own_action(const struct doctor *doctor, const struct doctor_smtpd *smtpd)
{
	struct str rest = smtpd->milters, name, options, piece, left, right, action = smtpd->default_action;

	while (doctor_next_milter(&rest, &name, &options))
		while (is_us(doctor, name, smtpd->is_chrooted) && str_next(&options, ',', &piece))
			if (str_cut(piece, '=', &left, &right) && str_eq(str_trim(left), STR("default_action")))
				action = str_trim(right);
	return action;
}

static enum doctor_level look_default_action(struct doctor *doctor)
{
	const struct doctor_smtpd all = { .name = STR("main.cf"), .milters = doctor_postfix_setting(doctor, "smtpd_milters"),
					  .default_action = doctor_postfix_setting(doctor, "milter_default_action") };

	for (size_t i = 0; i <= doctor->smtpd_count; i++) {
		const struct doctor_smtpd *smtpd = i < doctor->smtpd_count ? &doctor->smtpds[i] : &all;
		struct str action = own_action(doctor, smtpd);

		if (!str_eq(action, STR("tempfail")))
			return doctor_say(doctor, DOCTOR_FAULT,
					  str_eq(action, smtpd->default_action)
						  ? doctor_postfix_fix(doctor, smtpd, smtpd->has_own_action, "milter_default_action", "tempfail")
						  : doctor_postfix_fix(doctor, smtpd, smtpd->has_own_milters, "smtpd_milters",
								       doctor_postfix_us_first(doctor, smtpd->milters)),
					  "milter_default_action is " STR_FMT " (" STR_FMT ")", STR_ARG(action), STR_ARG(smtpd->name));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "milter_default_action is tempfail");
}

bool doctor_has_word(struct str list, struct str word)
{
	struct str piece;

	while (doctor_next_word(&list, &piece))
		if (str_eq(piece, word))
			return true;
	return false;
}

static enum doctor_level look_internal_mail(struct doctor *doctor)
{
	struct str classes = doctor_postfix_setting(doctor, "internal_mail_filter_classes");

	if (doctor_has_word(classes, STR("bounce")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Postfix shows the gate the bounces that it writes");
	return doctor_say(doctor, DOCTOR_FAULT, "internal_mail_filter_classes = bounce", "internal_mail_filter_classes is \"" STR_FMT "\"",
			  STR_ARG(classes));
}

static enum doctor_level look_queue_ids(struct doctor *doctor)
{
	struct str value = doctor_postfix_setting(doctor, "enable_long_queue_ids");

	if (str_eq(value, STR("yes")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "queue ids are long: none comes twice");
	return doctor_say(doctor, DOCTOR_FAULT, "enable_long_queue_ids = yes", "enable_long_queue_ids is " STR_FMT, STR_ARG(value));
}

static enum doctor_level look_protocol(struct doctor *doctor)
{
	struct str value = doctor_postfix_setting(doctor, "milter_protocol");

	if (str_eq(value, STR("6")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "milter_protocol is 6");
	return doctor_say(doctor, DOCTOR_FAULT, "milter_protocol = 6", "milter_protocol is " STR_FMT, STR_ARG(value));
}

static enum doctor_level look_proxy_filter(struct doctor *doctor)
{
	struct str value = doctor_postfix_setting(doctor, "smtpd_proxy_filter");

	if (value.len == 0)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "no smtpd_proxy_filter stands between");
	return doctor_say(doctor, DOCTOR_FAULT, "smtpd_proxy_filter =", "smtpd_proxy_filter is " STR_FMT "; content_filter would do",
			  STR_ARG(value));
}

static enum doctor_level look_order(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		struct str rest = doctor->smtpds[i].milters, name, options;
		struct str signer = STR_EMPTY;

		while (doctor_next_milter(&rest, &name, &options)) {
			if (doctor_is_signer(name))
				signer = name;
			if (signer.len && is_us(doctor, name, doctor->smtpds[i].is_chrooted))
				return doctor_say(doctor, doctor->config->needs_rewrite ? DOCTOR_FAULT : DOCTOR_NOTE,
						  doctor_postfix_fix(doctor, &doctor->smtpds[i], doctor->smtpds[i].has_own_milters, "smtpd_milters",
								     doctor_postfix_us_first(doctor, doctor->smtpds[i].milters)),
						  STR_FMT " signs before the gate sees the mail", STR_ARG(signer));
		}
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no signer stands before the gate");
}

static enum doctor_level look_login(struct doctor *doctor)
{
	bool has_sasl = false, has_tls = false;

	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		has_sasl |= doctor->smtpds[i].has_login;
		has_tls |= doctor->smtpds[i].has_tls;
	}
	return doctor_say_login(doctor, has_sasl, has_tls, "smtpd_sasl_auth_enable = yes", "smtpd_tls_security_level = may");
}

const struct doctor_check doctor_postfix_checks[] = {
	{ "smtpd_milters", DOCTOR_POSTFIX, "Mail of a listener that does not come to the gate is neither limited nor on the record.",
	  look_smtpd_milters },
	{ "non_smtpd_milters", DOCTOR_POSTFIX,
	  "Scripts on this host send past every quota and leave no record, and bounces that Postfix writes are not counted.",
	  look_non_smtpd },
	{ "milter_default_action", DOCTOR_POSTFIX,
	  "While the gate is away mail would pass without a record; and mail whose rewriting is cut short would leave damaged.",
	  look_default_action },
	{ "internal_mail_filter_classes", DOCTOR_POSTFIX, "Bounces that Postfix itself writes never reach the count of bounces.",
	  look_internal_mail },
	{ "enable_long_queue_ids", DOCTOR_POSTFIX, "Short queue ids come again within days, so one in the log may mean two messages.",
	  look_queue_ids },
	{ "milter_protocol", DOCTOR_POSTFIX, "The gate learns login, certificate and queue id by what version 6 of the protocol has.",
	  look_protocol },
	{ "smtpd_proxy_filter", DOCTOR_POSTFIX, "Before such a filter the gate sees each message broken off, although it leaves.",
	  look_proxy_filter },
	{ "milter_order", DOCTOR_POSTFIX, "What the gate rewrites after it was signed has a broken signature.", look_order },
	{ "login", DOCTOR_POSTFIX, "Nothing that such a tenant sends can be accepted.", look_login },
	{ NULL },
};
