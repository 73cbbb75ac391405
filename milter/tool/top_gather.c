/* The gate on one screen: what the daemon and the store say. */
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "milter/tool/daemon.h"
#include "milter/tool/top.h"
#include "policy/charge.h"
#include "policy/tally.h"
#include "policy/tenant.h"

/* A sample spends at most so long on looking tenants up; those that were seen longest ago come first. */
#define LOOK_BUDGET_US (150 * 1000)
/* Redis has to walk all its keys to find one tenant's bounces. */
#define LOOK_AGE_EMBEDDED_US US_PER_S
#define LOOK_AGE_REDIS_US (60 * US_PER_S)
#define LOOK_WORK_MAX ((size_t)16 << 20)

bool top_source_init(struct top_source *source, const struct config *config, struct store *store)
{
	*source = (struct top_source){ .config = config, .store = store };
	source->looks = calloc(TOP_TENANTS_MAX, sizeof *source->looks);
	return source->looks != NULL;
}

void top_source_clear(struct top_source *source)
{
	free(source->looks);
}

void top_clear(struct top *top)
{
	json_decref(top->status);
	top->status = NULL;
}

/* --- the store */

static bool add_bounce(void *arg, const struct tally_count *row)
{
	struct top_look *look = arg;

	if (str_eq(row->reason, STR("delivered")))
		look->delivered += row->count;
	else if (str_eq(row->reason, STR("feedback")))
		look->complaints += row->count;
	else
		look->failed += row->count;
	return true;
}

static void keep(char room[65], struct str text)
{
	snprintf(room, 65, "%.*s", (int)(text.len < 64 ? text.len : 64), text.ptr);
}

/* The tenant's own quotas; those of each login or sender are `quota show`'s. */
static bool look_at_quotas(struct top_source *source, const struct tenant *tenant, struct arena *arena, struct top_look *out,
			   struct err *err)
{
	const struct policy policy = { .store = source->store, .node = STR_EMPTY };
	const struct policy_facts nobody = { .sender = STR_EMPTY };
	struct quota_state *states = arena_array(arena, QUOTA_STATES_MAX, sizeof *states);
	double fullest = -1;
	size_t count = 0;

	if (!states || !policy_peek(&policy, source->config, tenant, &nobody, arena, states, &count, err))
		return states || err_memory(err);
	for (size_t i = 0; i < count; i++) {
		double part = states[i].limit > 0 ? (double)states[i].used / (double)states[i].limit : 1;

		if (states[i].limit == LIMIT_NONE || states[i].quota->key != KEY_TENANT || part <= fullest)
			continue;
		fullest = part;
		out->has_quota = true;
		out->used = states[i].used;
		out->limit = states[i].limit;
		keep(out->quota, states[i].quota->name);
	}
	return true;
}

static bool look_up(struct top_source *source, const struct tenant *tenant, struct top_look *out, struct err *err)
{
	int64_t today = jst_day(clock_now_us());
	struct suspension suspension;
	struct arena work;
	bool found = false;

	arena_init(&work, LOOK_WORK_MAX);

	bool ok = tenant_suspension(source->store, tenant->name, (struct member){ .kind = MEMBER_ALL }, &work, &suspension, &found, err) &&
		  look_at_quotas(source, tenant, &work, out, err) &&
		  tally_each_reason(source->store, tenant->name, today, today, add_bounce, out, err);

	out->is_suspended = (found && !suspension.is_halved) || tenant->is_suspended;
	arena_clear(&work);
	return ok;
}

static struct top_look *find_look(struct top_source *source, const char *name)
{
	for (size_t i = 0; i < source->look_count; i++)
		if (strcmp(source->looks[i].name, name) == 0)
			return &source->looks[i];
	if (source->look_count == TOP_TENANTS_MAX)
		source->look_count = 0;        /* the gate has many more than it tells at a time: begin anew */

	struct top_look *look = &source->looks[source->look_count++];

	*look = (struct top_look){ .looked_us = 0 };
	memcpy(look->name, name, strlen(name) + 1);
	return look;
}

/* False: the store failed, and `err` says how. */
static bool refresh(struct top_source *source, struct top_look *look, struct err *err)
{
	const struct tenant *tenant = config_find_tenant(source->config, str_from_c(look->name));
	struct top_look fresh = { .looked_us = clock_mono_us() };

	memcpy(fresh.name, look->name, sizeof fresh.name);
	if (tenant && !look_up(source, tenant, &fresh, err))
		return false;
	*look = fresh;
	return true;
}

static int oldest_first(const void *a, const void *b)
{
	const struct top_look *x = *(struct top_look *const *)a, *y = *(struct top_look *const *)b;

	return (x->looked_us > y->looked_us) - (x->looked_us < y->looked_us);
}

static void look_all(struct top_source *source, struct arena *arena, struct top *top)
{
	int64_t age_us = source->config->store_backend == STORE_REDIS ? LOOK_AGE_REDIS_US : LOOK_AGE_EMBEDDED_US;
	struct top_look **looks = arena_array(arena, top->count + 1, sizeof(struct top_look *));
	int64_t start_us = clock_mono_us();
	struct err err;

	if (!looks)
		return;
	for (size_t i = 0; i < top->count; i++)
		looks[i] = find_look(source, top->tenants[i].sent.name);
	qsort(looks, top->count, sizeof(struct top_look *), oldest_first);
	for (size_t i = 0; i < top->count; i++) {
		if (clock_mono_us() - start_us > LOOK_BUDGET_US || (looks[i]->looked_us && start_us - looks[i]->looked_us < age_us))
			break;
		if (!refresh(source, looks[i], &err)) {
			snprintf(top->why, sizeof top->why, "store: %.200s", err.text);
			break;
		}
	}
	for (size_t i = 0; i < top->count; i++)
		top->tenants[i].look = *find_look(source, top->tenants[i].sent.name);
}

/* --- the daemon */

static void read_kinds(const json_t *object, int64_t out[TRAFFIC_KINDS])
{
	for (size_t i = 0; i < TRAFFIC_KINDS; i++)
		out[i] = daemon_i64(object, traffic_kind_name((enum traffic_kind)i));
}

static void read_tenants(const json_t *answer, struct arena *arena, struct top *top)
{
	const json_t *list = daemon_member(answer, "tenants");
	size_t count = json_array_size(list);

	top->tenants = arena_array(arena, TOP_TENANTS_MAX, sizeof *top->tenants);
	for (size_t i = 0; top->tenants && i < count && i < TOP_TENANTS_MAX; i++) {
		const json_t *one = json_array_get(list, i);
		struct traffic_sum *sum = &top->tenants[i].sent;
		struct str name = str_slice(daemon_str(one, "name"), 0, TRAFFIC_NAME_MAX);

		*sum = (struct traffic_sum){ .last_us = 0 };
		memcpy(sum->name, name.ptr, name.len);
		read_kinds(daemon_member(one, "minute"), sum->minute);
		read_kinds(daemon_member(one, "total"), sum->total);
		if (!jst_parse_time(daemon_str(one, "last"), &sum->last_us))
			sum->last_us = 0;
		top->count = i + 1;
	}
}

/* What happened since the sample before, for each of what passed meanwhile; below 0: nothing did. */
static double each(int64_t sum, int64_t before, int64_t count, int64_t count_before)
{
	return count > count_before ? (double)(sum - before) / (double)(count - count_before) : -1;
}

static void compare(struct top_source *s, struct top *top)
{
	static const char *const verdicts[] = { "messages.accepted", "messages.deferred", "messages.rejected", "messages.held" };
	int64_t mono_us = clock_mono_us(), messages = 0;
	int64_t charges = daemon_i64(top->status, "store.charges"), charge_us = daemon_i64(top->status, "store.charge_us");
	int64_t answers = daemon_i64(top->status, "answers.count"), answer_us = daemon_i64(top->status, "answers.us");

	for (size_t i = 0; i < sizeof verdicts / sizeof *verdicts; i++)
		messages += daemon_i64(top->status, verdicts[i]);
	if (messages < s->messages || charges < s->charges)    /* another daemon than before */
		s->mono_us = s->messages = s->charges = s->charge_us = s->answers = s->answer_us = 0;
	top->rate = s->mono_us ? (double)(messages - s->messages) * 1e6 / (double)(mono_us - s->mono_us + 1) : -1;
	top->charge_us = each(charge_us, s->charge_us, charges, s->charges);
	top->answer_us = each(answer_us, s->answer_us, answers, s->answers);
	s->mono_us = mono_us;
	s->messages = messages;
	s->charges = charges;
	s->charge_us = charge_us;
	s->answers = answers;
	s->answer_us = answer_us;
}

static void remember(struct top *top)
{
	if (top->history_count == TOP_HISTORY)
		memmove(top->history, top->history + 1, --top->history_count * sizeof *top->history);
	top->history[top->history_count++] = daemon_i64(top->status, "minute.accepted") + daemon_i64(top->status, "minute.deferred") +
					     daemon_i64(top->status, "minute.rejected") + daemon_i64(top->status, "minute.held");
}

void top_gather(struct top_source *source, struct arena *arena, struct top *top)
{
	json_t *tenants = NULL;
	struct err err;

	top_clear(top);
	top->count = 0;
	top->why[0] = '\0';
	top->now_us = clock_now_us();
	if (!daemon_ask(source->config, "/status", &top->status, &err) ||
	    !daemon_ask(source->config, "/tenants", &tenants, &err)) {
		top_clear(top);
		snprintf(top->why, sizeof top->why, "%.250s", err.text);
		return;
	}
	compare(source, top);
	remember(top);
	read_tenants(tenants, arena, top);
	json_decref(tenants);
	if (source->store)
		look_all(source, arena, top);
}

/* --- for programs */

static void write_look(struct json *json, const struct top_look *look)
{
	json_member_bool(json, "suspended", look->is_suspended);
	if (look->has_quota) {
		json_key(json, "quota");
		json_object_open(json);
		json_member_str(json, "name", str_from_c(look->quota));
		json_member_i64(json, "used", look->used);
		json_member_i64(json, "limit", look->limit);
		json_object_close(json);
	}
	json_key(json, "today");
	json_object_open(json);
	json_member_i64(json, "delivered", look->delivered);
	json_member_i64(json, "bounced", look->failed);
	json_member_i64(json, "complaints", look->complaints);
	json_object_close(json);
}

void top_write_json(const struct top *top, struct json *json)
{
	for (size_t i = 0; i < top->count; i++) {
		const struct top_tenant *t = &top->tenants[i];
		char last[JST_TIME_LEN + 1];

		jst_format_time(t->sent.last_us, last);
		json_object_open(json);
		json_member_str(json, "name", str_from_c(t->sent.name));
		traffic_write_counts(json, "minute", t->sent.minute);
		traffic_write_counts(json, "total", t->sent.total);
		json_member_str(json, "last", str_from_c(last));
		if (t->look.looked_us)
			write_look(json, &t->look);
		json_object_close(json);
	}
}
