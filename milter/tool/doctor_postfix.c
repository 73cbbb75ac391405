/* sekisho doctor: does every message that passes this Postfix come to the gate, and wait for it? */
#include <string.h>

#include "milter/tool/doctor.h"

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
		const struct doctor_service *smtpd = &doctor->smtpds[i];

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
				  doctor_postfix_fix_list(doctor, smtpd),
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
	const struct doctor_service *cleanup = &doctor->cleanup;

	if (doctor_postfix_names_us(doctor, cleanup->milters, cleanup->is_chrooted))
		return doctor_say(doctor, DOCTOR_FINE, NULL, "mail that is made on this host comes to the gate too");
	return doctor_say(doctor, DOCTOR_FAULT,
			  str_eq(cleanup->milters, doctor_postfix_setting(doctor, "non_smtpd_milters"))
				  ? "non_smtpd_milters = $smtpd_milters"
				  : doctor_postfix_fix_list(doctor, cleanup),
			  "non_smtpd_milters is \"" STR_FMT "\"", STR_ARG(cleanup->milters));
}

/* What our own entry says of it in braces, or else the service. */
struct str doctor_postfix_own(struct doctor *doctor, const struct doctor_service *service, const struct doctor_own *own)
{
	struct str rest = service->milters, name, options, piece, left, right;

	while (doctor_next_milter(&rest, &name, &options))
		while (doctor_postfix_is_us(doctor, name, service->is_chrooted) && str_next(&options, ',', &piece))
			if (str_cut(piece, '=', &left, &right) && str_eq(str_trim(left), str_from_c(own->in_braces)))
				return str_trim(right);
	return doctor_postfix_of(doctor, service, own->setting);
}

enum doctor_level doctor_postfix_say_own(struct doctor *doctor, enum doctor_level level, const struct doctor_service *service,
					 const struct doctor_own *own, const char *good)
{
	struct str value = doctor_postfix_own(doctor, service, own);
	bool is_in_braces = !str_eq(value, doctor_postfix_of(doctor, service, own->setting));
	const char *setting = is_in_braces ? service->list : own->setting;

	return doctor_say(doctor, level,
			  is_in_braces ? doctor_postfix_fix_list(doctor, service) : doctor_postfix_fix(doctor, service, setting, good),
			  "%s is " STR_FMT " (" STR_FMT ")", own->setting, STR_ARG(value),
			  STR_ARG(doctor_postfix_where(doctor, service, setting)));
}

/* On every way. */
static enum doctor_level must_be(struct doctor *doctor, const struct doctor_own *own, const char *good)
{
	const struct doctor_service *service;

	for (size_t i = 0; (service = doctor_postfix_way(doctor, i)); i++)
		if (!str_eq(doctor_postfix_own(doctor, service, own), str_from_c(good)))
			return doctor_postfix_say_own(doctor, DOCTOR_FAULT, service, own, good);
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s is %s", own->setting, good);
}

static enum doctor_level look_default_action(struct doctor *doctor)
{
	return must_be(doctor, &(struct doctor_own){ "milter_default_action", "default_action" }, "tempfail");
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
	return doctor_say(doctor, DOCTOR_FAULT,
			  doctor_text(doctor, "internal_mail_filter_classes = " STR_FMT "%sbounce", STR_ARG(classes), classes.len ? ", " : ""),
			  "internal_mail_filter_classes is \"" STR_FMT "\"", STR_ARG(classes));
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
	return must_be(doctor, &(struct doctor_own){ "milter_protocol", "protocol" }, "6");
}

static enum doctor_level look_soft_bounce(struct doctor *doctor)
{
	const struct doctor_service *service;

	for (size_t i = 0; (service = doctor_postfix_way(doctor, i)); i++)
		if (str_eq(doctor_postfix_of(doctor, service, "soft_bounce"), STR("yes")))
			return doctor_say(doctor, DOCTOR_FAULT, doctor_postfix_fix(doctor, service, "soft_bounce", "no"),
					  "%s is " STR_FMT " (" STR_FMT ")", "soft_bounce", STR_ARG(STR("yes")),
					  STR_ARG(doctor_postfix_where(doctor, service, "soft_bounce")));
	return doctor_say(doctor, DOCTOR_FINE, NULL, "a refusal for good is one");
}

static enum doctor_level look_proxy_filter(struct doctor *doctor)
{
	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		const struct doctor_service *smtpd = &doctor->smtpds[i];
		struct str value = doctor_postfix_of(doctor, smtpd, "smtpd_proxy_filter");

		if (value.len && doctor_postfix_names_us(doctor, smtpd->milters, smtpd->is_chrooted))
			return doctor_say(doctor, DOCTOR_FAULT, doctor_postfix_fix(doctor, smtpd, "smtpd_proxy_filter", ""),
					  "smtpd_proxy_filter is " STR_FMT " (" STR_FMT "); content_filter would do", STR_ARG(value),
					  STR_ARG(doctor_postfix_where(doctor, smtpd, "smtpd_proxy_filter")));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no smtpd_proxy_filter stands between");
}

static enum doctor_level look_order(struct doctor *doctor)
{
	const struct doctor_service *service;

	for (size_t i = 0; (service = doctor_postfix_way(doctor, i)); i++) {
		struct str rest = service->milters, name, options;
		struct str signer = STR_EMPTY;

		while (doctor_next_milter(&rest, &name, &options)) {
			if (doctor_is_signer(name))
				signer = name;
			if (signer.len && doctor_postfix_is_us(doctor, name, service->is_chrooted))
				return doctor_say(doctor, doctor->config->needs_rewrite ? DOCTOR_FAULT : DOCTOR_NOTE,
						  doctor_postfix_fix_list(doctor, service), STR_FMT " signs before the gate sees the mail",
						  STR_ARG(signer));
		}
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "no signer stands before the gate");
}

static bool says_yes(struct doctor *doctor, const struct doctor_service *smtpd, const char *name)
{
	return str_eq(doctor_postfix_of(doctor, smtpd, name), STR("yes"));
}

static bool wants_tls(struct doctor *doctor, const struct doctor_service *smtpd)
{
	struct str level = doctor_postfix_of(doctor, smtpd, "smtpd_tls_security_level");

	return (level.len && !str_eq(level, STR("none"))) || says_yes(doctor, smtpd, "smtpd_use_tls") ||
	       says_yes(doctor, smtpd, "smtpd_enforce_tls");
}

/* Without a certificate Postfix warns, and offers none. */
static bool has_tls(struct doctor *doctor, const struct doctor_service *smtpd)
{
	static const char *const certificates[] = { "smtpd_tls_chain_files", "smtpd_tls_cert_file", "smtpd_tls_eccert_file" };
	bool has_certificate = false;

	for (size_t i = 0; i < sizeof certificates / sizeof *certificates; i++) {
		struct str file = doctor_postfix_of(doctor, smtpd, certificates[i]);

		has_certificate |= file.len && !str_eq(file, STR("none"));
	}
	return wants_tls(doctor, smtpd) && has_certificate;
}

bool doctor_postfix_has_login(struct doctor *doctor, const struct doctor_service *smtpd)
{
	return says_yes(doctor, smtpd, "smtpd_sasl_auth_enable") &&
	       (!says_yes(doctor, smtpd, "smtpd_tls_auth_only") || has_tls(doctor, smtpd));
}

static enum doctor_level look_login(struct doctor *doctor)
{
	bool any_login = false, any_tls = false, is_wanted = false, is_enabled = false;
	const char *tls_fix;

	for (size_t i = 0; i < doctor->smtpd_count; i++) {
		any_login |= doctor_postfix_has_login(doctor, &doctor->smtpds[i]);
		any_tls |= has_tls(doctor, &doctor->smtpds[i]);
		is_wanted |= wants_tls(doctor, &doctor->smtpds[i]);
		is_enabled |= says_yes(doctor, &doctor->smtpds[i], "smtpd_sasl_auth_enable");
	}
	tls_fix = is_wanted ? "smtpd_tls_chain_files = /etc/postfix/key-and-certificate.pem" : "smtpd_tls_security_level = may";
	return doctor_say_login(doctor, any_login, any_tls, is_enabled ? tls_fix : "smtpd_sasl_auth_enable = yes", tls_fix);
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
	{ "soft_bounce", DOCTOR_POSTFIX, "Senders try again for days what is refused for good, and no bounce is ever a hard one.", look_soft_bounce },
	{ "smtpd_proxy_filter", DOCTOR_POSTFIX, "Before such a filter the gate sees each message broken off, although it leaves.",
	  look_proxy_filter },
	{ "milter_order", DOCTOR_POSTFIX, "What the gate rewrites after it was signed has a broken signature.", look_order },
	{ "login", DOCTOR_POSTFIX, "Nothing that such a tenant sends can be accepted.", look_login },
	{ NULL },
};
