/*
 * bounce - from what a report or a log line says to one verdict.
 *
 * Knows no mail format: whoever read the report fills `struct bounce_facts`. The words about the recipient are judged by
 * the rules (policy/bounce_rules.h); when none of them fits, the report's text as a whole is tried; when none fits
 * there, a delay is `expired`, words are `onhold`, and nothing is `undefined`.
 *
 * Memory   strings point into the facts or the rules; `matched` is copied into the arena. About 60 KiB of stack
 * Bounds   BOUNCE_WORDS_MAX octets of words are judged; BOUNCE_HITS_MAX phrases that occur are weighed
 * Errors   none; with the arena used up `matched` is empty
 * The same facts give the same verdict, always.
 */
#ifndef SEKISHO_BOUNCE_H
#define SEKISHO_BOUNCE_H

#include "policy/bounce_rules.h"

#define BOUNCE_WORDS_MAX 4096
#define BOUNCE_HITS_MAX 256
#define BOUNCE_PRIORITY_DESTINATION 300        /* what one destination means by its words counts wherever they stand */

struct bounce_facts {
	struct str recipient;
	struct str diagnostic;         /* the reply alone, where the report keeps it apart */
	struct str text;               /* everything said about this recipient */
	struct str context;            /* everything said */
	struct str status;             /* of the Status field, or dsn= of a log line */
	struct str remote, reporter;   /* host that refused, host that reports */
	struct str category;
	const char *shape;             /* NULL: none */
	bool is_only;                  /* nobody else is spoken of: codes anywhere are about this recipient */
	bool is_complaint;
	bool is_delivered;
	bool is_delay;                 /* still being tried */
};

struct bounce_verdict {
	enum bounce_reason reason;
	bool is_hard;
	int reply;                     /* 0: none said */
	struct str status;             /* the most specific code said; empty: none */
	enum smtp_command command;
	const struct bounce_rule *rule;        /* NULL: none decided */
	struct str matched;            /* its phrase as it stands in the folded words; empty for conditions alone */
	struct str said;               /* the text judged, as it came: for people */
};

void bounce_judge(const struct bounce_rules *rules, const struct bounce_facts *facts, struct arena *arena,
		  struct bounce_verdict *out);

#endif
