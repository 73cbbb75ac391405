#include "milter/return_path.h"

#include <stdatomic.h>
#include <stdio.h>

#include "config/base/clock.h"

#define SENDERS_REMEMBERED 4096
#define WORK_MAX ((size_t)2 * STORE_VALUE_MAX)

/* --- what goes out */

static bool sender_key(struct str tenant, const unsigned char mark[PATH_SENDER_LEN], struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:sender:%02x%02x%02x%02x%02x", STR_ARG(tenant), mark[0], mark[1],
			    mark[2], mark[3], mark[4]);
}

static bool sent_key(struct str tenant, const char *message, struct arena *arena, struct str *out)
{
	return arena_printf(arena, out, "sekisho:{" STR_FMT "}:sent:%s", STR_ARG(tenant), message);
}

/* What is in the store was read or written today: not asked again. A sender's local part may be case-sensitive, its mark is
 * not; the last spelling of a day stands. */
static _Atomic uint64_t remembered[SENDERS_REMEMBERED];

static uint64_t sender_today(struct str key)
{
	return (str_hash(key) ^ (uint64_t)jst_day(clock_now_us()) * 0x9e3779b97f4a7c15u) | 1;
}

static bool keep_sender(struct store *st, const struct return_path_message *message, const struct path *path,
			struct arena *arena, struct err *err)
{
	struct str key, known;
	bool found;

	if (!sender_key(message->tenant->name, path->sender, arena, &key))
		return err_memory(err);

	uint64_t today = sender_today(key);
	_Atomic uint64_t *place = &remembered[today / 2 % SENDERS_REMEMBERED];

	if (atomic_load(place) == today)
		return true;
	if (!st->ops->get(st, key, arena, &known, &found, err))
		return false;
	if (found && !str_eq_nocase(known, message->sender))       /* one in a million millions: the other keeps the mark */
		return err_set(err, ERR_INPUT, "another sender has its mark");
	if (!st->ops->put(st, key, message->sender, message->tenant->return_keep_us + 2 * DAY_US, err))
		return false;
	atomic_store(place, today);
	return true;
}

static bool keep_recipients(struct store *st, const struct return_path_message *message, const struct path *path,
			    struct arena *arena, struct err *err)
{
	size_t count = message->recipient_count < RETURN_PATH_RECIPIENTS_MAX ? message->recipient_count : RETURN_PATH_RECIPIENTS_MAX;
	unsigned char *marks = arena_array(arena, count, PATH_RECIPIENT_LEN);
	struct str key;

	if (!marks || !sent_key(message->tenant->name, path->message, arena, &key))
		return err_memory(err);
	for (size_t i = 0; i < count; i++)
		path_mark(message->tenant->name, message->recipients[i], marks + i * PATH_RECIPIENT_LEN,
			  PATH_RECIPIENT_LEN);
	return st->ops->put(st, key, str_of((const char *)marks, count * PATH_RECIPIENT_LEN),
			    message->tenant->return_keep_us, err);
}

static bool make(struct store *st, const struct token_keys *keys, const struct return_path_message *message,
		 struct arena *work, struct path *path, char local[PATH_LOCAL_LEN + 1], struct err *err)
{
	const struct tenant *tenant = message->tenant;

	if (message->message.len != PATH_MESSAGE_LEN)
		return err_set(err, ERR_INPUT, "its id is none of ours");
	memcpy(path->message, message->message.ptr, PATH_MESSAGE_LEN);
	path->owner = config_return_mark(tenant->name);
	path_mark(tenant->name, message->sender, path->sender, PATH_SENDER_LEN);
	if (message->recipient_count == 1)
		path_mark(tenant->name, message->recipients[0], path->recipient, PATH_RECIPIENT_LEN);
	else if (!keep_recipients(st, message, path, work, err))
		return false;
	if (!keep_sender(st, message, path, work, err))
		return false;
	return path_write(path, keys, tenant->name, tenant->return_domain, local) ||
	       err_set(err, ERR_BUSY, "OpenSSL could not sign a return path");
}

bool return_path_make(struct store *st, const struct token_keys *keys, const struct return_path_message *message,
		      struct arena *arena, struct str *out, struct err *err)
{
	char local[PATH_LOCAL_LEN + 1];
	struct path path = { .message = "" };
	struct arena work;

	arena_init(&work, WORK_MAX);

	bool ok = make(st, keys, message, &work, &path, local, err);

	arena_clear(&work);
	return ok && (arena_printf(arena, out, "%s@" STR_FMT, local, STR_ARG(message->tenant->return_domain)) ||
		      err_memory(err));
}

/* --- what comes back */

/* RFC 5321 4.5.1 and RFC 2142 want the first two to reach somebody; the third is where feedback loops are often registered. */
static bool is_role(struct str local)
{
	return str_eq_nocase(local, STR("postmaster")) || str_eq_nocase(local, STR("abuse")) || str_eq_nocase(local, STR("fbl"));
}

static bool find_owner(const struct config *config, const struct token_keys *keys, struct str domain, struct return_path *path)
{
	size_t count;
	const struct return_owner *owners = config_return_owners(config, domain, path->path.owner, &count);

	for (size_t i = 0; i < count; i++)
		if (path_is_genuine(&path->path, keys, owners[i].tenant->name, domain)) {
			path->tenant = owners[i].tenant;
			return true;
		}
	return false;
}

enum return_path_kind return_path_look(const struct config *config, const struct token_keys *keys, struct str address,
				       int64_t now_us, struct return_path *out)
{
	struct str local, typed;
	char lower[256];

	*out = (struct return_path){ .tenant = NULL };
	if (!str_cut_last(address, '@', &local, &typed) || typed.len > sizeof lower)
		return RETURN_PATH_NONE;
	for (size_t i = 0; i < typed.len; i++)
		lower[i] = ascii_lower(typed.ptr[i]);

	struct str domain = str_of(lower, typed.len);

	if (!config_is_return_domain(config, domain))
		return RETURN_PATH_NONE;
	if (is_role(local))
		return RETURN_PATH_ROLE;
	if (!keys || !path_read(local, &out->path) || !find_owner(config, keys, domain, out))
		return RETURN_PATH_FORGED;
	return path_made_us(&out->path) + out->tenant->return_keep_us <= now_us ? RETURN_PATH_EXPIRED : RETURN_PATH_GOOD;
}

bool return_path_is_single(const struct return_path *path)
{
	static const unsigned char none[PATH_RECIPIENT_LEN];

	return memcmp(path->path.recipient, none, sizeof none) != 0;
}

/* While Redis is away this relay knows what it saw there lately; what it does not know may still be there. */
static bool is_certain(struct store *st, bool found, struct err *err)
{
	return found || !atomic_load(&st->is_local) || err_set(err, ERR_BUSY, "Redis is away, and this relay does not know it");
}

bool return_path_marks(struct store *st, const struct return_path *path, struct arena *arena, struct str *out, struct err *err)
{
	struct str key;
	bool found;

	if (return_path_is_single(path))
		return arena_copy(arena, str_of((const char *)path->path.recipient, PATH_RECIPIENT_LEN), out) ||
		       err_memory(err);
	if (!sent_key(path->tenant->name, path->path.message, arena, &key))
		return err_memory(err);
	if (!st->ops->get(st, key, arena, out, &found, err) || !is_certain(st, found, err))
		return false;
	if (!found)
		*out = STR_EMPTY;
	return true;
}

bool return_path_was_sent_to(const struct return_path *path, struct str marks, struct str address)
{
	unsigned char mark[PATH_RECIPIENT_LEN];

	path_mark(path->tenant->name, address, mark, sizeof mark);
	for (size_t at = 0; at + PATH_RECIPIENT_LEN <= marks.len; at += PATH_RECIPIENT_LEN)
		if (memcmp(marks.ptr + at, mark, PATH_RECIPIENT_LEN) == 0)
			return true;
	return false;
}

bool return_path_sender(struct store *st, const struct return_path *path, struct arena *arena, struct str *out, struct err *err)
{
	struct str key, value;
	bool found;

	if (!sender_key(path->tenant->name, path->path.sender, arena, &key))
		return err_memory(err);
	if (!st->ops->get(st, key, arena, &value, &found, err) || !is_certain(st, found, err))
		return false;
	*out = found ? value : STR_EMPTY;
	return true;
}
