/* The milters that an MTA names, in its own words: which of them is the gate, and which signs. */
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>

#include "milter/tool/doctor.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

static struct str skip_blanks(struct str s)
{
	while (s.len && is_blank(s.ptr[0]))
		s = str_from(s, 1);
	return s;
}

bool doctor_next_word(struct str *rest, struct str *out)
{
	struct str s = skip_blanks(*rest);
	size_t len = 0;

	while (len < s.len && !is_blank(s.ptr[len]))
		len++;
	*out = str_slice(s, 0, len);
	*rest = str_from(s, len);
	return len > 0;
}

bool doctor_next_milter(struct str *rest, struct str *out_name, struct str *out_options)
{
	struct str s = skip_blanks(*rest), inner, left, right;
	size_t len = str_find_byte(s, '}');

	*out_options = STR_EMPTY;
	if (s.len == 0 || s.ptr[0] != '{')
		return doctor_next_word(rest, out_name);
	inner = str_trim(str_slice(s, 1, len - 1));
	*rest = str_from(s, len + 1);
	*out_name = inner;
	if (str_cut(inner, ',', &left, &right)) {
		*out_name = str_trim(left);
		*out_options = right;
	}
	return true;
}

/* --- is it ours? */

bool doctor_is_same_file(const char *a, const char *b)
{
	struct stat sa, sb;

	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &sa) == 0 && stat(b, &sb) == 0 && sa.st_dev == sb.st_dev && sa.st_ino == sb.st_ino;
}

static bool is_loopback(struct str host)
{
	if (str_starts(host, STR("[")) && str_ends(host, STR("]")))
		host = str_slice(host, 1, host.len - 2);
	return str_eq_nocase(host, STR("localhost")) || str_starts(host, STR("127.")) || str_eq(host, STR("::1"));
}

/* "port@host" of libmilter and of Sendmail, "host:port" of Postfix. */
static bool cut_inet(struct str s, struct str *out_host, struct str *out_port)
{
	return str_cut(s, '@', out_port, out_host) || str_cut_last(s, ':', out_host, out_port);
}

static bool is_our_port(struct str listen, struct str name)
{
	struct str host, port, our_host, our_port;

	if (!cut_inet(str_from(name, str_find_byte(name, ':') + 1), &host, &port) ||
	    !cut_inet(str_from(listen, str_find_byte(listen, ':') + 1), &our_host, &our_port) || !str_eq(port, our_port))
		return false;
	return str_eq_nocase(host, our_host) || (is_loopback(host) && is_loopback(our_host)) || str_starts(our_host, STR("0.0.0.0")) ||
	       str_eq(our_host, STR("::"));
}

bool doctor_is_path(struct str name)
{
	return str_starts(name, STR("unix:")) || str_starts(name, STR("local:"));
}

bool doctor_is_ours(const struct doctor *doctor, struct str name, const char *root, const char *dir)
{
	struct str listen = doctor->config->listen, path;
	char theirs[PATH_MAX], ours[PATH_MAX];

	if (str_starts(name, STR("inet")) != str_starts(listen, STR("inet")))
		return false;
	if (str_starts(name, STR("inet")))
		return is_our_port(listen, name);
	path = doctor_is_path(name) ? str_from(name, str_find_byte(name, ':') + 1) : name;
	if (path.len == 0)
		return false;
	if (path.ptr[0] == '/')
		snprintf(theirs, sizeof theirs, "%s" STR_FMT, root, STR_ARG(path));
	else
		snprintf(theirs, sizeof theirs, "%s/" STR_FMT, dir, STR_ARG(path));
	snprintf(ours, sizeof ours, STR_FMT, STR_ARG(str_from(listen, 5)));
	return doctor_is_same_file(theirs, ours);
}

/* --- does it let people log in? */

enum doctor_level doctor_say_login(struct doctor *doctor, bool has_sasl, bool has_tls, const char *sasl_fix, const char *tls_fix)
{
	for (size_t i = 0; i < doctor->config->tenant_count; i++) {
		const struct tenant *tenant = &doctor->config->tenants[i];

		if (tenant->require_tls && !has_tls)
			return doctor_say(doctor, DOCTOR_NOTE, tls_fix, "tenant " STR_FMT " must use TLS, which no listener offers",
					  STR_ARG(tenant->name));
		if (tenant->require_auth && !has_sasl)
			return doctor_say(doctor, DOCTOR_NOTE, sasl_fix, "tenant " STR_FMT " must log in, which no listener offers",
					  STR_ARG(tenant->name));
	}
	if (config_match_has(doctor->config, MATCH_AUTH) && !has_sasl)
		return doctor_say(doctor, DOCTOR_NOTE, sasl_fix,
				  "tenants are known by their logins, and no listener offers to log in");
	return doctor_say(doctor, DOCTOR_FINE, NULL, "what tenants must use, the MTA offers");
}

/* --- is it a signer? */

bool doctor_is_signer(struct str name)
{
	/* Names of sockets and hosts, then the ports that opendkim, rspamd and dkimpy-milter come with. */
	static const struct str marks[] = { STR_INIT("*dkim*"), STR_INIT("*rspam*"), STR_INIT("inet*:8891"), STR_INIT("inet*:12301"),
					    STR_INIT("inet*:11332"), STR_INIT("inet:8891@*"), STR_INIT("inet:12301@*"),
					    STR_INIT("inet:11332@*") };

	for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
		if (str_glob(marks[i], name))
			return true;
	return false;
}
