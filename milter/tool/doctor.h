/*
 * doctor - what `sekisho doctor` looks at: one row a check, and what the checks share.
 *
 * A check looks at one thing and says one sentence about it; when something is wrong, also the exact line that mends it.
 * Why it matters stands in its row. Nothing is changed, and nothing is asked of another host but the store.
 *
 * Levels   a fault breaks a promise of this gate; a note is worth knowing; unseen could not be looked at
 */
#ifndef SEKISHO_DOCTOR_H
#define SEKISHO_DOCTOR_H

#include <jansson.h>
#include <pwd.h>
#include <sys/stat.h>

#include "milter/tool/queue.h"
#include "milter/tool/tool.h"

enum doctor_level { DOCTOR_FINE, DOCTOR_NOTE, DOCTOR_UNSEEN, DOCTOR_FAULT, DOCTOR_LEVEL_COUNT };

/* What a check needs before it can look; without it, the check is left out. */
enum doctor_need { DOCTOR_ALWAYS, DOCTOR_CONFIG, DOCTOR_DAEMON, DOCTOR_POSTFIX, DOCTOR_SENDMAIL, DOCTOR_EMBEDDED, DOCTOR_REDIS,
		   DOCTOR_TRACKING, DOCTOR_TOKENS };

/* One service of master.cf by which mail comes in. */
struct doctor_service {
	struct str name;               /* "smtp/inet" */
	const char *list;              /* the setting that names its milters */
	struct str milters;            /* what that says, in master.cf or in main.cf */
	bool is_chrooted;
};
#define DOCTOR_SMTPDS_MAX 32

struct doctor {
	struct tool *tool;
	const struct config *config;   /* NULL: not good */
	json_t *status;                /* the daemon's; NULL: it does not answer */
	const char *etc;               /* of logrotate, journald, tmpfiles and cron */

	const char *postfix;           /* its configuration directory; NULL: not the MTA here */
	struct str main_cf, overrides; /* what `postconf -x` and `postconf -Px` printed */
	struct doctor_service smtpds[DOCTOR_SMTPDS_MAX];
	size_t smtpd_count;
	struct doctor_service pickup;  /* which takes in local mail */
	struct doctor_service cleanup; /* which asks the milters about it */

	const char *sendmail;          /* its .cf; NULL: not the MTA here */
	struct str sendmail_cf;

	struct str text, fix;          /* of the check under way */
};

struct doctor_check {
	const char *name;              /* NULL ends the table; also the name under --json */
	enum doctor_need need;
	const char *why;
	enum doctor_level (*look)(struct doctor *doctor);
};
extern const struct doctor_check doctor_gate_checks[], doctor_reach_checks[], doctor_postfix_checks[], doctor_ways_checks[],
	doctor_mail_checks[], doctor_sendmail_checks[], doctor_log_checks[], doctor_cleaner_checks[], doctor_store_checks[],
	doctor_keep_checks[];

/* The check's sentence, and the line that mends it (NULL: none). Returns `level`. */
enum doctor_level doctor_say(struct doctor *doctor, enum doctor_level level, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* What errno says of `path`: a fault that `fix` mends, or not seen for want of rights. Returns the level. */
enum doctor_level doctor_say_errno(struct doctor *doctor, const char *path, const char *fix);
/* Text of the arena, with a NUL. */
const char *doctor_text(struct doctor *doctor, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Does the MTA offer what tenants must use, or are known by? The lines that would. */
enum doctor_level doctor_say_login(struct doctor *doctor, bool has_sasl, bool has_tls, const char *sasl_fix, const char *tls_fix);
/* May a tenant send more than `value`, the setting `name` of the MTA? The number that mends it stands between `fix` and `end`. */
enum doctor_level doctor_say_size(struct doctor *doctor, struct str value, const char *name, const char *fix, const char *end);
/* `look` at a tenant of each return_path domain, until one has something wrong. */
enum doctor_level doctor_return_domains(struct doctor *doctor,
					enum doctor_level (*look)(struct doctor *doctor, const struct tenant *tenant));
/* A whole file of at most 1 MiB, in the arena. */
bool doctor_read(struct doctor *doctor, const char *path, struct str *out, struct err *err);
/* By name, or by what stands behind two names. */
bool doctor_is_same_file(const char *a, const char *b);
/* Who sekisho-milter runs as: the process' user, or the owner of the state directory. False: neither is there. */
bool doctor_daemon_user(struct doctor *doctor, uid_t *out);
/* By owner, group or others, is this user given 4 (read), 2 (write) or 1 (pass)? */
bool doctor_may(const struct passwd *user, const struct stat *st, mode_t bit);

/* One of Postfix's programs; NULL: it is not there. */
const char *doctor_postfix_program(struct doctor *doctor, const char *name);
/* Learns what Postfix is told; false: `err` says why not. */
bool doctor_postfix_read(struct doctor *doctor, struct err *err);
/* The same of a Sendmail. */
bool doctor_sendmail_read(struct doctor *doctor, const char *path, struct err *err);
/* A setting of main.cf, expanded; empty when it has none. */
struct str doctor_postfix_setting(const struct doctor *doctor, const char *name);
/* The same as this service sees it, which may have it for itself in master.cf. */
struct str doctor_postfix_of(struct doctor *doctor, const struct doctor_service *service, const char *name);
/* Where it has it from: "smtp/inet" or "main.cf". */
struct str doctor_postfix_where(struct doctor *doctor, const struct doctor_service *service, const char *name);
/* All that ask milters, one after the other: each smtpd, then cleanup. NULL: no more. */
const struct doctor_service *doctor_postfix_way(const struct doctor *doctor, size_t at);

/* Does this milter, does one of this list, come to the gate? A chrooted program looks paths up below the queue directory. */
bool doctor_postfix_is_us(const struct doctor *doctor, struct str name, bool is_chrooted);
bool doctor_postfix_names_us(const struct doctor *doctor, struct str milters, bool is_chrooted);
/* The same list with the gate in it once, and first. */
const char *doctor_postfix_us_first(struct doctor *doctor, struct str milters);
/* "postconf", with the instance that is looked at where it is not the one that postconf means by itself. */
const char *doctor_postfix_postconf(struct doctor *doctor);
/* The line for a setting that one service has for itself in master.cf, or that main.cf has for all. */
const char *doctor_postfix_fix(struct doctor *doctor, const struct doctor_service *service, const char *name, const char *value);
/* The line that puts the gate first among its milters. */
const char *doctor_postfix_fix_list(struct doctor *doctor, const struct doctor_service *service);
/* A setting that an entry of the list may have for itself, in braces and by another name. */
struct doctor_own {
	const char *setting, *in_braces;
};
/* What holds for the gate there. */
struct str doctor_postfix_own(struct doctor *doctor, const struct doctor_service *service, const struct doctor_own *own);
/* What it says instead of `good`, where, and the line. */
enum doctor_level doctor_postfix_say_own(struct doctor *doctor, enum doctor_level level, const struct doctor_service *service,
					 const struct doctor_own *own, const char *good);
bool doctor_postfix_has_login(struct doctor *doctor, const struct doctor_service *smtpd);
/* An smtpd on loopback, where a content filter of this host hands mail back that passed the gate on its way there. */
bool doctor_postfix_is_reinjection(const struct doctor_service *smtpd);
/* Words between blanks and commas: takes the next one off the list; is this one there? */
bool doctor_next_word(struct str *rest, struct str *out);
bool doctor_has_word(struct str list, struct str word);

/* --- the milters that an MTA names */

/* "unix:/p" or "local:/p", which mean the same. */
bool doctor_is_path(struct str name);
/* Whether an MTA that says `name` ("unix:/p", "inet:host:port") comes to our socket. Relative paths are below `dir`, absolute
 * ones below `root` ("": the host's own). */
bool doctor_is_ours(const struct doctor *doctor, struct str name, const char *root, const char *dir);
/* An address of a DKIM signer, as far as a name or a customary port tells. */
bool doctor_is_signer(struct str name);
/* Takes the next milter off smtpd_milters; `out_options` is what a { ... } has besides. */
bool doctor_next_milter(struct str *rest, struct str *out_name, struct str *out_options);

#endif
