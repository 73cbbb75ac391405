/*
 * bounce_lint - do the rules hold together?
 *
 * A rule must win its own sample; one that does not stands in another's shadow. Two rules with the same text, priority
 * and conditions are one too many, and when their reasons differ it is chance which of them counts.
 */
#ifndef SEKISHO_BOUNCE_LINT_H
#define SEKISHO_BOUNCE_LINT_H

#include "policy/bounce.h"

/* `other` is the rule in whose shadow it stands, or its double; NULL: none. */
typedef void bounce_lint_fn(void *arg, const struct bounce_rule *rule, const char *what, const struct bounce_rule *other);

/* How many findings there were. */
size_t bounce_lint(const struct bounce_rules *rules, bounce_lint_fn *found, void *arg);

#endif
