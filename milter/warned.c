#include "milter/warned.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/notify.h"

#define KEY_MAX 400                    /* an address and more */

/* One level of one quota, by whomever it was reached last. */
struct level {
	char tenant[CONFIG_NAME_MAX + 1], quota[CONFIG_NAME_MAX + 1], key[KEY_MAX + 1];
	int percent;
	int64_t used, limit, at_us;
	int64_t times;                 /* since it was told last; 0: nothing to say */
	bool was_told;
	int64_t told_us;
};

struct warned {
	pthread_mutex_t lock;          /* over all of it */
	size_t count, next;            /* next: where the last look ended, so that each has its turn */
	struct level levels[WARNED_MAX];
};

struct warned *warned_new(void)
{
	struct warned *w = calloc(1, sizeof *w);

	if (w)
		pthread_mutex_init(&w->lock, NULL);
	return w;
}

void warned_free(struct warned *w)
{
	if (!w)
		return;
	pthread_mutex_destroy(&w->lock);
	free(w);
}

/* --- gathering */

static bool is_of(const struct level *level, struct str tenant, const struct policy_note *note)
{
	return level->percent == note->percent && str_eq(str_from_c(level->quota), note->rule) &&
	       str_eq(str_from_c(level->tenant), tenant);
}

/* NULL: as many wait as may. */
static struct level *place_of(struct warned *w, struct str tenant, const struct policy_note *note)
{
	struct level *quiet = NULL;

	for (size_t i = 0; i < w->count; i++) {
		if (is_of(&w->levels[i], tenant, note))
			return &w->levels[i];
		if (w->levels[i].times == 0)
			quiet = &w->levels[i];
	}

	struct level *place = w->count < WARNED_MAX ? &w->levels[w->count++] : quiet;

	if (place)
		*place = (struct level){ .percent = note->percent };
	return place;
}

static void write_level(struct level *level, struct str tenant, const struct policy_note *note)
{
	snprintf(level->tenant, sizeof level->tenant, STR_FMT, STR_ARG(tenant));
	snprintf(level->quota, sizeof level->quota, STR_FMT, STR_ARG(note->rule));
	snprintf(level->key, sizeof level->key, STR_FMT, STR_ARG(note->scope));
	level->used = note->used;
	level->limit = note->limit;
	level->at_us = clock_now_us();
	level->times++;
}

void warned_note(struct warned *w, const struct config *config, struct str tenant, const struct policy_note *note)
{
	struct level *level;

	if (config->notify_command.len == 0 && config->notify_to.count == 0)
		return;
	pthread_mutex_lock(&w->lock);
	level = place_of(w, tenant, note);
	if (level)
		write_level(level, tenant, note);
	pthread_mutex_unlock(&w->lock);
	if (level)
		return;
	metrics_add(METRIC_NOTICE_FAILURES, 1);
	log_error("the operator is not told: %d levels of quotas wait already", WARNED_MAX);
}

/* --- telling */

static void write_object(const struct level *level, const struct config *config, struct buf *out)
{
	char time[JST_TIME_LEN + 1];
	struct json json;

	jst_format_time(level->at_us, time);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "event", STR("warned"));
	json_member_str(&json, "time", str_from_c(time));
	json_member_str(&json, "node", config->node);
	json_member_str(&json, "tenant", str_from_c(level->tenant));
	json_member_str(&json, "quota", str_from_c(level->quota));
	json_member_str_opt(&json, "key", str_from_c(level->key));
	json_member_i64(&json, "percent", level->percent);
	json_member_i64(&json, "used", level->used);
	json_member_i64(&json, "limit", level->limit);
	json_member_i64(&json, "times", level->times);
	json_object_close(&json);
}

/* What a person reads. */
static void write_letter(const struct level *level, struct buf *out)
{
	buf_printf(out, "Tenant:  %s\nQuota:   %s\n", level->tenant, level->quota);
	if (level->key[0])
		buf_printf(out, "Whose:   %s\n", level->key);
	buf_printf(out, "Used:    %lld of %lld\n", (long long)level->used, (long long)level->limit);
	if (level->times > 1)
		buf_printf(out, "Times:   %lld since it was told of last; this is the latest\n", (long long)level->times);
	buf_printf(out, "\nHow it stands now:\n\n    sekisho quota show %s\n", level->tenant);
}

static void tell(const struct level *level, const struct config *config, struct str own_sender)
{
	struct buf object, letter;
	char subject[200];

	buf_init(&object, NOTIFY_MAX);
	buf_init(&letter, NOTIFY_MAX);
	write_object(level, config, &object);
	write_letter(level, &letter);
	snprintf(subject, sizeof subject, "%s: quota %s at %d %%", level->tenant, level->quota, level->percent);
	notify_tell(config->notify_command, &object);
	notify_mail(config, own_sender, str_from_c(subject), &letter);
	buf_clear(&letter);
	buf_clear(&object);
}

static bool is_due(const struct level *level, int64_t cool_down_us, int64_t now_us)
{
	return level->times && (!level->was_told || now_us - level->told_us >= cool_down_us);
}

/* The next that is due, from where the last look ended; from now on it is told. `left` are those not looked at yet. */
static bool take_due(struct warned *w, int64_t cool_down_us, int64_t now_us, size_t *left, struct level *out)
{
	bool found = false;

	pthread_mutex_lock(&w->lock);
	for (; *left && !found; (*left)--) {
		struct level *level = &w->levels[w->next++ % w->count];

		found = is_due(level, cool_down_us, now_us);
		if (!found)
			continue;
		*out = *level;
		level->was_told = true;
		level->told_us = now_us;
		level->times = 0;
	}
	pthread_mutex_unlock(&w->lock);
	return found;
}

void warned_tell(struct warned *w, const struct config *config, struct str own_sender, int64_t now_us)
{
	struct level level;
	size_t left;

	pthread_mutex_lock(&w->lock);
	left = w->count;
	pthread_mutex_unlock(&w->lock);
	while (!notify_is_busy() && take_due(w, config->notify_cool_down_us, now_us, &left, &level))
		tell(&level, config, own_sender);
}
