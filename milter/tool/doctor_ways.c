/* sekisho doctor: ways round the gate in a Postfix that names it, and ways through it twice. */
#include <errno.h>
#include <sys/stat.h>

#include "config/base/num.h"
#include "milter/tool/doctor.h"

/* The list without one word. */
static const char *without(struct doctor *doctor, struct str list, struct str word)
{
	struct str before = list, name, options;
	const char *out = "";

	for (; doctor_next_milter(&list, &name, &options); before = list) {
		while (before.len && str_find_byte(STR(", \t"), before.ptr[0]) < 3)
			before = str_from(before, 1);
		if (!str_eq(name, word))
			out = doctor_text(doctor, "%s%s" STR_FMT, out, *out ? ", " : "",
					  STR_ARG(str_slice(before, 0, before.len - list.len)));
	}
	return out;
}

static enum doctor_level look_no_milters(struct doctor *doctor)
{
	static const struct str word = STR_INIT("no_milters");

	for (size_t i = 0; i <= doctor->smtpd_count; i++) {
		const struct doctor_service *service = i < doctor->smtpd_count ? &doctor->smtpds[i] : &doctor->pickup;
		struct str list = doctor_postfix_of(doctor, service, "receive_override_options");

		if (doctor_has_word(list, word) && !doctor_postfix_is_reinjection(service))
			return doctor_say(doctor, DOCTOR_FAULT,
					  doctor_postfix_fix(doctor, service, "receive_override_options", without(doctor, list, word)),
					  "receive_override_options has no_milters (" STR_FMT ")",
					  STR_ARG(doctor_postfix_where(doctor, service, "receive_override_options")));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "nobody is told to leave milters out");
}

static enum doctor_level look_maps(struct doctor *doctor)
{
	struct str maps = doctor_postfix_setting(doctor, "smtpd_milter_maps");

	if (maps.len == 0)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "no client has milters of its own");
	return doctor_say(doctor, DOCTOR_NOTE, "smtpd_milter_maps =", "smtpd_milter_maps is " STR_FMT ": clients listed there may pass beside it",
			  STR_ARG(maps));
}

static size_t times_named(const struct doctor *doctor, const struct doctor_service *service)
{
	struct str rest = service->milters, name, options;
	size_t count = 0;

	while (doctor_next_milter(&rest, &name, &options))
		count += doctor_postfix_is_us(doctor, name, service->is_chrooted);
	return count;
}

/* An smtpd where a content_filter hands back mail that came here on its way there. */
static const struct doctor_service *find_way_back(struct doctor *doctor)
{
	const struct doctor_service *back = NULL;
	bool has_filter = false;

	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		const struct doctor_service *smtpd = &doctor->smtpds[i];
		bool is_filtered = doctor_postfix_of(doctor, smtpd, "content_filter").len;

		has_filter |= is_filtered;
		if (!is_filtered && times_named(doctor, smtpd) && doctor_postfix_is_reinjection(smtpd) &&
		    !doctor_has_word(doctor_postfix_of(doctor, smtpd, "receive_override_options"), STR("no_milters")))
			back = smtpd;
	}
	return has_filter ? back : NULL;
}

static enum doctor_level look_twice(struct doctor *doctor)
{
	const struct doctor_service *service;

	for (size_t i = 0; (service = doctor_postfix_way(doctor, i)); i++)
		if (times_named(doctor, service) > 1)
			return doctor_say(doctor, DOCTOR_FAULT, doctor_postfix_fix_list(doctor, service),
					  "mail of " STR_FMT " comes to the gate %zu times", STR_ARG(service->name),
					  times_named(doctor, service));
	service = find_way_back(doctor);
	if (service)
		return doctor_say(doctor, DOCTOR_NOTE,
				  doctor_text(doctor, "%s -P '" STR_FMT "/smtpd_milters='", doctor_postfix_postconf(doctor),
					      STR_ARG(service->name)),
				  "a content_filter may hand mail back at " STR_FMT ", which comes to the gate as well", STR_ARG(service->name));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no message comes to the gate twice");
}

/* A milter beside us that is a socket of this host, and is away. */
static bool is_away(struct doctor *doctor, const struct doctor_service *service, struct str name)
{
	struct str queue = doctor_postfix_setting(doctor, "queue_directory"), path = str_from(name, str_find_byte(name, ':') + 1);
	struct stat st;

	if (!doctor_is_path(name) || doctor_postfix_is_us(doctor, name, service->is_chrooted) ||
	    doctor_postfix_is_us(doctor, name, false))
		return false;
	if (path.len && path.ptr[0] == '/' && !service->is_chrooted)
		queue = STR_EMPTY;
	return stat(doctor_text(doctor, STR_FMT "/" STR_FMT, STR_ARG(queue), STR_ARG(path)), &st) != 0 && errno != EACCES;
}

static enum doctor_level look_others(struct doctor *doctor)
{
	const struct doctor_service *service;

	for (size_t i = 0; (service = doctor_postfix_way(doctor, i)); i++) {
		struct str rest = service->milters, name, options;

		while (doctor_next_milter(&rest, &name, &options))
			if (is_away(doctor, service, name))
				return doctor_say(doctor, DOCTOR_NOTE,
						  doctor_postfix_fix(doctor, service, service->list, without(doctor, service->milters, name)),
						  "there is no socket " STR_FMT ", which %s names (" STR_FMT ")", STR_ARG(name), service->list,
						  STR_ARG(doctor_postfix_where(doctor, service, service->list)));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no other milter is away");
}

/* "300s", "5m", "10": Postfix's time; these settings are in seconds where they do not say. */
static bool read_time(struct str value, int64_t *out_s)
{
	static const struct {
		char unit;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	struct str digits = value;
	int64_t unit_s = 1;
	uint64_t n;

	for (size_t i = 0; value.len && i < sizeof units / sizeof *units; i++)
		if (value.ptr[value.len - 1] == units[i].unit) {
			digits = str_slice(value, 0, value.len - 1);
			unit_s = units[i].seconds;
		}
	if (!num_parse_u64(digits, &n) || n >= UINT32_MAX)
		return false;
	*out_s = (int64_t)n * unit_s;
	return true;
}

/* A second is enough to come to a socket; the gate asks its store, and its disk, before it answers. */
static enum doctor_level look_timeouts(struct doctor *doctor)
{
	static const struct {
		struct doctor_own own;
		int64_t least_s;
		const char *good;
	} rows[] = {
		{ { "milter_connect_timeout", "connect_timeout" }, 5, "30s" },
		{ { "milter_command_timeout", "command_timeout" }, 10, "30s" },
		{ { "milter_content_timeout", "content_timeout" }, 60, "300s" },
	};
	const struct doctor_service *service;
	int64_t seconds;

	for (size_t i = 0; (service = doctor_postfix_way(doctor, i)); i++)
		for (size_t j = 0; j < sizeof rows / sizeof *rows; j++)
			if (read_time(doctor_postfix_own(doctor, service, &rows[j].own), &seconds) && seconds < rows[j].least_s)
				return doctor_postfix_say_own(doctor, DOCTOR_NOTE, service, &rows[j].own, rows[j].good);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "Postfix waits long enough for an answer");
}

/* The first name that main.cf sets a second time; a line that begins with a blank goes on with the one before. */
static bool find_double(struct str text, struct str *out)
{
	struct str line, rest, other, name, value, theirs;

	while (str_next(&text, '\n', &line)) {
		if (!line.len || line.ptr[0] == '#' || line.ptr[0] == ' ' || line.ptr[0] == '\t' || !str_cut(line, '=', &name, &value))
			continue;
		for (rest = text; str_next(&rest, '\n', &other);)
			if (str_starts(other, str_trim(name)) && str_cut(other, '=', &theirs, &value) &&
			    str_eq(str_trim(theirs), str_trim(name))) {
				*out = str_trim(name);
				return true;
			}
	}
	return false;
}

/* A thousand lines are a large main.cf; what is larger is not compared line by line. */
#define MAIN_CF_MAX ((size_t)256 << 10)

static enum doctor_level look_doubles(struct doctor *doctor)
{
	struct str text, name;
	struct err err;

	if (!doctor_read(doctor, doctor_text(doctor, "%s/main.cf", doctor->postfix), &text, &err) || text.len > MAIN_CF_MAX)
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "%s/main.cf cannot be read", doctor->postfix);
	if (!find_double(text, &name))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "no setting stands twice in main.cf");
	return doctor_say(doctor, doctor_postfix_setting(doctor, "maillog_file").len ? DOCTOR_FAULT : DOCTOR_NOTE,
			  doctor_text(doctor, "%s/main.cf: take out the line of " STR_FMT " that is not meant", doctor->postfix, STR_ARG(name)),
			  STR_FMT " stands twice in main.cf; the last one counts", STR_ARG(name));
}

static enum doctor_level look_instances(struct doctor *doctor)
{
	struct str others = doctor_postfix_setting(doctor, "multi_instance_directories");
	struct str name, options;

	if (!doctor_next_milter(&others, &name, &options))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "there is one instance of Postfix");
	return doctor_say(doctor, DOCTOR_NOTE, doctor_text(doctor, "sekisho doctor --postfix " STR_FMT, STR_ARG(name)),
			  "there are more instances of Postfix, which were not looked at: " STR_FMT,
			  STR_ARG(doctor_postfix_setting(doctor, "multi_instance_directories")));
}

/* Dovecot's socket is named relative to the queue directory, and is a service of its own that may be away. */
static enum doctor_level look_sasl(struct doctor *doctor)
{
	struct str path = doctor_postfix_setting(doctor, "smtpd_sasl_path");
	bool has_login = false;
	const char *socket;
	struct stat st;

	for (size_t i = 0; i < doctor->smtpd_count; i++)
		has_login |= doctor_postfix_has_login(doctor, &doctor->smtpds[i]);
	if (!has_login || !str_eq(doctor_postfix_setting(doctor, "smtpd_sasl_type"), STR("dovecot")) || str_starts(path, STR("inet:")))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "no login waits for a socket");
	if (str_starts(path, STR("unix:")))
		path = str_from(path, 5);
	socket = path.len && path.ptr[0] == '/'
			 ? doctor_text(doctor, STR_FMT, STR_ARG(path))
			 : doctor_text(doctor, STR_FMT "/" STR_FMT, STR_ARG(doctor_postfix_setting(doctor, "queue_directory")), STR_ARG(path));
	if (stat(socket, &st) == 0 && S_ISSOCK(st.st_mode))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Dovecot's socket for logins is at %s", socket);
	return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "dovecot: service auth { unix_listener %s { mode = 0660 user = postfix group = postfix } }", socket),
			  "smtpd_sasl_path leads to no socket: %s", socket);
}

const struct doctor_check doctor_ways_checks[] = {
	{ "receive_override_options", DOCTOR_POSTFIX, "Mail of a listener that does not come to the gate is neither limited nor on the record.",
	  look_no_milters },
	{ "smtpd_milter_maps", DOCTOR_POSTFIX, "Mail of a listener that does not come to the gate is neither limited nor on the record.",
	  look_maps },
	{ "other_milters", DOCTOR_POSTFIX, "Mail waits for a milter that is away as it does for the gate.", look_others },
	{ "once", DOCTOR_POSTFIX, "What comes twice is counted twice, and the second time nobody has logged in.", look_twice },
	{ "milter_timeouts", DOCTOR_POSTFIX, "A disk or a store that stalls for longer turns good mail away for a while.", look_timeouts },
	{ "main_cf_doubles", DOCTOR_POSTFIX, "Each program of Postfix warns of it, and with maillog_file the one that writes warnings waits for itself.",
	  look_doubles },
	{ "instances", DOCTOR_POSTFIX, "Each instance has listeners and milters of its own.", look_instances },
	{ "sasl", DOCTOR_POSTFIX, "Nobody can log in, so no tenant that is known by its login can send.", look_sasl },
	{ NULL },
};
