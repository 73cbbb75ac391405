#include "milter/strike.h"

#include <pthread.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/notify.h"

#define WORK_MAX ((size_t)4 * STORE_VALUE_MAX)
#define LAST_MAX 512

static const struct { const char *what; enum metric_id metric; } kinds[] = {
	{ "hard bounces", METRIC_GUARD_HARD }, { "unknown users", METRIC_GUARD_UNKNOWN },
	{ "complaints", METRIC_GUARD_COMPLAINTS }, { "volume", METRIC_GUARD_VOLUME }, { "clients", METRIC_GUARD_CLIENTS },
};

static pthread_mutex_t last_lock = PTHREAD_MUTEX_INITIALIZER;
static char last[LAST_MAX];            /* "acme: 12 hard bounces among ..."; empty: it has not struck yet */
static int64_t last_us;

static const char *event_of(const struct guard_strike *strike)
{
	if (strike->action == GUARD_NOTIFY || strike->was_suspended)
		return "guard";
	return strike->action == GUARD_HALVE ? "halved" : "suspended";
}

static void write_figures(struct json *json, const struct guard_strike *strike)
{
	json_member_str(json, "what", str_from_c(strike->what));
	json_member_i64(json, "count", strike->count);
	json_member_i64(json, "sample", strike->sample);
	if (strike->is_ratio) {
		json_key(json, "percent");
		json_milli(json, (int64_t)(100000.0 * (double)strike->count / (double)strike->sample));
		json_key(json, "bound_percent");
		json_milli(json, strike->bound * 100);
	} else {
		json_member_i64(json, "bound", strike->bound);
	}
	json_member_str(json, "action", str_from_c(guard_action_name(strike->action)));
}

/* Class ops holds no customer's data: which kind of member, and not who. */
static void write_record(struct gate *gate, const struct tenant *tenant, const struct guard_strike *strike)
{
	struct buf detail;
	struct json json;

	buf_init(&detail, NOTIFY_MAX);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "by", STR("guard"));
	if (strike->member.kind != MEMBER_ALL)
		json_member_str(&json, "member", str_from_c(member_kind_name(strike->member.kind)));
	write_figures(&json, strike);
	json_member_str(&json, "reason", strike->nameless);
	json_object_close(&json);
	gate_record(gate, str_from_c(event_of(strike)), tenant->name, &detail);
	buf_clear(&detail);
}

static void note_last(const struct tenant *tenant, const struct guard_strike *strike)
{
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		if (strcmp(kinds[i].what, strike->what) == 0)
			metrics_add(kinds[i].metric, 1);
	pthread_mutex_lock(&last_lock);
	snprintf(last, sizeof last, STR_FMT ": " STR_FMT, STR_ARG(tenant->name), STR_ARG(strike->reason));
	last_us = clock_now_us();
	pthread_mutex_unlock(&last_lock);
}

/* --- telling */

static void write_object(struct gate *gate, const struct tenant *tenant, const struct guard_strike *strike, struct buf *out)
{
	char time[JST_TIME_LEN + 1];
	struct json json;

	jst_format_time(clock_now_us(), time);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "event", str_from_c(event_of(strike)));
	json_member_str(&json, "time", str_from_c(time));
	json_member_str(&json, "node", str_from_c(gate->node));
	json_member_str(&json, "tenant", tenant->name);
	if (strike->member.kind != MEMBER_ALL)
		json_member_str(&json, member_kind_name(strike->member.kind), strike->member.name);
	write_figures(&json, strike);
	json_member_str(&json, "reason", strike->reason);
	json_object_close(&json);
}

/* A sender may have an apostrophe in his name, or a command for the shell into which a person pastes this one. */
static void write_quoted(struct str word, struct buf *out)
{
	buf_add_byte(out, '\'');
	for (size_t i = 0; i < word.len; i++)
		if (word.ptr[i] == '\'')
			buf_add_c(out, "'\\''");
		else
			buf_add_byte(out, word.ptr[i]);
	buf_add_byte(out, '\'');
}

/* What a person reads. */
static void write_letter(const struct tenant *tenant, const struct guard_strike *strike, struct buf *out)
{
	const struct member *m = &strike->member;

	buf_printf(out, "Tenant:  " STR_FMT "\n", STR_ARG(tenant->name));
	if (m->kind != MEMBER_ALL)
		buf_printf(out, "%s: " STR_FMT "\n", m->kind == MEMBER_SENDER ? "Sender" : "Login ", STR_ARG(m->name));
	buf_printf(out, "What:    " STR_FMT "\nAction:  %s%s\n", STR_ARG(strike->reason), guard_action_name(strike->action),
		   strike->was_suspended ? " (it was suspended already)" : "");
	if (strike->action == GUARD_NOTIFY || strike->was_suspended)
		return;
	buf_printf(out, "\nWhen the cause is mended:\n\n    sekisho tenant resume " STR_FMT, STR_ARG(tenant->name));
	if (m->kind != MEMBER_ALL) {
		buf_printf(out, " --%s ", member_kind_name(m->kind));
		write_quoted(m->name, out);
	}
	buf_add_byte(out, '\n');
}

static void tell(struct gate *gate, const struct config *config, const struct tenant *tenant, const struct guard_strike *strike)
{
	struct buf object, letter;
	char subject[200];

	buf_init(&object, NOTIFY_MAX);
	buf_init(&letter, NOTIFY_MAX);
	write_object(gate, tenant, strike, &object);
	write_letter(tenant, strike, &letter);
	snprintf(subject, sizeof subject, STR_FMT ": %s (%s)", STR_ARG(tenant->name), strike->what, event_of(strike));
	notify_tell(config->notify_command, &object);
	notify_mail(config, str_from_c(gate->own_sender), str_from_c(subject), &letter);
	buf_clear(&letter);
	buf_clear(&object);
}

static const char *consequence(const struct guard_strike *strike)
{
	if (strike->was_suspended)
		return "; it is suspended already";
	return strike->action == GUARD_NOTIFY ? ""
	       : strike->action == GUARD_HALVE ? "; its limits are halved until `sekisho tenant resume`"
					       : "; it is suspended until `sekisho tenant resume`";
}

bool strike_look(struct gate *gate, const struct config *config, const struct tenant *tenant, struct member member,
		 struct err *err)
{
	struct guard_strike strike;
	struct arena arena;
	bool struck;

	arena_init(&arena, WORK_MAX);

	bool ok = guard_look(gate->policy.store, tenant, member, &arena, &strike, &struck, err);

	if (ok && struck) {
		log_warn("tenant " STR_FMT ": " STR_FMT "%s", STR_ARG(tenant->name), STR_ARG(strike.reason), consequence(&strike));
		note_last(tenant, &strike);
		write_record(gate, tenant, &strike);
		if (!guard_was_told(gate->policy.store, tenant, &strike, config->notify_cool_down_us, &arena))
			tell(gate, config, tenant, &strike);
	}
	arena_clear(&arena);
	return ok;
}

void strike_write_status(struct json *json)
{
	char time[JST_TIME_LEN + 1];
	int64_t strikes = 0;

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
		strikes += metrics_read(kinds[i].metric);
	json_key(json, "guard");
	json_object_open(json);
	json_member_i64(json, "strikes", strikes);
	pthread_mutex_lock(&last_lock);
	if (last[0]) {
		jst_format_time(last_us, time);
		json_member_str(json, "last", str_from_c(last));
		json_member_str(json, "last_at", str_from_c(time));
	}
	pthread_mutex_unlock(&last_lock);
	json_object_close(json);
}
