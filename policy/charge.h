/*
 * charge - take a message's quotas in one step, and say what came of it.
 *
 * When several quotas refuse, the strictest speaks: reject before defer before hold, and among equals the one that
 * takes longest to have room, for only then all of them have. A cost above a whole limit can never fit, so it is
 * rejected even where excess is deferred; held it stays held, a person decides.
 *
 * A quota that is only monitored is taken past its limit and noted. A level of `warn_at` that the message crossed is
 * noted once a window for each quota and scope; an attempt is counted by each quota that refused it. Both are marks, made in
 * the same step as the charge. Private to policy/.
 */
#ifndef SEKISHO_POLICY_CHARGE_H
#define SEKISHO_POLICY_CHARGE_H

#include "policy/asking.h"
#include "policy/bar.h"
#include "policy/quota.h"

/* Takes the quotas of this stage under the name `id`, none for held mail; decides when they refuse, or when what is asked along
 * (bar.h) stands against the message. Without quotas and questions the store is left alone. */
void charge_take(const struct asking *a, enum quota_stage stage, struct str id);
/* Gives back what `id` took. A store that cannot is logged. */
void charge_refund(struct store *st, const struct tenant *tenant, struct str id);
/* What each quota of the plan would answer; `a->out` is not touched. */
bool charge_look(const struct asking *a, const struct quota_plan *plan, struct quota_state *out, struct err *err);

/* Fills the verdict's words about a quota: rule, scope, unit, limit, period. */
void charge_tell_quota(const struct asking *a, const struct quota_share *share);

#endif
