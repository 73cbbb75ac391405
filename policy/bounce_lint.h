/*
 * bounce_lint - do the rules hold together?
 *
 * A rule must win its own sample; one that does not stands in another's shadow. Two rules with the same text and
 * conditions are one too many. Where text and priority are the same, the reasons differ, and the conditions can be true at
 * once, only their places in the file decide: that is ambiguous. (A rule without a sample is an error at load.)
 */
#ifndef SEKISHO_BOUNCE_LINT_H
#define SEKISHO_BOUNCE_LINT_H

#include "policy/bounce.h"

/* `other` is the rule in whose shadow it stands, or its double; NULL: none. */
typedef void bounce_lint_fn(void *arg, const struct bounce_rule *rule, const char *what, const struct bounce_rule *other);

/* How many findings there were. */
size_t bounce_lint(const struct bounce_rules *rules, bounce_lint_fn *found, void *arg);

#endif
