/* sekisho doctor: the filter lines of a sendmail.cf, as INPUT_MAIL_FILTER in the .mc makes them. */
#include <sys/stat.h>

#include "milter/tool/doctor.h"

#define MC_LINE "INPUT_MAIL_FILTER(`sekisho', `S=%s, F=T, T=C:30s;S:30s;R:60s;E:300s')dnl"

/* "Xname, S=..., F=T, T=..." */
struct filter {
	struct str name, socket, flags, timeouts;
};

static bool parse_filter(struct str line, struct filter *out)
{
	struct str piece;

	if (line.len < 2 || line.ptr[0] != 'X')
		return false;
	*out = (struct filter){ STR_EMPTY, STR_EMPTY, STR_EMPTY, STR_EMPTY };
	for (line = str_from(line, 1); str_next(&line, ',', &piece);) {
		piece = str_trim(piece);
		if (out->name.len == 0)
			out->name = piece;
		else if (str_starts(piece, STR("S=")))
			out->socket = str_from(piece, 2);
		else if (str_starts(piece, STR("F=")))
			out->flags = str_from(piece, 2);
		else if (str_starts(piece, STR("T=")))
			out->timeouts = str_from(piece, 2);
	}
	return out->name.len != 0;
}

static bool next_filter(struct str *rest, struct filter *out)
{
	struct str line;

	while (str_next(rest, '\n', &line))
		if (parse_filter(line, out))
			return true;
	return false;
}

static bool find_ours(const struct doctor *doctor, struct filter *out)
{
	struct str rest = doctor->sendmail_cf;

	while (next_filter(&rest, out))
		if (doctor_is_ours(doctor, out->socket, "", "/"))
			return true;
	return false;
}

/* "O InputMailFilters=a, b"; a later line replaces an earlier one. */
static struct str input_filters(const struct doctor *doctor)
{
	static const struct str option = STR_INIT("O InputMailFilters=");
	struct str rest = doctor->sendmail_cf, line, found = STR_EMPTY;

	while (str_next(&rest, '\n', &line))
		if (str_starts(line, option))
			found = str_trim(str_from(line, option.len));
	return found;
}

static const char *mc_line(struct doctor *doctor)
{
	return doctor_text(doctor, MC_LINE, doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->listen)));
}

static enum doctor_level look_filter(struct doctor *doctor)
{
	struct str list = input_filters(doctor), piece;
	struct filter ours;

	if (!find_ours(doctor, &ours))
		return doctor_say(doctor, DOCTOR_FAULT, mc_line(doctor), "no filter in %s comes to " STR_FMT, doctor->sendmail,
				  STR_ARG(doctor->config->listen));
	while (str_next(&list, ',', &piece))
		if (str_eq(str_trim(piece), ours.name))
			return doctor_say(doctor, DOCTOR_FINE, NULL, "Sendmail comes to the gate as filter " STR_FMT,
					  STR_ARG(ours.name));
	return doctor_say(doctor, DOCTOR_FAULT, mc_line(doctor), "filter " STR_FMT " is defined, but not in InputMailFilters",
			  STR_ARG(ours.name));
}

static enum doctor_level look_flags(struct doctor *doctor)
{
	struct filter ours;

	if (!find_ours(doctor, &ours))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the filter is not there to look at");
	if (ours.flags.len == 1 && ours.flags.ptr[0] == 'T')
		return doctor_say(doctor, DOCTOR_FINE, NULL, "F=T: mail waits while the gate is away");
	return doctor_say(doctor, DOCTOR_FAULT, mc_line(doctor), "filter " STR_FMT " has %s" STR_FMT ", not F=T", STR_ARG(ours.name),
			  ours.flags.len ? "F=" : "no F=", STR_ARG(ours.flags));
}

static enum doctor_level look_timeouts(struct doctor *doctor)
{
	struct filter ours;

	if (!find_ours(doctor, &ours))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the filter is not there to look at");
	if (str_find(ours.timeouts, STR("R:")) < ours.timeouts.len)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "T=" STR_FMT, STR_ARG(ours.timeouts));
	return doctor_say(doctor, DOCTOR_NOTE, mc_line(doctor), "filter " STR_FMT " has no T=R: of its own, so it has 10 s to answer",
			  STR_ARG(ours.name));
}

/* The socket of a filter by its name. */
static struct str socket_of(const struct doctor *doctor, struct str name)
{
	struct str rest = doctor->sendmail_cf;
	struct filter filter;

	while (next_filter(&rest, &filter))
		if (str_eq(filter.name, name))
			return filter.socket;
	return STR_EMPTY;
}

static enum doctor_level look_order(struct doctor *doctor)
{
	struct str list = input_filters(doctor), piece, signer = STR_EMPTY;

	while (str_next(&list, ',', &piece)) {
		struct str name = str_trim(piece), socket = socket_of(doctor, name);

		if (doctor_is_signer(name) || doctor_is_signer(socket))
			signer = name;
		if (signer.len && doctor_is_ours(doctor, socket, "", "/"))
			return doctor_say(doctor, doctor->config->needs_rewrite ? DOCTOR_FAULT : DOCTOR_NOTE,
					  doctor_text(doctor, "%s before the line of " STR_FMT, mc_line(doctor), STR_ARG(signer)),
					  STR_FMT " signs before the gate sees the mail", STR_ARG(signer));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no signer stands before the gate");
}

/* A listener may have a list of its own: "O DaemonPortOptions=Name=MSA, Port=587, InputMailFilters=a;b". */
static enum doctor_level look_listeners(struct doctor *doctor)
{
	static const struct str option = STR_INIT("O DaemonPortOptions="), own = STR_INIT("InputMailFilters=");
	struct str rest = doctor->sendmail_cf, line, piece, name;
	struct filter ours;

	if (!find_ours(doctor, &ours))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the filter is not there to look at");
	while (str_next(&rest, '\n', &line)) {
		struct str pieces = str_from(line, option.len);

		for (bool is_ours; str_starts(line, option) && str_next(&pieces, ',', &piece);) {
			struct str list = str_from(str_trim(piece), own.len);

			if (!str_starts(str_trim(piece), own))
				continue;
			for (is_ours = false; str_next(&list, ';', &name);)
				is_ours |= str_eq(str_trim(name), ours.name);
			if (!is_ours)
				return doctor_say(doctor, DOCTOR_FAULT,
						  doctor_text(doctor, "sendmail.mc: DAEMON_OPTIONS(`" STR_FMT "') with InputMailFilters=" STR_FMT ";...",
							      STR_ARG(str_trim(str_from(line, option.len))), STR_ARG(ours.name)),
						  "a listener has filters of its own, without the gate: " STR_FMT,
						  STR_ARG(str_trim(str_from(line, option.len))));
		}
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no listener has filters of its own without the gate");
}

/* Sendmail does not go to a socket below a directory that somebody else could change. */
static enum doctor_level look_socket_safety(struct doctor *doctor)
{
	struct str path = str_from(doctor->config->listen, 5);
	struct stat st;

	for (size_t at = 1; str_starts(doctor->config->listen, STR("unix:")) && at < path.len; at++) {
		if (path.ptr[at] != '/')
			continue;

		const char *dir = doctor_text(doctor, STR_FMT, STR_ARG(str_slice(path, 0, at)));

		if (stat(dir, &st) == 0 && (st.st_uid != 0 || st.st_mode & 022))
			return doctor_say(doctor, DOCTOR_FAULT,
					  "sekisho.yaml: milter: {listen: \"inet:8890@127.0.0.1\"}, or a directory that only root can change",
					  "%s can be changed by others than root, so Sendmail calls the socket unsafe", dir);
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "Sendmail trusts the way to " STR_FMT,
			  STR_ARG(doctor->config->listen));
}

static bool has_option(const struct doctor *doctor, struct str option)
{
	struct str rest = doctor->sendmail_cf, line;

	while (str_next(&rest, '\n', &line))
		if (str_starts(line, option) && str_trim(str_from(line, option.len)).len)
			return true;
	return false;
}

static enum doctor_level look_login(struct doctor *doctor)
{
	return doctor_say_login(doctor, has_option(doctor, STR("O AuthMechanisms=")), has_option(doctor, STR("O ServerCertFile=")),
				"define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl",
				"define(`confSERVER_CERT', `/etc/mail/tls/server.pem')dnl");
}

const struct doctor_check doctor_sendmail_checks[] = {
	{ "input_mail_filter", DOCTOR_SENDMAIL, "Mail that does not come to the gate is neither limited nor on the record.", look_filter },
	{ "filter_flags", DOCTOR_SENDMAIL,
	  "While the gate is away mail would pass without a record; and mail whose rewriting is cut short would leave damaged.",
	  look_flags },
	{ "filter_timeouts", DOCTOR_SENDMAIL, "A disk that stalls for longer turns good mail away for a while.", look_timeouts },
	{ "listeners", DOCTOR_SENDMAIL, "Mail of a listener that does not come to the gate is neither limited nor on the record.",
	  look_listeners },
	{ "socket_safety", DOCTOR_SENDMAIL, "Without it the MTA tells every sender to come again later.", look_socket_safety },
	{ "login", DOCTOR_SENDMAIL, "Nothing that such a tenant sends can be accepted.", look_login },
	{ "filter_order", DOCTOR_SENDMAIL, "What the gate rewrites after it was signed has a broken signature.", look_order },
	{ NULL },
};
