#include "milter/alarm.h"

#include <stdatomic.h>

#include "config/base/clock.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "milter/notify.h"
#include "policy/guard.h"

#define WORK_MAX ((size_t)4 * STORE_VALUE_MAX)

static const char *event_of(const struct guard_strike *strike)
{
	return strike->action == GUARD_NOTIFY || strike->was_suspended ? "guard" : "suspended";
}

static void write_strike(struct json *json, const struct guard_strike *strike)
{
	static const char *const actions[] = { [GUARD_NOTIFY] = "notify", [GUARD_DEFER] = "defer", [GUARD_REJECT] = "reject",
					       [GUARD_HOLD] = "hold" };

	json_member_str(json, "what", str_from_c(strike->what));
	json_member_i64(json, "count", strike->count);
	json_member_i64(json, "sample", strike->sample);
	json_key(json, "percent");
	json_milli(json, (int64_t)(100000.0 * (double)strike->count / (double)strike->sample));
	json_key(json, "bound_percent");
	json_milli(json, strike->bound * 100);
	json_member_str(json, "action", str_from_c(actions[strike->action]));
	json_member_str(json, "reason", strike->reason);
}

static void write_record(struct gate *gate, const struct tenant *tenant, const struct guard_strike *strike)
{
	struct buf detail;
	struct json json;
	struct err err;

	buf_init(&detail, NOTIFY_MAX);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "by", STR("guard"));
	write_strike(&json, strike);
	json_object_close(&json);

	const struct record_event event = { .event = str_from_c(event_of(strike)), .tenant = tenant->name,
					    .host = str_from_c(gate->node), .detail = buf_view(&detail) };
	struct record_writer *ops = gate_writer(gate, GATE_CLASS_OPS, &err);

	if (!ops || !record_append(ops, &event, RECORD_QUEUED, NULL, &err))
		log_error("ops record of the guard: %s", err.text);
	buf_clear(&detail);
}

static void tell_command(struct gate *gate, const struct config *config, const struct tenant *tenant,
			 const struct guard_strike *strike)
{
	char time[JST_TIME_LEN + 1];
	struct buf notice;
	struct json json;

	if (config->notify_command.len == 0)
		return;
	jst_format_time(clock_now_us(), time);
	buf_init(&notice, NOTIFY_MAX);
	json_init(&json, &notice);
	json_object_open(&json);
	json_member_str(&json, "event", str_from_c(event_of(strike)));
	json_member_str(&json, "time", str_from_c(time));
	json_member_str(&json, "node", str_from_c(gate->node));
	json_member_str(&json, "tenant", tenant->name);
	write_strike(&json, strike);
	json_object_close(&json);
	notify_tell(config->notify_command, buf_view(&notice));
	buf_clear(&notice);
}

bool alarm_look(struct gate *gate, const struct config *config, const struct tenant *tenant, struct err *err)
{
	struct guard_strike strike;
	struct arena arena;
	bool struck;

	if (!guard_has_bounds(tenant))
		return true;
	arena_init(&arena, WORK_MAX);

	bool ok = guard_look(gate->policy.store, tenant, &arena, &strike, &struck, err);

	if (ok && struck) {
		log_warn("tenant " STR_FMT ": " STR_FMT "%s", STR_ARG(tenant->name), STR_ARG(strike.reason),
			 strike.was_suspended ? "; it is suspended already"
			 : strike.action == GUARD_NOTIFY ? "" : "; it is suspended until `sekisho tenant resume`");
		write_record(gate, tenant, &strike);
		tell_command(gate, config, tenant, &strike);
	}
	arena_clear(&arena);
	return ok;
}

#define TENANTS_REMEMBERED 1024

void alarm_glance(struct gate *gate, const struct config *config, const struct tenant *tenant)
{
	static _Atomic int64_t not_before_us[TENANTS_REMEMBERED];      /* monotonic; tenants may share a place */
	_Atomic int64_t *not_before = &not_before_us[str_hash(tenant->name) % TENANTS_REMEMBERED];
	int64_t start_us = clock_mono_us();
	struct err err;

	if (start_us < atomic_load(not_before))
		return;
	if (!alarm_look(gate, config, tenant, &err))
		log_warn("%s", err.text);

	int64_t end_us = clock_mono_us();

	atomic_store(not_before, end_us + (end_us - start_us) * ALARM_SHARE);
}
