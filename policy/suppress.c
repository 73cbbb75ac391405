#include "policy/suppress.h"

#include <inttypes.h>

#include "config/base/clock.h"
#include "policy/key.h"

/*
 * The value, one line and then the texts:
 *
 *   1 SOURCE SINCE UNTIL RECIPIENT-LENGTH REASON-LENGTH BY-LENGTH\n RECIPIENT REASON BY SCOPE
 *
 * 1 names this layout; SOURCE is a word; times are microseconds; nothing stands between the texts.
 */
#define LAYOUT "1"
#define WORK_MAX ((size_t)3 * STORE_VALUE_MAX)

static const struct str sources[SUPPRESS_SOURCE_COUNT] = {
	[SUPPRESS_BOUNCE] = STR_INIT("bounce"),
	[SUPPRESS_COMPLAINT] = STR_INIT("complaint"),
	[SUPPRESS_UNSUBSCRIBE] = STR_INIT("unsubscribe"),
	[SUPPRESS_OPERATOR] = STR_INIT("operator"),
};

const char *suppress_source_name(enum suppress_source source)
{
	return sources[source].ptr;
}

bool suppress_source_parse(struct str name, enum suppress_source *out)
{
	for (size_t i = 0; i < SUPPRESS_SOURCE_COUNT; i++)
		if (str_eq(sources[i], name)) {
			*out = (enum suppress_source)i;
			return true;
		}
	return false;
}

bool suppress_key(struct str tenant, struct str recipient, struct arena *arena, struct str *out)
{
	struct str lower, part;

	return arena_copy_lower(arena, recipient, &lower) && key_part(lower, true, arena, &part) &&
	       arena_concat(arena, out, STR("sekisho:{"), tenant, STR("}:suppress:"), part);
}

static bool key_of(struct str tenant, struct str recipient, struct arena *arena, struct str *out, struct err *err)
{
	return suppress_key(tenant, recipient, arena, out) || err_memory(err);
}

static bool encode(const struct suppression *s, struct arena *arena, struct str *out)
{
	struct str lower;

	return arena_copy_lower(arena, s->recipient, &lower) &&
	       arena_printf(arena, out,
			    LAYOUT " %s %" PRId64 " %" PRId64 " %zu %zu %zu\n" STR_FMT STR_FMT STR_FMT STR_FMT,
			    suppress_source_name(s->source), s->since_us, s->until_us, lower.len, s->reason.len, s->by.len,
			    STR_ARG(lower), STR_ARG(s->reason), STR_ARG(s->by), STR_ARG(s->scope));
}

/* The next text, whose length is the next number of the line. */
static bool take_text(struct str *line, struct str *texts, struct str *out)
{
	struct str number;
	uint64_t len;

	if (!str_next(line, ' ', &number) || !num_parse_u64(number, &len) || len > texts->len)
		return false;
	*out = str_slice(*texts, 0, (size_t)len);
	*texts = str_from(*texts, (size_t)len);
	return true;
}

static bool decode(struct str value, struct suppression *out)
{
	struct str line, texts, layout, source, since, until;
	struct suppression s;

	if (!str_cut(value, '\n', &line, &texts) || !str_next(&line, ' ', &layout) || !str_eq(layout, STR(LAYOUT)) ||
	    !str_next(&line, ' ', &source) || !suppress_source_parse(source, &s.source) ||
	    !str_next(&line, ' ', &since) || !num_parse_i64(since, &s.since_us) || !str_next(&line, ' ', &until) ||
	    !num_parse_i64(until, &s.until_us) || !take_text(&line, &texts, &s.recipient) ||
	    !take_text(&line, &texts, &s.reason) || !take_text(&line, &texts, &s.by) || line.len)
		return false;
	s.scope = texts;
	*out = s;
	return true;
}

/* The store forgets an entry at its end by its own clock; ours may be ahead. */
static bool has_ended(const struct suppression *s)
{
	return s->until_us && s->until_us <= clock_now_us();
}

bool suppress_read(struct str recipient, struct str value, struct suppression *out, bool *out_stands, struct err *err)
{
	if (!decode(value, out))
		return err_set(err, ERR_BUSY, "suppression of " STR_FMT ": the store's entry is damaged", STR_ARG(recipient));
	*out_stands = !has_ended(out);
	return true;
}

enum look { LOOK_FAILED, LOOK_DAMAGED, LOOK_ABSENT, LOOK_FOUND };

static enum look look(struct store *st, struct str tenant, struct str recipient, struct arena *arena, struct suppression *out,
		      struct err *err)
{
	struct str key, value;
	bool found;

	if (!key_of(tenant, recipient, arena, &key, err) || !st->ops->get(st, key, arena, &value, &found, err))
		return LOOK_FAILED;
	if (!found)
		return LOOK_ABSENT;
	if (!decode(value, out)) {
		err_set(err, ERR_BUSY, "the store's entry is damaged");
		return LOOK_DAMAGED;
	}
	return has_ended(out) ? LOOK_ABSENT : LOOK_FOUND;
}

bool suppress_find(struct store *st, struct str tenant, struct str recipient, struct arena *arena, struct suppression *out,
		   bool *out_found, struct err *err)
{
	struct suppression s;
	enum look look_says = look(st, tenant, recipient, arena, &s, err);

	if (look_says == LOOK_FAILED || look_says == LOOK_DAMAGED)
		return err_wrap(err, "suppression of " STR_FMT, STR_ARG(recipient));
	*out_found = look_says == LOOK_FOUND;
	if (*out_found)
		*out = s;
	return true;
}

/* --- joining */

static bool ends_later(int64_t until_us, int64_t than_us)
{
	return than_us != 0 && (until_us == 0 || until_us > than_us);
}

static bool has_scope(struct str scope, struct str sender)
{
	struct str one;

	while (str_next(&scope, ' ', &one))
		if (str_eq_nocase(one, sender))
			return true;
	return false;
}

/* Both lists of senders; empty (all) when either is, or when together they are too long. */
static bool join_scope(struct str a, struct str b, struct arena *arena, struct str *out)
{
	bool is_b_all = b.len == 0;
	char *text = arena_alloc(arena, a.len + 1 + b.len);
	struct str one;
	size_t len = a.len;

	if (!text)
		return false;
	memcpy(text, a.ptr, a.len);
	while (a.len && str_next(&b, ' ', &one)) {
		if (one.len == 0 || has_scope(str_of(text, len), one))
			continue;
		text[len++] = ' ';
		memcpy(text + len, one.ptr, one.len);
		len += one.len;
	}
	*out = a.len == 0 || is_b_all || len > SUPPRESS_SCOPE_MAX ? STR_EMPTY : str_of(text, len);
	return true;
}

static bool join(const struct suppression *old, struct suppression *s, struct arena *arena)
{
	bool is_old_stronger = old->source > s->source ||
			       (old->source == s->source && ends_later(old->until_us, s->until_us));
	struct suppression joined = is_old_stronger ? *old : *s;

	joined.until_us = ends_later(old->until_us, s->until_us) ? old->until_us : s->until_us;
	if (!join_scope(old->scope, s->scope, arena, &joined.scope))
		return false;
	*s = joined;
	return true;
}

/* --- changing */

static bool is_text(struct str s, size_t max)
{
	if (s.len > max)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if ((unsigned char)s.ptr[i] < 0x20 || s.ptr[i] == 0x7f)
			return false;
	return true;
}

static bool check(const struct suppression *s, struct err *err)
{
	int64_t now_us = clock_now_us();

	if (s->recipient.len == 0 || !is_text(s->recipient, SUPPRESS_RECIPIENT_MAX))
		return err_set(err, ERR_INPUT, "a recipient is an address of 1 to %d octets without control characters",
			       SUPPRESS_RECIPIENT_MAX);
	if (!is_text(s->reason, SUPPRESS_REASON_MAX) || !is_text(s->by, SUPPRESS_BY_MAX) ||
	    !is_text(s->scope, SUPPRESS_SCOPE_MAX))
		return err_set(err, ERR_INPUT, "reason, who and senders have at most %d, %d and %d octets, no control characters",
			       SUPPRESS_REASON_MAX, SUPPRESS_BY_MAX, SUPPRESS_SCOPE_MAX);
	if (s->until_us && (s->until_us <= now_us || s->until_us > now_us + SUPPRESS_TTL_MAX_US))
		return err_set(err, ERR_INPUT, "an entry ends after now and within ten years");
	return true;
}

static bool add_in(struct arena *arena, struct store *st, struct str tenant, const struct suppression *entry, struct err *err)
{
	struct suppression s = *entry, old;
	struct str key, value;

	if (!check(&s, err))
		return false;
	/* One that is damaged is replaced: adding is how it is mended. */
	switch (look(st, tenant, s.recipient, arena, &old, err)) {
	case LOOK_FAILED:
		return false;
	case LOOK_FOUND:
		if (!join(&old, &s, arena))
			return err_memory(err);
		break;
	case LOOK_DAMAGED:
	case LOOK_ABSENT:
		break;
	}
	if (!key_of(tenant, s.recipient, arena, &key, err) || !encode(&s, arena, &value))
		return err_memory(err);
	return st->ops->put(st, key, value, s.until_us ? s.until_us - clock_now_us() : SUPPRESS_TTL_MAX_US, err);
}

bool suppress_add(struct store *st, struct str tenant, const struct suppression *entry, struct err *err)
{
	struct arena arena;

	arena_init(&arena, WORK_MAX);

	bool ok = add_in(&arena, st, tenant, entry, err);

	arena_clear(&arena);
	return ok || err_wrap(err, "suppressing " STR_FMT, STR_ARG(entry->recipient));
}

static bool remove_in(struct arena *arena, struct store *st, struct str tenant, struct str recipient, bool *out_was,
		      struct err *err)
{
	struct str key, value;
	bool was;

	if (!key_of(tenant, recipient, arena, &key, err) || !st->ops->get(st, key, arena, &value, &was, err) ||
	    (was && !st->ops->put(st, key, STR_EMPTY, 0, err)))
		return false;
	*out_was = was;
	return true;
}

bool suppress_remove(struct store *st, struct str tenant, struct str recipient, bool *out_was, struct err *err)
{
	struct arena arena;

	arena_init(&arena, WORK_MAX);

	bool ok = remove_in(&arena, st, tenant, recipient, out_was, err);

	arena_clear(&arena);
	return ok || err_wrap(err, "releasing " STR_FMT, STR_ARG(recipient));
}

bool suppress_release(struct store *st, struct str tenant, struct str recipient, bool *out_was, struct err *err)
{
	struct arena arena;
	struct suppression s;
	bool found, was = false;

	arena_init(&arena, WORK_MAX);

	bool ok = suppress_find(st, tenant, recipient, &arena, &s, &found, err) &&
		  (!found || s.source != SUPPRESS_BOUNCE || remove_in(&arena, st, tenant, recipient, &was, err));

	arena_clear(&arena);
	if (ok)
		*out_was = was;
	return ok;
}

/* --- looking */

bool suppress_covers(const struct suppression *entry, struct str sender)
{
	struct str rest = entry->scope, one;

	if (rest.len == 0)
		return true;
	while (str_next(&rest, ' ', &one))
		if (one.len && address_list_covers((struct str_list){ &one, 1 }, sender))
			return true;
	return false;
}

struct each {
	suppress_fn *fn;
	void *arg;
	size_t damaged;
};

static bool each_entry(void *arg, struct str key, struct str value, int64_t expires_us)
{
	struct each *each = arg;
	struct suppression s;

	(void)key;
	(void)expires_us;
	if (!decode(value, &s)) {
		each->damaged++;
		return true;
	}
	return has_ended(&s) || each->fn(each->arg, &s);
}

bool suppress_each(struct store *st, struct str tenant, suppress_fn *fn, void *arg, size_t *out_damaged, struct err *err)
{
	struct each each = { .fn = fn, .arg = arg };
	struct arena arena;
	struct str prefix;

	arena_init(&arena, ARENA_BLOCK);

	bool ok = (arena_printf(&arena, &prefix, "sekisho:{" STR_FMT "}:suppress:", STR_ARG(tenant)) || err_memory(err)) &&
		  st->ops->scan(st, prefix, each_entry, &each, err);

	arena_clear(&arena);
	if (!ok)
		return err_wrap(err, "suppressions of tenant " STR_FMT, STR_ARG(tenant));
	*out_damaged = each.damaged;
	return true;
}
