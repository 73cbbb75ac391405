/* sekisho doctor: what others must be able to find or reach, and what the MTA really tells. */
#include <arpa/nameser.h>
#include <netdb.h>
#include <resolv.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/tool/daemon.h"
#include "milter/tool/doctor.h"

#define HOSTS_MAX 20                   /* that are looked up: a resolver that is away costs seconds each */

/* --- tracking hosts */

/* 0, or why not (EAI_...). */
static int resolve(struct doctor *doctor, struct str host)
{
	const struct addrinfo hints = { .ai_socktype = SOCK_STREAM };
	struct addrinfo *found = NULL;
	int why = getaddrinfo(doctor_text(doctor, STR_FMT, STR_ARG(host)), "443", &hints, &found);

	if (why == 0)
		freeaddrinfo(found);
	return why;
}

static bool is_new(const struct str *hosts, size_t count, struct str host)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq_nocase(hosts[i], host))
			return false;
	return count < HOSTS_MAX;
}

static enum doctor_level look_tracking_dns(struct doctor *doctor)
{
	struct str hosts[HOSTS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < doctor->config->tenant_count; i++) {
		const struct tenant *tenant = &doctor->config->tenants[i];
		int why;

		if (!config_tenant_tracks(tenant) || !is_new(hosts, count, tenant->tracking_host))
			continue;
		hosts[count++] = tenant->tracking_host;
		why = resolve(doctor, tenant->tracking_host);
		if (why == EAI_AGAIN)
			return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the resolver does not answer, so " STR_FMT " cannot be looked up",
					  STR_ARG(tenant->tracking_host));
		if (why)
			return doctor_say(doctor, DOCTOR_FAULT,
					  doctor_text(doctor, STR_FMT ". IN A 192.0.2.1   ; the address of your TLS proxy", STR_ARG(tenant->tracking_host)),
					  "tracking.host " STR_FMT " of tenant " STR_FMT " has no address", STR_ARG(tenant->tracking_host),
					  STR_ARG(tenant->name));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%zu tracking hosts have addresses", count);
}

/* --- domains of return paths */

/* Who takes a domain's mail (RFC 5321 5.1). */
enum mx { MX_HOST, MX_NONE, MX_NULL, MX_ADDRESS, MX_NO_ANSWER };

/* The first of its MX: RFC 7505's "." says that it takes no mail at all. */
static enum mx first_mx(struct doctor *doctor, const char *domain, char host[NS_MAXDNAME])
{
	unsigned char answer[NS_PACKETSZ * 8];
	int len = res_query(domain, ns_c_in, ns_t_mx, answer, sizeof answer);
	ns_msg msg;
	ns_rr rr;

	if (len < 0 && h_errno == TRY_AGAIN)
		return MX_NO_ANSWER;
	if (len >= 0 && ns_initparse(answer, len, &msg) == 0)
		for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++)
			if (ns_parserr(&msg, ns_s_an, i, &rr) == 0 && ns_rr_type(rr) == ns_t_mx && ns_rr_rdlen(rr) > 2 &&
			    ns_name_uncompress(ns_msg_base(msg), ns_msg_end(msg), ns_rr_rdata(rr) + 2, host, NS_MAXDNAME) >= 0)
				return *host && strcmp(host, ".") != 0 ? MX_HOST : MX_NULL;
	int why = resolve(doctor, str_from_c(domain));

	return why == 0 ? MX_ADDRESS : why == EAI_AGAIN ? MX_NO_ANSWER : MX_NONE;
}

static enum doctor_level say_mx(struct doctor *doctor, const struct tenant *tenant, enum mx mx, const char *host)
{
	struct str domain = tenant->return_domain;
	const char *fix = doctor_text(doctor, STR_FMT ". IN MX 10 %s.   ; this relay", STR_ARG(domain), doctor->config->node.ptr);

	if (mx == MX_NO_ANSWER)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the resolver does not answer, so " STR_FMT " cannot be looked up",
				  STR_ARG(domain));
	if (mx == MX_NONE)
		return doctor_say(doctor, DOCTOR_FAULT, fix, "return_path " STR_FMT " of tenant " STR_FMT " has no MX and no address",
				  STR_ARG(domain), STR_ARG(tenant->name));
	if (mx == MX_NULL)
		return doctor_say(doctor, DOCTOR_FAULT, fix, "return_path " STR_FMT " of tenant " STR_FMT " takes no mail (its MX is \".\")",
				  STR_ARG(domain), STR_ARG(tenant->name));
	if (mx == MX_ADDRESS)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "mail to " STR_FMT " goes to its own address", STR_ARG(domain));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "mail to " STR_FMT " goes to %s", STR_ARG(domain), host);
}

enum doctor_level doctor_return_domains(struct doctor *doctor, enum doctor_level (*look)(struct doctor *doctor, const struct tenant *tenant))
{
	enum doctor_level level = doctor_say(doctor, DOCTOR_FINE, NULL, "no tenant has a return_path");
	struct str domains[HOSTS_MAX];
	size_t count = 0;

	for (size_t i = 0; i < doctor->config->tenant_count && level == DOCTOR_FINE; i++) {
		const struct tenant *tenant = &doctor->config->tenants[i];

		if (!tenant->return_domain.len || !is_new(domains, count, tenant->return_domain))
			continue;
		domains[count++] = tenant->return_domain;
		level = look(doctor, tenant);
	}
	return level;
}

static enum doctor_level look_domain_mx(struct doctor *doctor, const struct tenant *tenant)
{
	char host[NS_MAXDNAME] = "";

	return say_mx(doctor, tenant, first_mx(doctor, doctor_text(doctor, STR_FMT, STR_ARG(tenant->return_domain)), host), host);
}

static enum doctor_level look_return_dns(struct doctor *doctor)
{
	return doctor_return_domains(doctor, look_domain_mx);
}

/* --- and whether they may send: SPF is asked about the envelope sender (RFC 7208 2.4) */

#define SPF_MAX 1024                   /* octets that are looked at: longer ones say more than that nobody sends */

/* The strings of one TXT record, one after the other (RFC 7208 3.3). */
static struct str txt_of(const ns_rr *rr, char text[SPF_MAX])
{
	const unsigned char *data = ns_rr_rdata(*rr), *end = data + ns_rr_rdlen(*rr);
	size_t len = 0;

	for (; data < end && data[0] < end - data; data += 1 + data[0]) {
		size_t take = data[0] < SPF_MAX - len ? data[0] : SPF_MAX - len;

		memcpy(text + len, data + 1, take);
		len += take;
	}
	return str_of(text, len);
}

/* How many SPF records it has (-1: nobody answers); the last of them. */
static int find_spf(const char *domain, char text[SPF_MAX], struct str *out)
{
	unsigned char answer[NS_PACKETSZ * 8];
	int len = res_query(domain, ns_c_in, ns_t_txt, answer, sizeof answer), count = 0;
	ns_msg msg;
	ns_rr rr;

	if (len < 0)
		return h_errno == TRY_AGAIN ? -1 : 0;
	if (len > (int)sizeof answer || ns_initparse(answer, len, &msg) != 0)
		return -1;
	for (int i = 0; i < ns_msg_count(msg, ns_s_an); i++)
		if (ns_parserr(&msg, ns_s_an, i, &rr) == 0 && ns_rr_type(rr) == ns_t_txt) {
			struct str one = txt_of(&rr, text);

			if (!str_eq_nocase(one, STR("v=spf1")) && !str_starts_nocase(one, STR("v=spf1 ")))
				continue;
			*out = one;
			count++;
		}
	return count;
}

static enum doctor_level look_domain_spf(struct doctor *doctor, const struct tenant *tenant)
{
	struct str domain = tenant->return_domain, spf = STR_EMPTY;
	const char *fix = doctor_text(doctor, STR_FMT ". IN TXT \"v=spf1 mx -all\"   ; mx: its MX sends", STR_ARG(domain));
	char text[SPF_MAX];
	int count = find_spf(doctor_text(doctor, STR_FMT, STR_ARG(domain)), text, &spf);

	if (count < 0)
		return doctor_say(doctor, DOCTOR_UNSEEN, NULL, "the resolver does not answer, so " STR_FMT " cannot be looked up",
				  STR_ARG(domain));
	if (count > 1)
		return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "%s; and no other", fix), STR_FMT " has %d SPF records",
				  STR_ARG(domain), count);
	if (count == 1 && str_eq_nocase(str_trim(spf), STR("v=spf1 -all")))
		return doctor_say(doctor, DOCTOR_FAULT, fix, "the SPF record of " STR_FMT " says that nobody sends for it", STR_ARG(domain));
	if (count == 0)
		return doctor_say(doctor, DOCTOR_NOTE, fix, STR_FMT " has no SPF record", STR_ARG(domain));
	return doctor_say(doctor, DOCTOR_FINE, NULL, STR_FMT " has an SPF record", STR_ARG(domain));
}

static enum doctor_level look_return_spf(struct doctor *doctor)
{
	return doctor_return_domains(doctor, look_domain_spf);
}

/* --- the tracking endpoint */

static bool can_connect(struct str listen)
{
	struct sockaddr_storage address;
	socklen_t len;
	bool ok;
	int fd;

	if (!net_parse_listen(listen, &address, &len))
		return false;
	fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ok = fd >= 0 && connect(fd, (const void *)&address, len) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

static enum doctor_level look_endpoint(struct doctor *doctor)
{
	struct str listen = doctor->config->tracking_listen;

	if (can_connect(listen))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "sekisho-track answers at " STR_FMT, STR_ARG(listen));
	return doctor_say(doctor, DOCTOR_FAULT, "systemctl enable --now sekisho-track", "nobody answers at " STR_FMT " (tracking.listen)",
			  STR_ARG(listen));
}

/* --- the MTA's macros */

static bool has_macro(const struct doctor *doctor, const char *path, const char *name)
{
	const json_t *list = daemon_member(doctor->status, path);

	for (size_t i = 0; i < json_array_size(list); i++)
		if (str_eq(str_from_c(json_string_value(json_array_get(list, i))), str_from_c(name)))
			return true;
	return false;
}

static const char *macros_fix(struct doctor *doctor, const char *name)
{
	if (str_eq(str_from_c(name), STR("{auth_authen}")))
		return doctor->postfix ? "smtpd_sasl_auth_enable = yes" : "define(`confAUTH_MECHANISMS', `PLAIN LOGIN')dnl";
	if (str_eq(str_from_c(name), STR("{cert_subject}")))
		return doctor->postfix ? "smtpd_tls_ask_ccert = yes" : "define(`confCACERT', `/etc/mail/tls/ca.pem')dnl";
	/* Postfix's own lists have what is asked for; libmilter finds a macro of an earlier stage as well. */
	return doctor->postfix ? doctor_text(doctor, "%s -X milter_connect_macros milter_mail_macros milter_rcpt_macros milter_data_macros "
					     "milter_end_of_header_macros milter_end_of_data_macros && postfix -c %s reload",
					     doctor_postfix_postconf(doctor), doctor->postfix)
			       : "sendmail.mc: remove confMILTER_MACROS_ENVFROM, confMILTER_MACROS_DATA and confMILTER_MACROS_EOM";
}

/* A login is not on every message: that none has come is only worth knowing. */
static enum doctor_level look_macros(struct doctor *doctor)
{
	int64_t messages = daemon_i64(doctor->status, "macros.eom.count"), mails = daemon_i64(doctor->status, "macros.mail.count");
	const struct {
		const char *path, *name;
		bool is_needed;
		enum doctor_level level;
	} rows[] = {
		{ "macros.eom.seen", "i", messages > 0, DOCTOR_FAULT },
		{ "macros.mail.seen", "{daemon_name}", mails > 0 && config_match_has(doctor->config, MATCH_DAEMON), DOCTOR_FAULT },
		{ "macros.mail.seen", "{auth_authen}", mails > 0 && config_match_has(doctor->config, MATCH_AUTH), DOCTOR_NOTE },
		{ "macros.mail.seen", "{cert_subject}", mails > 0 && config_match_has(doctor->config, MATCH_CERT), DOCTOR_NOTE },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (rows[i].is_needed && !has_macro(doctor, rows[i].path, rows[i].name))
			return doctor_say(doctor, rows[i].level, macros_fix(doctor, rows[i].name),
					  "the MTA has not once told %s, in %lld messages since the start", rows[i].name, (long long)mails);
	if (mails == 0)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "no mail has come since the start, so no macros");
	return doctor_say(doctor, DOCTOR_FINE, NULL, "the MTA tells what the configuration asks for");
}

/* --- scripts of this host */

static enum doctor_level look_submit(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->submit_socket));

	if (!*path)
		return doctor_say(doctor, DOCTOR_FINE, NULL, "scripts' mail is not told apart by user (submit.socket is none)");
	if (access(path, R_OK | W_OK) != 0)
		return doctor_say(doctor, DOCTOR_FAULT, "systemctl restart sekisho-milter", "sekisho-sendmail cannot ask at %s", path);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "sekisho-sendmail can ask at %s", path);
}

const struct doctor_check doctor_reach_checks[] = {
	{ "macros", DOCTOR_DAEMON, "Tenants are found, and outcomes joined to messages, by what the MTA tells beside its commands.",
	  look_macros },
	{ "submit", DOCTOR_CONFIG, "While it cannot ask, scripts of this host cannot send.", look_submit },
	{ "tracking_endpoint", DOCTOR_TRACKING, "Every link of tracked mail leads there; while it is away, readers see dead links.",
	  look_endpoint },
	{ "tracking_dns", DOCTOR_TRACKING, "Readers look these names up; without an address no link of tracked mail works.",
	  look_tracking_dns },
	{ "return_path_dns", DOCTOR_CONFIG, "Bounces come back to these domains; those that find no way are lost, and count nowhere.",
	  look_return_dns },
	{ "return_path_spf", DOCTOR_CONFIG, "It is the envelope sender now, and what SPF is asked about: mail that fails is refused or is spam.",
	  look_return_spf },
	{ NULL },
};
