/*
 * asking - one question to the policy, on its way through the steps that answer it.
 *
 * Begins with "accepted"; a step that objects decides otherwise. Private to policy/.
 */
#ifndef SEKISHO_POLICY_ASKING_H
#define SEKISHO_POLICY_ASKING_H

#include "policy/policy.h"

struct asking {
	const struct policy *policy;
	const struct config *config;
	const struct tenant *tenant;
	const struct policy_facts *facts;
	struct arena *arena;
	struct verdict *out;
	unsigned long shortages;       /* of memory, when it was asked */
};

void asking_begin(struct asking *a);

/* A later answer replaces an earlier one (held, then refused) with all that explained it; its notes stay. */
void asking_decide(const struct asking *a, enum verdict_action action, enum verdict_reason reason, struct str rule);
/* A monitored rule is told once, however many recipients or domains it stands against; beyond POLICY_NOTES_MAX notes are
 * dropped. A warning comes but once a window, so there must be room for it. */
void asking_note(const struct asking *a, struct policy_note note);

/* By on_store_failure, unless it was memory that ran out here. `local` was tried by the store itself: a message whose limits
 * nobody knows waits. */
void asking_store_failed(const struct asking *a, const struct err *err);
void asking_no_memory(const struct asking *a);

/* It is judged at its end: nobody sends the rest of it in another message. */
bool asking_is_whole(const struct asking *a);
bool asking_is_refused(const struct asking *a);
enum verdict_action asking_action(enum excess_action action);

#endif
