#include "policy/tally.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "policy/guard.h"
#include "policy/key.h"

#define WORK_MAX ((size_t)32 << 10)
#define DELIVERED STR("delivered")

/* With the relay log's file of that day. */
int64_t tally_end_us(const struct record_class *class, int64_t day)
{
	return jst_day_start_us(retention_purge_day(class->keep, day));
}

struct tally {
	struct store *st;
	const struct tenant *tenant;
	struct arena arena;
	char date[JST_DATE_LEN + 1];
	int64_t ttl_us;
	struct str once;               /* the key that is_first marked; empty: none */
};

static bool begin(struct tally *t, struct store *st, const struct config *config, const struct tenant *tenant,
		  struct err *err)
{
	const struct record_class *class = config_find_class(config, config_bounce_class(tenant));
	int64_t now_us = clock_now_us(), day = jst_day(now_us);

	*t = (struct tally){ .st = st, .tenant = tenant };
	arena_init(&t->arena, WORK_MAX);
	if (!class)
		return err_set(err, ERR_CONFIG, "there is no class " STR_FMT, STR_ARG(config_bounce_class(tenant)));
	jst_format_date(day, t->date);
	t->ttl_us = tally_end_us(class, day) - now_us;
	return true;
}

static bool count(struct tally *t, struct str key, int64_t n, int64_t ttl_us, int64_t *out_total, struct err *err)
{
	return t->st->ops->count_add(t->st, key, n, ttl_us, out_total, err);
}

static bool count_reason(struct tally *t, struct str reason, bool is_hard, int64_t n, struct err *err)
{
	struct str key, part;
	int64_t total;

	return ((key_part(reason, false, &t->arena, &part) &&
		 arena_printf(&t->arena, &key, "sekisho:{" STR_FMT "}:bounce:%s:" STR_FMT ":%s", STR_ARG(t->tenant->name),
			      t->date, STR_ARG(part), is_hard ? "hard" : "soft")) ||
		err_memory(err)) &&
	       count(t, key, n, t->ttl_us, &total, err);
}

static bool count_domain(struct tally *t, struct str recipient, bool is_hard, struct err *err)
{
	struct str local, domain = STR_EMPTY, key, part;
	int64_t total;

	str_cut_last(recipient, '@', &local, &domain);
	return ((arena_copy_lower(&t->arena, domain, &domain) && key_part(domain, true, &t->arena, &part) &&
		 arena_printf(&t->arena, &key, "sekisho:{" STR_FMT "}:bounced:%s:%s:" STR_FMT, STR_ARG(t->tenant->name), t->date,
			      is_hard ? "hard" : "soft", STR_ARG(part))) ||
		err_memory(err)) &&
	       count(t, key, 1, t->ttl_us, &total, err);
}

/* Who asks first is told so, whichever process it is: the counter's answer is that of one step. */
static bool is_first(struct tally *t, const struct tally_failure *failure, bool *out, struct err *err)
{
	bool is_complaint = str_eq(failure->reason, STR("feedback"));
	struct str lower, text, part, key;
	int64_t total;

	*out = true;
	if (failure->message.len == 0)
		return true;
	/* The colon makes no plain last part of it: always hashed, so that the store holds no address. */
	if (!arena_copy_lower(&t->arena, failure->recipient, &lower) ||
	    !arena_printf(&t->arena, &text, "%c:" STR_FMT ":" STR_FMT, is_complaint ? 'c' : 'f', STR_ARG(failure->message),
			  STR_ARG(lower)) ||
	    !key_part(text, false, &t->arena, &part) ||
	    !arena_printf(&t->arena, &key, "sekisho:{" STR_FMT "}:failed:" STR_FMT, STR_ARG(t->tenant->name), STR_ARG(part)))
		return err_memory(err);
	if (!count(t, key, 1, TALLY_ONCE_US, &total, err))
		return false;
	*out = total == 1;
	t->once = *out ? key : STR_EMPTY;
	return true;
}

static bool tell_guard(struct tally *t, const struct tally_failure *failure, struct err *err)
{
	bool is_complaint = str_eq(failure->reason, STR("feedback"));
	const struct guard_outcome outcome = {
		.sender = failure->sender, .recipients = !is_complaint, .is_hard = failure->is_hard, .is_complaint = is_complaint,
		.is_unknown_user = str_eq(failure->reason, STR("userunknown")),
	};

	return guard_count_outcome(t->st, t->tenant, &outcome, err);
}

/* Nothing was counted: who comes again is the first again. */
static bool take_back(struct tally *t)
{
	int64_t total;

	if (t->once.len)
		count(t, t->once, -1, TALLY_ONCE_US, &total, NULL);
	return false;
}

static bool count_failure(struct tally *t, const struct tally_failure *failure, bool *out_is_first, struct err *err)
{
	return is_first(t, failure, out_is_first, err) &&
	       (!*out_is_first || ((count_reason(t, failure->reason, failure->is_hard, 1, err) || take_back(t)) &&
				   (failure->recipient.len == 0 || count_domain(t, failure->recipient, failure->is_hard, err)) &&
				   tell_guard(t, failure, err)));
}

bool tally_failed(struct store *st, const struct config *config, const struct tenant *tenant,
		  const struct tally_failure *failure, bool *out_is_first, struct err *err)
{
	struct tally t;
	bool first = false;
	bool ok = begin(&t, st, config, tenant, err) && count_failure(&t, failure, &first, err);

	arena_clear(&t.arena);
	if (!ok)
		return err_wrap(err, "counting a failure of tenant " STR_FMT, STR_ARG(tenant->name));
	*out_is_first = first;
	return true;
}

bool tally_delivered(struct store *st, const struct config *config, const struct tenant *tenant, struct str sender,
		     struct err *err)
{
	const struct guard_outcome outcome = { .sender = sender, .recipients = 1 };
	struct tally t;
	bool ok = begin(&t, st, config, tenant, err) && count_reason(&t, DELIVERED, false, 1, err) &&
		  guard_count_outcome(st, tenant, &outcome, err);

	arena_clear(&t.arena);
	return ok || err_wrap(err, "counting deliveries of tenant " STR_FMT, STR_ARG(tenant->name));
}

/* --- looking */

struct looking {
	struct str prefix;
	int64_t first_day, last_day;
	tally_fn *fn;
	void *arg;
	bool is_stopped;               /* `fn` has seen enough */
};

/* DATE:, the rest in *out. */
static bool take_day(const struct looking *l, struct str key, int64_t *out_day, struct str *out)
{
	struct str date;

	return str_cut(str_from(key, l->prefix.len), ':', &date, out) && jst_parse_date(date, out_day) &&
	       *out_day >= l->first_day && *out_day <= l->last_day;
}

static bool take_hard(struct str word, bool *out)
{
	*out = str_eq(word, STR("hard"));
	return *out || str_eq(word, STR("soft"));
}

static bool reason_row(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct looking *l = arg;
	struct tally_count row = { .domain = STR_EMPTY };
	struct str rest, word;

	(void)expires_us;
	if (!take_day(l, key, &row.day, &rest) || !str_cut_last(rest, ':', &row.reason, &word) ||
	    !take_hard(word, &row.is_hard) || !num_parse_i64(value, &row.count))
		return true;
	l->is_stopped = !l->fn(l->arg, &row);
	return !l->is_stopped;
}

static bool domain_row(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct looking *l = arg;
	struct tally_count row = { .reason = STR_EMPTY };
	struct str rest, word;

	(void)expires_us;
	if (!take_day(l, key, &row.day, &rest) || !str_cut(rest, ':', &word, &row.domain) || !take_hard(word, &row.is_hard) ||
	    !num_parse_i64(value, &row.count))
		return true;
	l->is_stopped = !l->fn(l->arg, &row);
	return !l->is_stopped;
}

/* Day by day: the keys of one are found without those of the others. */
static bool look(struct store *st, struct str tenant, const char *family, struct looking *l, store_scan_fn *row_fn,
		 struct err *err)
{
	char room[STORE_KEY_MAX + 1], date[JST_DATE_LEN + 1];
	size_t len = (size_t)snprintf(room, sizeof room, "sekisho:{" STR_FMT "}:%s:", STR_ARG(tenant), family);
	bool ok = len + sizeof date < sizeof room || err_set(err, ERR_INPUT, "its name is too long");

	l->prefix = str_of(room, ok ? len : 0);
	for (int64_t day = l->first_day; ok && !l->is_stopped && day <= l->last_day; day++) {
		jst_format_date(day, date);
		snprintf(room + len, sizeof room - len, "%s:", date);
		ok = st->ops->scan(st, str_of(room, len + JST_DATE_LEN + 1), row_fn, l, err);
	}
	l->prefix = STR_EMPTY;                 /* it ends with `room` */
	return ok || err_wrap(err, "counters of tenant " STR_FMT, STR_ARG(tenant));
}

bool tally_each_reason(struct store *st, struct str tenant, int64_t first_day, int64_t last_day, tally_fn *fn, void *arg,
		       struct err *err)
{
	struct looking l = { .first_day = first_day, .last_day = last_day, .fn = fn, .arg = arg };

	return look(st, tenant, "bounce", &l, reason_row, err);
}

bool tally_each_domain(struct store *st, struct str tenant, int64_t first_day, int64_t last_day, tally_fn *fn, void *arg,
		       struct err *err)
{
	struct looking l = { .first_day = first_day, .last_day = last_day, .fn = fn, .arg = arg };

	return look(st, tenant, "bounced", &l, domain_row, err);
}
