#include "milter/track/deny.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/domain.h"

#define DENY_TTL_US (INT64_C(3650) * DAY_US)

static const struct str kinds[] = {
	[DENY_TENANT] = STR_INIT("tenant"), [DENY_MESSAGE] = STR_INIT("message"), [DENY_HOST] = STR_INIT("host"),
};

static bool key_of(struct str tenant, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:deny", STR_ARG(tenant));
}

/* The list as it stands; empty: nothing is denied. */
static bool read_list(struct store *st, struct str tenant, struct arena *arena, struct str *out, struct err *err)
{
	bool found;
	struct str key;

	if (!key_of(tenant, arena, &key))
		return err_memory(err);
	if (!st->ops->get(st, key, arena, out, &found, err))
		return false;
	if (!found)
		*out = STR_EMPTY;
	return true;
}

/* --- the lists that were read a moment ago */

void deny_cache_init(struct deny_cache *cache)
{
	*cache = (struct deny_cache){ .lock = PTHREAD_MUTEX_INITIALIZER };
}

static void slot_clear(struct deny_slot *slot)
{
	free((void *)(uintptr_t)slot->tenant.ptr);
	*slot = (struct deny_slot){ .read_us = 0 };
}

void deny_cache_clear(struct deny_cache *cache)
{
	for (size_t i = 0; i < DENY_SLOTS; i++)
		slot_clear(&cache->slots[i]);
	pthread_mutex_destroy(&cache->lock);
}

/* Both in one piece of memory; without memory nothing is remembered. */
static void slot_fill(struct deny_slot *slot, struct str tenant, struct str list, int64_t now_us)
{
	char *room = malloc(tenant.len + list.len + 1);

	slot_clear(slot);
	if (!room)
		return;
	memcpy(room, tenant.ptr, tenant.len);
	if (list.len)
		memcpy(room + tenant.len, list.ptr, list.len);
	*slot = (struct deny_slot){
		.tenant = str_of(room, tenant.len), .list = str_of(room + tenant.len, list.len), .read_us = now_us,
	};
}

bool deny_recall(struct deny_cache *cache, struct store *st, struct str tenant, struct arena *arena, struct str *out,
		 struct err *err)
{
	struct deny_slot *slot = &cache->slots[str_hash(tenant) % DENY_SLOTS];
	int64_t now_us = clock_mono_us();
	bool ok = true;

	pthread_mutex_lock(&cache->lock);
	bool is_fresh = str_eq(slot->tenant, tenant) && now_us - slot->read_us < DENY_FRESH_US;

	if (is_fresh)
		ok = arena_copy(arena, slot->list, out) || err_memory(err);
	pthread_mutex_unlock(&cache->lock);
	if (is_fresh)
		return ok;
	if (!read_list(st, tenant, arena, out, err))
		return false;
	pthread_mutex_lock(&cache->lock);
	slot_fill(slot, tenant, *out, now_us);
	pthread_mutex_unlock(&cache->lock);
	return true;
}

/* Walks over it. False at its end; what no entry is, is passed over. */
static bool next_entry(struct str *list, struct deny_entry *out)
{
	struct str line, kind, name;

	while (str_next(list, '\n', &line)) {
		if (!str_cut(line, ' ', &kind, &name)) {
			kind = line;
			name = STR_EMPTY;
		}
		for (size_t i = DENY_TENANT; i <= DENY_HOST; i++)
			if (str_eq(kind, kinds[i])) {
				*out = (struct deny_entry){ .kind = (enum deny_kind)i, .name = name };
				return true;
			}
	}
	return false;
}

static size_t octet_read(struct str s, char *out)
{
	int high = s.len > 2 && s.ptr[0] == '%' ? ascii_hex(s.ptr[1]) : -1, low = high < 0 ? -1 : ascii_hex(s.ptr[2]);

	if (low < 0) {
		*out = s.ptr[0];
		return 1;
	}
	*out = (char)(high * 16 + low);
	return 3;
}

/* Of a link, or of what a person gives for one: behind scheme, slashes and user, before port and path. */
static struct str host_of(struct str link)
{
	struct str user, host, port;
	size_t end = 0;

	while (end < link.len && !memchr(":/\\?#", link.ptr[end], 5))
		end++;
	if (str_starts(str_from(link, end), STR("://")))
		link = str_from(link, end + 1);
	while (link.len && (link.ptr[0] == '/' || link.ptr[0] == '\\'))
		link = str_from(link, 1);
	for (end = 0; end < link.len && !memchr("/\\?#", link.ptr[end], 4);)
		end++;
	link = str_slice(link, 0, end);
	str_cut_last(link, '@', &user, &link);
	if (str_starts(link, STR("[")))
		return str_slice(link, 0, str_find_byte(link, ']') + 1);
	if (str_cut(link, ':', &host, &port) && str_find_byte(port, ':') == port.len)
		return host;
	return link;                   /* no port; or an IPv6 address without brackets, which check_host refuses */
}

bool deny_host_key(struct arena *arena, struct str link, struct str *out)
{
	struct str host = host_of(link);
	char *plain = arena_alloc(arena, host.len + 1);
	size_t len = 0;

	if (!plain)
		return false;
	while (host.len)
		host = str_from(host, octet_read(host, &plain[len++]));
	if (!domain_key(arena, str_of(plain, len), out))
		return false;
	if (str_ends(*out, STR(".")))
		out->len--;
	return true;
}

bool deny_stops(struct str list, struct str message, struct str host)
{
	struct deny_entry entry;

	while (next_entry(&list, &entry))
		if (entry.kind == DENY_TENANT || (entry.kind == DENY_MESSAGE && str_eq(entry.name, message)) ||
		    (entry.kind == DENY_HOST && host.len && str_eq_nocase(entry.name, host)))
			return true;
	return false;
}

/* What could never be the host of a link would be denied without effect. */
static bool check_host(struct str host, struct err *err)
{
	if (str_find_byte(host, '*') < host.len)
		return err_set(err, ERR_INPUT, "a host has no wildcards: name each one");
	if (str_find_byte(host, ':') < host.len && host.ptr[0] != '[')
		return err_set(err, ERR_INPUT, "an IPv6 address stands in brackets: [" STR_FMT "]", STR_ARG(host));
	return true;
}

bool deny_check(const struct deny_entry *entry, struct err *err)
{
	if (entry->kind == DENY_TENANT)
		return true;
	for (size_t i = 0; i < entry->name.len; i++)
		if (entry->name.ptr[i] <= ' ' || entry->name.ptr[i] >= 0x7f)
			return err_set(err, ERR_INPUT, "a name without blanks is wanted");
	if (entry->name.len == 0 || entry->name.len > DENY_NAME_MAX)
		return err_set(err, ERR_INPUT, "a name of 1 to %d octets is wanted", DENY_NAME_MAX);
	return entry->kind != DENY_HOST || check_host(entry->name, err);
}

static void write_entry(const struct deny_entry *entry, struct buf *out)
{
	buf_add(out, kinds[entry->kind]);
	if (entry->kind != DENY_TENANT)
		buf_printf(out, " " STR_FMT, STR_ARG(entry->name));
	buf_add_byte(out, '\n');
}

static bool is_same(const struct deny_entry *a, const struct deny_entry *b)
{
	return a->kind == b->kind && (a->kind == DENY_TENANT || str_eq_nocase(a->name, b->name));
}

/* The list without `entry`, and with it at the end when `is_wanted`. */
static bool change(struct store *st, struct str tenant, const struct deny_entry *entry, bool is_wanted, bool *out_was,
		   struct err *err)
{
	struct deny_entry other;
	struct arena arena;
	struct str list, key, text;
	struct buf next;
	size_t count = 0;
	bool ok;

	if (!deny_check(entry, err))
		return false;
	arena_init(&arena, 2 * STORE_VALUE_MAX);
	buf_init(&next, STORE_VALUE_MAX);
	*out_was = false;
	ok = read_list(st, tenant, &arena, &list, err);
	while (ok && next_entry(&list, &other)) {
		if (is_same(&other, entry)) {
			*out_was = true;
			continue;
		}
		write_entry(&other, &next);
		count++;
	}
	if (is_wanted)
		write_entry(entry, &next);
	if (ok && is_wanted && count >= DENY_ENTRIES_MAX)
		ok = err_set(err, ERR_INPUT, "there are %d entries already", DENY_ENTRIES_MAX);
	ok = ok && buf_done(&next, &text, err) && (key_of(tenant, &arena, &key) || err_memory(err)) &&
	     st->ops->put(st, key, text, text.len ? DENY_TTL_US : 0, err);
	buf_clear(&next);
	arena_clear(&arena);
	return ok;
}

bool deny_add(struct store *st, struct str tenant, const struct deny_entry *entry, bool *out_was, struct err *err)
{
	return change(st, tenant, entry, true, out_was, err);
}

bool deny_remove(struct store *st, struct str tenant, const struct deny_entry *entry, bool *out_was, struct err *err)
{
	return change(st, tenant, entry, false, out_was, err);
}
