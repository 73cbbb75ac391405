/*
 * bounce_rules - what mail servers say, and what it means: rules as data, compiled once.
 *
 * A file of rows (config/bounce-rules.yaml; an operator may have one that goes before), each with an id, a priority, a
 * reason, a phrase or conditions or both, and a sample that the row itself must win:
 *
 *     - { id: full-1, priority: 80, reason: mailboxfull, text: "mailbox full", sample: "552 5.2.2 Mailbox full" }
 *
 *     text       a phrase, compared folded (config/base/words.h): case, punctuation, codes and addresses do not matter.
 *                Whole words; `*` at an end lets a word go on; `a .. b`: b after a, at most RULES_GAP_MAX octets apart
 *     not        a phrase that must not occur
 *     reply      the reply code begins so: "5", "55", "550"
 *     status     the enhanced code matches: "5.1.1", "?.1.1", "5.7.*"; several with blanks between
 *     command    CONNECT HELO STARTTLS AUTH MAIL RCPT DATA QUIT; several with blanks between
 *     host       the refusing host, the recipient's domain or the reporting host ends so; several with blanks between
 *     shape      the report's shape
 *     category   X-PowerMTA-BounceCategory
 *     address    yes or no: the words do or do not name an address
 *     later      the reason instead, when the refusal did not come at RCPT and no x.1.x code says that it is the address
 *     sample     a text; the host, shape and category of the row are assumed
 *
 * Of all rows that match, the highest priority wins, then the longest phrase, then the earliest in the text, then the
 * first row. A row without text is tried like any other. Words of a web address count only where the sentence around it
 * says little or nothing.
 *
 * Memory   an arena of their own; never changed after loading, freed by bounce_rules_free
 * Errors   into the report, with file:line:column
 * Bounds   RULES_MAX rows in all
 * Threads  any number may use one set
 */
#ifndef SEKISHO_BOUNCE_RULES_H
#define SEKISHO_BOUNCE_RULES_H

#include "config/config_report.h"
#include "config/base/phrase.h"
#include "policy/bounce_reason.h"
#include "policy/bounce_said.h"

#define RULES_MAX 6000
#define RULES_TRACKED_MAX 2000         /* rows whose text has several parts, or with `not` */
#define RULES_GAP_MAX 60
#define RULE_PARTS_MAX 4
#define RULE_TEXT_MAX 200

enum rule_address { RULE_ADDRESS_ANY, RULE_ADDRESS_YES, RULE_ADDRESS_NO };

struct bounce_rule {
	struct str id;
	struct str text, sample;       /* as written */
	struct str without;
	struct str reply, status, host, shape, category;
	uint32_t commands;             /* bit set of enum smtp_command; 0: any */
	enum rule_address address;
	enum bounce_reason reason, later;
	bool has_later;
	int priority;
	size_t parts;                  /* of the phrase; 0: conditions alone */
	size_t length;                 /* of the phrase, folded */
	size_t track;                  /* where its progress is kept: number among rules with several parts, or with `not` */
	struct config_place place;
};

/* A phrase of the automaton belongs to a rule's part, forbids a rule, or tells a command. */
struct bounce_phrase {
	enum { PHRASE_PART, PHRASE_NOT, PHRASE_COMMAND } kind;
	uint16_t rule, part;           /* PHRASE_COMMAND: rule is the command */
	uint16_t length;
};

struct bounce_rules {
	struct arena arena;
	struct bounce_rule *rules;
	size_t count, own_count;       /* the operator's own come first */
	size_t *plain;                 /* rules without text */
	size_t plain_count;
	size_t track_count;
	struct phrase_set *set;
	struct bounce_phrase *phrases;
	size_t phrase_count;
};

/* These rows and no others. `path` for the errors. False: `report` has an error at least. */
bool bounce_rules_load(struct str text, const char *path, struct bounce_rules **out, struct config_report *report);
/*
 * The rows of an operator's file before those that came with the program; one with an id of theirs replaces it, and a file
 * that says `alone: true` has them all gone. `named_in`: the configuration to be looked at when there is no such file; may be
 * empty.
 */
bool bounce_rules_load_file(const char *path, struct str named_in, struct bounce_rules **out, struct config_report *report);
/* The rules that came with the program. */
bool bounce_rules_load_default(struct bounce_rules **out, struct config_report *report);
void bounce_rules_free(struct bounce_rules *rules);

#endif
