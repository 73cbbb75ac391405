/*
 * warned - a quota reached a level of `warn_at`: the operator is told.
 *
 * Sessions must not wait for that, and hundreds of logins may reach a level of their quota together, so what they note is
 * gathered here by tenant, quota and level, and the guards' thread tells. The first is told at its next look; what reaches the
 * same level within notify.cool_down of that is told when it is over, in one notice that has the last of them and says how often.
 *
 * Told     notify.command, with one JSON object on its standard input,
 *          {"event":"warned","time","node","tenant","quota","key","percent","used","limit","times"} ("key" where the quota is
 *          not the whole tenant's), and notify.to, by mail
 * Bounds   WARNED_MAX levels that wait or cool down; one more takes the place of one that has nothing to say. While
 *          notify_is_busy they wait, so that a slow program leaves room to those that tell of a guard
 * Crash    what was not told yet is in the relay log ("warn:QUOTA:80") and in the daemon's
 * Threads  warned_note: any; warned_tell: one
 */
#ifndef SEKISHO_WARNED_H
#define SEKISHO_WARNED_H

#include "config/config.h"
#include "policy/policy.h"

#define WARNED_MAX 1024

struct warned;

struct warned *warned_new(void);                   /* NULL: out of memory */
void warned_free(struct warned *warned);

/* `note` is of a level. Where `config` tells nobody it is not kept. */
void warned_note(struct warned *warned, const struct config *config, struct str tenant, const struct policy_note *note);
/* Tells what is due at `now_us` of clock_mono_us. `own_sender` as letterbox_name made it. */
void warned_tell(struct warned *warned, const struct config *config, struct str own_sender, int64_t now_us);

#endif
