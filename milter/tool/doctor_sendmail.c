/* sekisho doctor: the filter lines of a sendmail.cf, as INPUT_MAIL_FILTER in the .mc makes them. */
#include <sys/stat.h>

#include "config/base/num.h"
#include "milter/tool/doctor.h"

#define LOG_LEVEL_LEAST 9              /* what Sendmail comes with */
#define MC_LINE "INPUT_MAIL_FILTER(`sekisho', `S=%s, F=T, T=C:30s;S:30s;R:60s;E:300s')dnl"

bool doctor_sendmail_read(struct doctor *doctor, const char *path, struct err *err)
{
	struct str text;
	char *mutable;

	if (!doctor_read(doctor, path, &text, err))
		return false;
	/* A line that begins with a blank goes on with the one before. */
	mutable = (char *)(uintptr_t)text.ptr;
	for (size_t i = 0; i + 1 < text.len; i++)
		if (text.ptr[i] == '\n' && (text.ptr[i + 1] == ' ' || text.ptr[i + 1] == '\t'))
			mutable[i] = ' ';
	doctor->sendmail_cf = text;
	return true;
}

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

/* "O InputMailFilters=a, b", with blanks round the sign or without, in any case. */
static bool cut_option(struct str line, struct str option, struct str *out_value)
{
	struct str name;

	return str_starts(line, STR("O ")) && str_cut(str_from(line, 2), '=', &name, out_value) && str_eq_nocase(str_trim(name), option);
}

/* A later line replaces an earlier one. */
static struct str option_of(const struct doctor *doctor, struct str option)
{
	struct str rest = doctor->sendmail_cf, line, value, found = STR_EMPTY;

	while (str_next(&rest, '\n', &line))
		if (cut_option(line, option, &value))
			found = str_trim(value);
	return found;
}

static struct str input_filters(const struct doctor *doctor)
{
	return option_of(doctor, STR("InputMailFilters"));
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

/* "R:60s", "E:5m"; without a letter, seconds. False: it does not say. */
static bool find_timeout(struct str timeouts, char which, int64_t *out_s)
{
	static const struct str units = STR_INIT("smhdw");
	static const int64_t seconds[] = { 1, 60, 3600, 86400, 604800 };
	struct str piece;
	uint64_t n;

	while (str_next(&timeouts, ';', &piece)) {
		piece = str_trim(piece);
		if (piece.len < 3 || piece.ptr[0] != which || piece.ptr[1] != ':')
			continue;

		size_t unit = str_find_byte(units, piece.ptr[piece.len - 1]);
		bool has_unit = unit < units.len;

		if (!num_parse_u64(str_slice(piece, 2, piece.len - 2 - has_unit), &n) || n > UINT32_MAX)
			continue;
		*out_s = (int64_t)n * (has_unit ? seconds[unit] : 1);
		return true;
	}
	return false;
}

static enum doctor_level look_timeouts(struct doctor *doctor)
{
	static const struct {
		char which;
		int64_t unsaid_s, least_s;
	} rows[] = { { 'C', 300, 5 }, { 'S', 10, 5 }, { 'R', 10, 30 }, { 'E', 300, 60 } };
	struct filter ours;

	if (!find_ours(doctor, &ours))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the filter is not there to look at");
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int64_t seconds = rows[i].unsaid_s;

		find_timeout(ours.timeouts, rows[i].which, &seconds);
		if (seconds < rows[i].least_s)
			return doctor_say(doctor, DOCTOR_NOTE, mc_line(doctor), "filter " STR_FMT " has %lld s for T=%c:, so mail waits soon",
					  STR_ARG(ours.name), (long long)seconds, rows[i].which);
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "T=" STR_FMT, STR_ARG(ours.timeouts));
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

static enum doctor_level look_twice(struct doctor *doctor)
{
	struct str list = input_filters(doctor), piece;
	const char *keep = "";
	size_t times = 0;

	while (str_next(&list, ',', &piece)) {
		bool is_ours = doctor_is_ours(doctor, socket_of(doctor, str_trim(piece)), "", "/");

		times += is_ours;
		if (!is_ours || times == 1)
			keep = doctor_text(doctor, "%s%s" STR_FMT, keep, *keep ? "," : "", STR_ARG(str_trim(piece)));
	}
	if (times > 1)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "define(`confINPUT_MAIL_FILTERS', `%s')dnl", keep),
				  "mail of " STR_FMT " comes to the gate %zu times", STR_ARG(STR("InputMailFilters")), times);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no message comes to the gate twice");
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

/* "InputMailFilters=a;b" of a listener's options, of which the first letter counts. False: it has none of its own. */
static bool own_filters(struct str options, struct str *out_list)
{
	struct str piece, name;

	while (str_next(&options, ',', &piece))
		if (str_cut(str_trim(piece), '=', &name, out_list) && str_starts_nocase(name, STR("I")))
			return true;
	return false;
}

static bool has_filter(struct str list, struct str filter)
{
	struct str name;

	while (str_next(&list, ';', &name))
		if (str_eq(str_trim(name), filter))
			return true;
	return false;
}

/* A listener may have a list of its own: "O DaemonPortOptions=Name=MSA, Port=587, InputMailFilters=a;b". */
static enum doctor_level look_listeners(struct doctor *doctor)
{
	struct str rest = doctor->sendmail_cf, line, options, list;
	struct filter ours;

	if (!find_ours(doctor, &ours))
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the filter is not there to look at");
	while (str_next(&rest, '\n', &line))
		if (cut_option(line, STR("DaemonPortOptions"), &options) && own_filters(options, &list) && !has_filter(list, ours.name))
			return doctor_say(doctor, DOCTOR_FAULT,
					  doctor_text(doctor, "sendmail.mc: DAEMON_OPTIONS(`" STR_FMT "') with InputMailFilters=" STR_FMT ";...",
						      STR_ARG(str_trim(options)), STR_ARG(ours.name)),
					  "a listener has filters of its own, without the gate: " STR_FMT, STR_ARG(str_trim(options)));
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

/* At 8 and below Sendmail does not say what it delivered. */
static enum doctor_level look_log_level(struct doctor *doctor)
{
	struct str level = option_of(doctor, STR("LogLevel"));
	uint64_t n;

	if (!num_parse_u64(level, &n) || n >= LOG_LEVEL_LEAST)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Sendmail's log tells what it delivered");
	return doctor_say(doctor, config_follows_maillog(doctor->config) ? DOCTOR_FAULT : DOCTOR_NOTE,
			  "define(`confLOG_LEVEL', `9')dnl", "Sendmail's LogLevel is " STR_FMT, STR_ARG(level));
}

static enum doctor_level look_size(struct doctor *doctor)
{
	return doctor_say_size(doctor, option_of(doctor, STR("MaxMessageSize")), "MaxMessageSize",
			       "define(`confMAX_MESSAGE_SIZE', `", "')dnl");
}

static enum doctor_level look_login(struct doctor *doctor)
{
	return doctor_say_login(doctor, option_of(doctor, STR("AuthMechanisms")).len, option_of(doctor, STR("ServerCertFile")).len,
				"define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl",
				"define(`confSERVER_CERT', `/etc/mail/tls/server.pem')dnl");
}

const struct doctor_check doctor_sendmail_checks[] = {
	{ "input_mail_filter", DOCTOR_SENDMAIL, "Mail that does not come to the gate is neither limited nor on the record.", look_filter },
	{ "filter_flags", DOCTOR_SENDMAIL,
	  "While the gate is away mail would pass without a record; and mail whose rewriting is cut short would leave damaged.",
	  look_flags },
	{ "once", DOCTOR_SENDMAIL, "What comes twice is counted twice, and the second time nobody has logged in.", look_twice },
	{ "log_level", DOCTOR_SENDMAIL, "What became of mail stands there alone: deliveries, and the bounces that the MTA writes itself.",
	  look_log_level },
	{ "max_message_size", DOCTOR_SENDMAIL,
	  "The MTA refuses what the tenant was promised, and the gate cannot say why.", look_size },
	{ "filter_timeouts", DOCTOR_SENDMAIL, "A disk that stalls for longer turns good mail away for a while.", look_timeouts },
	{ "listeners", DOCTOR_SENDMAIL, "Mail of a listener that does not come to the gate is neither limited nor on the record.",
	  look_listeners },
	{ "socket_safety", DOCTOR_SENDMAIL, "Without it the MTA tells every sender to come again later.", look_socket_safety },
	{ "login", DOCTOR_SENDMAIL, "Nothing that such a tenant sends can be accepted.", look_login },
	{ "filter_order", DOCTOR_SENDMAIL, "What the gate rewrites after it was signed has a broken signature.", look_order },
	{ NULL },
};
