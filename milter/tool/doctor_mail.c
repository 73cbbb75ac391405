/* sekisho doctor: what Postfix itself does to mail that the gate let pass or waits for, and whom it believes. */
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/num.h"
#include "config/net.h"
#include "milter/tool/child.h"
#include "milter/tool/doctor.h"

#define MAP_ANSWER_MAX ((size_t)64 << 10)

static const char *of_queue(struct doctor *doctor, const char *name)
{
	return doctor_text(doctor, STR_FMT "/%s", STR_ARG(doctor_postfix_setting(doctor, "queue_directory")), name);
}

/* A pid that outlived its process may be another's by now. */
static bool is_master(struct doctor *doctor, struct str pid)
{
	struct str name;
	uint64_t n;

	return num_parse_u64(str_trim(pid), &n) &&
	       doctor_read(doctor, doctor_text(doctor, "/proc/%llu/comm", (unsigned long long)n), &name, NULL) &&
	       str_eq(str_trim(name), STR("master"));
}

static enum doctor_level look_runs(struct doctor *doctor)
{
	const char *path = of_queue(doctor, "pid/master.pid");
	struct str pid = STR_EMPTY;

	if (access(path, F_OK) == 0 && !doctor_read(doctor, path, &pid, NULL))
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "%s cannot be read", path);
	if (is_master(doctor, pid))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "Postfix runs as process " STR_FMT, STR_ARG(str_trim(pid)));
	return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "postfix -c %s start", doctor->postfix), "Postfix does not run");
}

enum doctor_level doctor_say_size(struct doctor *doctor, struct str value, const char *name, const char *fix, const char *end)
{
	uint64_t limit;

	for (size_t i = 0; num_parse_u64(value, &limit) && limit && i < doctor->config->tenant_count; i++) {
		const struct tenant *tenant = &doctor->config->tenants[i];

		if (tenant->size_max != INT64_MAX && (uint64_t)tenant->size_max > limit)
			return doctor_say(doctor, DOCTOR_NOTE, doctor_text(doctor, "%s%lld%s", fix, (long long)tenant->size_max, end),
					  "tenant " STR_FMT " may send %lld octets, and %s is " STR_FMT, STR_ARG(tenant->name),
					  (long long)tenant->size_max, name, STR_ARG(value));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no tenant may send more than the MTA takes");
}

static enum doctor_level look_size(struct doctor *doctor)
{
	return doctor_say_size(doctor, doctor_postfix_setting(doctor, "message_size_limit"), "message_size_limit",
			       "message_size_limit = ", "");
}

/* --- return paths: Postfix must take mail for their domain, and leave it to the gate to know whom it is for */

/* ".acme.example" has bounce.acme.example in it; as Postfix comes, "acme.example" of relay_domains has, too. */
static bool covers(struct str word, struct str domain)
{
	if (str_starts(word, STR(".")))
		word = str_from(word, 1);
	return word.len && domain.len > word.len && domain.ptr[domain.len - word.len - 1] == '.' && str_ends_nocase(domain, word);
}

/* "hash:/etc/postfix/relay" knows this key? */
static bool is_in_map(struct doctor *doctor, struct str map, const char *key)
{
	char *const argv[] = { (char *)doctor_postfix_program(doctor, "postmap"), (char *)"-c", (char *)doctor->postfix, (char *)"-q", (char *)key,
			       (char *)doctor_text(doctor, STR_FMT, STR_ARG(map)), NULL };
	struct str answer;
	struct err err;

	return argv[0] && child_run(argv, CHILD_OUTPUT, MAP_ANSWER_MAX, &doctor->tool->arena, &answer, &err) &&
	       answer.len;
}

/* Postfix's classes of addresses, and what knows the users of one; a relay knows none unless it is told. */
static const struct class {
	const char *domains, *users;
	bool has_relays;
} classes[] = {
	{ "mydestination", "local_recipient_maps", false },
	{ "virtual_alias_domains", "virtual_alias_maps", false },
	{ "virtual_mailbox_domains", "virtual_mailbox_maps", false },
	{ "relay_domains", "relay_recipient_maps", true },
};

/* Is the domain in its list, as a word or by a map? */
static bool is_listed(struct doctor *doctor, const struct class *class, struct str domain)
{
	struct str list = doctor_postfix_setting(doctor, class->domains), word;

	while (doctor_next_word(&list, &word)) {
		bool is_map = str_find_byte(word, ':') < word.len;

		if (str_eq_nocase(word, domain) || (class->has_relays && covers(word, domain)) ||
		    (is_map && is_in_map(doctor, word, doctor_text(doctor, STR_FMT, STR_ARG(domain)))))
			return true;
	}
	return false;
}

/* Any user of it, that is, one with an address such as ours; a pattern may want to see a whole one. */
static bool knows_all(struct doctor *doctor, const struct class *class, struct str domain)
{
	struct str maps = doctor_postfix_setting(doctor, class->users), map;

	if (maps.len == 0)
		return true;
	while (doctor_next_word(&maps, &map))
		if (is_in_map(doctor, map, doctor_text(doctor, "@" STR_FMT, STR_ARG(domain))) ||
		    is_in_map(doctor, map, doctor_text(doctor, "01jd8z6h2m3n4p5q6r7s8t9v0w-x@" STR_FMT, STR_ARG(domain))))
			return true;
	return false;
}

static enum doctor_level look_way_back(struct doctor *doctor, const struct tenant *tenant)
{
	struct str domain = tenant->return_domain, relayed = doctor_postfix_setting(doctor, "relay_domains");
	const char *relay = doctor_text(doctor, "relay_domains = " STR_FMT "%s" STR_FMT, STR_ARG(relayed), relayed.len ? ", " : "",
					STR_ARG(domain));

	for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
		if (!is_listed(doctor, &classes[i], domain))
			continue;
		if (knows_all(doctor, &classes[i], domain))
			return doctor_say(doctor, DOCTOR_FINE, NULL, "Postfix takes mail for " STR_FMT, STR_ARG(domain));
		return doctor_say(doctor, DOCTOR_FAULT,
				  classes[i].has_relays
					  ? doctor_text(doctor, "relay_recipient_maps: a line \"@" STR_FMT " OK\"", STR_ARG(domain))
					  : doctor_text(doctor, "main.cf: %s without " STR_FMT ", and %s", classes[i].domains,
							STR_ARG(domain), relay),
				  "return_path " STR_FMT " is in %s, whose users Postfix looks up: it refuses every return path",
				  STR_ARG(domain), classes[i].domains);
	}
	return doctor_say(doctor, DOCTOR_FAULT, relay, "Postfix does not take mail for return_path " STR_FMT, STR_ARG(domain));
}

static enum doctor_level look_return_paths(struct doctor *doctor)
{
	return doctor_return_domains(doctor, look_way_back);
}

/* --- who may say that he is somebody else */

static bool is_loopback(struct str word)
{
	static const struct net_prefix loopbacks[] = { { { { [10] = 0xff, [11] = 0xff, [12] = 127 } }, 104 },
						       { { { [15] = 1 } }, 128 } };
	struct net_prefix prefix;

	if (str_starts(word, STR("[")))
		word = str_slice(word, 1, str_find_byte(word, ']') - 1);
	return net_parse_prefix(word, &prefix) && ((net_prefix_covers(&loopbacks[0], &prefix.addr) && prefix.length >= 104) ||
						   (net_prefix_covers(&loopbacks[1], &prefix.addr) && prefix.length == 128));
}

static enum doctor_level look_xclient(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		const struct doctor_service *smtpd = &doctor->smtpds[i];
		struct str list = doctor_postfix_of(doctor, smtpd, "smtpd_authorized_xclient_hosts"), rest = list, word;

		while (doctor_next_word(&rest, &word))
			if (!is_loopback(word))
				return doctor_say(doctor, DOCTOR_NOTE, doctor_postfix_fix(doctor, smtpd, "smtpd_authorized_xclient_hosts", ""),
						  "%s is " STR_FMT " (" STR_FMT ")", "smtpd_authorized_xclient_hosts", STR_ARG(list),
						  STR_ARG(doctor_postfix_where(doctor, smtpd, "smtpd_authorized_xclient_hosts")));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no other host may say for whom it speaks");
}

/* --- by what tenants are known: does any listener tell it? (Of logins look_login knows.) */

static bool asks_for_certificate(struct doctor *doctor, const struct doctor_service *smtpd)
{
	return str_eq(doctor_postfix_of(doctor, smtpd, "smtpd_tls_ask_ccert"), STR("yes")) ||
	       str_eq(doctor_postfix_of(doctor, smtpd, "smtpd_tls_req_ccert"), STR("yes"));
}

static bool is_tenants_own(struct doctor *doctor, const struct doctor_service *smtpd)
{
	struct match_facts facts = { .daemon_name = doctor_postfix_of(doctor, smtpd, "milter_macro_daemon_name") };
	enum match_kind by;

	return config_match(doctor->config, &facts, &by) && by == MATCH_DAEMON;
}

static enum doctor_level look_identity(struct doctor *doctor)
{
	bool asks = false, is_named = false;
	struct str name;

	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		asks |= asks_for_certificate(doctor, &doctor->smtpds[i]);
		is_named |= is_tenants_own(doctor, &doctor->smtpds[i]);
	}
	if (config_match_has(doctor->config, MATCH_CERT) && !asks)
		return doctor_say(doctor, DOCTOR_NOTE, "smtpd_tls_ask_ccert = yes",
				  "tenants are known by their certificates, and no listener asks for one");
	if (config_match_first(doctor->config, MATCH_DAEMON, &name) && !is_named)
		return doctor_say(doctor, DOCTOR_NOTE,
				  doctor_text(doctor, "%s -P '" STR_FMT "/milter_macro_daemon_name=" STR_FMT "'",
					      doctor_postfix_postconf(doctor),
					      STR_ARG(doctor->smtpd_count ? doctor->smtpds[doctor->smtpd_count - 1].name : STR("submission/inet")),
					      STR_ARG(name)),
				  "a tenant is known by listener " STR_FMT ", and no listener has a tenant's name", STR_ARG(name));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "what tenants are known by, a listener tells");
}

/* Behind an alias the log has the address that the gate saw as orig_to, and no other. */
static enum doctor_level look_original(struct doctor *doctor)
{
	static const char *const setting = "enable_original_recipient";
	struct str value = doctor_postfix_setting(doctor, setting);

	if (str_eq(value, STR("yes")) || !config_follows_maillog(doctor->config))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "%s is " STR_FMT " (" STR_FMT ")", setting, STR_ARG(value), STR_ARG(STR("main.cf")));
	return doctor_say(doctor, DOCTOR_FAULT, "enable_original_recipient = yes", "%s is " STR_FMT " (" STR_FMT ")", setting, STR_ARG(value),
			  STR_ARG(STR("main.cf")));
}

const struct doctor_check doctor_mail_checks[] = {
	{ "postfix", DOCTOR_POSTFIX, "No mail is taken, and none that waits goes out.", look_runs },
	{ "message_size_limit", DOCTOR_POSTFIX,
	  "The MTA refuses what the tenant was promised, and the gate cannot say why.", look_size },
	{ "return_paths", DOCTOR_POSTFIX,
	  "Bounces come back to these domains; those that find no way are lost, and count nowhere.", look_return_paths },
	{ "xclient", DOCTOR_POSTFIX,
	  "These hosts may claim any address and any login, so any tenant's quota: right for a proxy of your own alone.",
	  look_xclient },
	{ "original_recipient", DOCTOR_POSTFIX, "What becomes of mail to an alias is not known as that of the address that it was sent to.",
	  look_original },
	{ "identity", DOCTOR_POSTFIX, "Nothing that such a tenant sends can be accepted.", look_identity },
	{ NULL },
};
