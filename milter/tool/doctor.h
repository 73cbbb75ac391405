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

#include "milter/tool/tool.h"

enum doctor_level { DOCTOR_FINE, DOCTOR_NOTE, DOCTOR_UNSEEN, DOCTOR_FAULT, DOCTOR_LEVEL_COUNT };

/* What a check needs before it can look; without it, the check is left out. */
enum doctor_need { DOCTOR_ALWAYS, DOCTOR_CONFIG, DOCTOR_DAEMON, DOCTOR_POSTFIX, DOCTOR_SENDMAIL, DOCTOR_EMBEDDED, DOCTOR_REDIS, DOCTOR_TRACKING };

/* One smtpd of master.cf. */
struct doctor_smtpd {
	struct str name;               /* "smtp/inet" */
	struct str milters;            /* this and what follows: as it has them, from master.cf or main.cf */
	struct str default_action, receive_options, content_filter;
	bool has_own_milters, has_own_action, has_own_options;          /* from master.cf */
	bool has_login, has_tls;       /* it offers AUTH, STARTTLS */
	bool is_chrooted;
};
#define DOCTOR_SMTPDS_MAX 32

#define POSTFIX_DIR "/etc/postfix"
#define SENDMAIL_CF "/etc/mail/sendmail.cf"

struct doctor {
	struct tool *tool;
	const struct config *config;   /* NULL: not good */
	json_t *status;                /* the daemon's; NULL: it does not answer */
	const char *etc;               /* of logrotate and journald */

	const char *postfix;           /* its configuration directory; NULL: not the MTA here */
	struct str main_cf;            /* what `postconf -x` printed */
	struct doctor_smtpd smtpds[DOCTOR_SMTPDS_MAX];
	size_t smtpd_count;
	bool is_cleanup_chrooted;
	struct doctor_smtpd pickup;    /* what takes in local mail: name and receive_options alone */

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
	doctor_sendmail_checks[], doctor_log_checks[], doctor_store_checks[], doctor_keep_checks[];

/* The check's sentence, and the line that mends it (NULL: none). Returns `level`. */
enum doctor_level doctor_say(struct doctor *doctor, enum doctor_level level, const char *fix, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));
/* What errno says of `path`: a fault that `fix` mends, or not seen for want of rights. Returns the level. */
enum doctor_level doctor_say_errno(struct doctor *doctor, const char *path, const char *fix);
/* Text of the arena, with a NUL. */
const char *doctor_text(struct doctor *doctor, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Does the MTA offer what tenants must use, or are known by? The lines that would. */
enum doctor_level doctor_say_login(struct doctor *doctor, bool has_sasl, bool has_tls, const char *sasl_fix, const char *tls_fix);
/* A whole file of at most 1 MiB, in the arena. */
bool doctor_read(struct doctor *doctor, const char *path, struct str *out, struct err *err);
/* Who sekisho-milter runs as: the process' user, or the owner of the state directory. False: neither is there. */
bool doctor_daemon_user(struct doctor *doctor, uid_t *out);
/* By owner, group or others, is this user given 4 (read), 2 (write) or 1 (pass)? */
bool doctor_may(const struct passwd *user, const struct stat *st, mode_t bit);

/* Learns what Postfix is told; false: `err` says why not. */
bool doctor_postfix_read(struct doctor *doctor, struct err *err);
/* A setting of main.cf, expanded; empty when it has none. */
struct str doctor_postfix_setting(const struct doctor *doctor, const char *name);

/* Does this list come to the gate? A chrooted program looks paths up below the queue directory. */
bool doctor_postfix_names_us(const struct doctor *doctor, struct str milters, bool is_chrooted);
/* The same list with the gate in it once, and first. */
const char *doctor_postfix_us_first(struct doctor *doctor, struct str milters);
/* The line for a setting that one service has for itself in master.cf, or that main.cf has for all. */
const char *doctor_postfix_fix(struct doctor *doctor, const struct doctor_smtpd *smtpd, bool is_own, const char *name, const char *value);
/* An smtpd on loopback, where a content filter of this host hands mail back that passed the gate on its way there. */
bool doctor_postfix_is_reinjection(const struct doctor_smtpd *smtpd);
/* Words between blanks and commas: takes the next one off the list; is this one there? */
bool doctor_next_word(struct str *rest, struct str *out);
bool doctor_has_word(struct str list, struct str word);

/* --- the milters that an MTA names */

/* Whether an MTA that says `name` ("unix:/p", "inet:host:port") comes to our socket. Relative paths are below `dir`, absolute
 * ones below `root` ("": the host's own). */
bool doctor_is_ours(const struct doctor *doctor, struct str name, const char *root, const char *dir);
/* An address of a DKIM signer, as far as a name or a customary port tells. */
bool doctor_is_signer(struct str name);
/* Takes the next milter off smtpd_milters; `out_options` is what a { ... } has besides. */
bool doctor_next_milter(struct str *rest, struct str *out_name, struct str *out_options);

#endif
