#include "policy/store_lmdb_charge.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/buf.h"
#include "policy/bytes.h"
#include "policy/window.h"

#define CHARGE_VERSION 1
#define CHARGE_TAKE_MAX (STORE_KEY_MAX + 2 + 6 * BYTES_VARINT_MAX)

/* One distinct key of a charge. */
struct charged_window {
	struct window_state state;
	struct window_mark mark;       /* of the take with this index */
	size_t state_of;               /* the first take with the same key holds the state for all */
	bool is_changed;
};

struct charge_work {
	const struct store_charge *charge;
	struct store_charged *out;
	struct charged_window *windows;
};

static bool charge_key(struct str tenant, struct str id, char room[STORE_KEY_MAX + 1], struct str *out, struct err *err)
{
	int len = snprintf(room, STORE_KEY_MAX + 1, "sekisho:{" STR_FMT "}:charge:" STR_FMT, STR_ARG(tenant),
			   STR_ARG(id));

	if (len < 0 || len > STORE_KEY_MAX)
		return err_set(err, ERR_INPUT, "store: charge id of %zu octets is too long", id.len);
	*out = str_of(room, (size_t)len);
	return true;
}

static bool load_window(struct lmdb_txn *txn, const struct store_take *take, struct window_state *out, struct err *err)
{
	struct record record;
	bool found;

	if (!lmdb_get(txn, take->key, RECORD_WINDOW, &record, &found, err))
		return false;
	window_decode(take, found ? record.payload : STR_EMPTY, out);
	return true;
}

static bool save_window(struct lmdb_txn *txn, const struct store_take *take, const struct window_state *state,
			struct err *err)
{
	char bytes[WINDOW_STATE_MAX];
	struct record record = {
		.kind = RECORD_WINDOW,
		.expires_us = window_expires_us(take, state),
		.payload = { .ptr = bytes, .len = window_encode(take, state, bytes) },
	};

	return lmdb_put(txn, take->key, &record, err);
}

/* Two takes may name one key: the second must see what the first took. */
static size_t first_with_key(const struct store_charge *charge, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (str_eq(charge->takes[i].key, charge->takes[at].key))
			return i;
	return at;
}

/* Tests and takes in memory only. */
static bool try_takes(struct lmdb_txn *txn, struct charge_work *work, struct err *err)
{
	const struct store_charge *charge = work->charge;

	work->out->is_taken = true;
	work->out->now_us = txn->now_us;
	for (size_t i = 0; i < charge->count; i++) {
		const struct store_take *take = &charge->takes[i];
		struct charged_window *own = &work->windows[i];

		*own = (struct charged_window){ .state_of = first_with_key(charge, i) };
		if (own->state_of == i && !load_window(txn, take, &own->state, err))
			return false;

		struct charged_window *shared = &work->windows[own->state_of];

		window_look(take, &shared->state, txn->now_us, &work->out->taken[i]);
		if (work->out->taken[i].is_over && take->is_enforced) {
			work->out->is_taken = false;
			continue;
		}
		window_take(take, &shared->state, txn->now_us, &own->mark);
		shared->is_changed |= own->mark.delta > 0;
	}
	return true;
}

static size_t shared_octets(struct str a, struct str b)
{
	size_t n = 0;

	while (n < a.len && n < b.len && a.ptr[n] == b.ptr[n])
		n++;
	return n;
}

static void put_marked_take(struct buf *out, const struct store_take *take, const struct window_mark *mark,
			    struct str key_before)
{
	size_t shared = shared_octets(take->key, key_before);
	struct str rest = str_from(take->key, shared);

	if (!buf_reserve(out, CHARGE_TAKE_MAX))
		return;
	char *at = out->ptr + out->len;

	*at++ = (char)take->window;
	*at++ = (char)take->calendar;
	at = bytes_put_varint(at, take->period_us > 0 ? take->period_us : 0);
	at = bytes_put_varint(at, (int64_t)shared);
	at = bytes_put_varint(at, (int64_t)rest.len);
	if (rest.len)
		memcpy(at, rest.ptr, rest.len);
	at += rest.len;
	at = bytes_put_varint(at, mark->at);
	at = bytes_put_varint(at, mark->before);
	at = bytes_put_varint(at, mark->delta);
	out->len = (size_t)(at - out->ptr);
}

/* *key holds the key before, and then this one's. */
static bool take_marked_take(struct str *in, struct store_take *out, struct window_mark *mark, char key[STORE_KEY_MAX])
{
	unsigned char window, calendar;
	int64_t shared, rest_len;
	struct str rest;

	if (!bytes_take_octet(in, &window) || window > WINDOW_CALENDAR || !bytes_take_octet(in, &calendar) ||
	    calendar > CALENDAR_MONTH || !bytes_take_varint(in, &out->period_us) || !bytes_take_varint(in, &shared) ||
	    !bytes_take_varint(in, &rest_len) || shared > STORE_KEY_MAX || rest_len > STORE_KEY_MAX - shared ||
	    !bytes_take_str(in, (size_t)rest_len, &rest) || !bytes_take_varint(in, &mark->at) ||
	    !bytes_take_varint(in, &mark->before) || !bytes_take_varint(in, &mark->delta))
		return false;
	if (rest.len)
		memcpy(key + shared, rest.ptr, rest.len);
	out->window = (enum quota_window)window;
	out->calendar = (enum calendar_unit)calendar;
	out->key = str_of(key, (size_t)shared + rest.len);
	return true;
}

/* Nothing is remembered of a charge that added nothing. */
static bool save_charge(struct lmdb_txn *txn, const struct charge_work *work, struct err *err)
{
	const struct store_charge *charge = work->charge;
	struct record record = { .kind = RECORD_CHARGE, .expires_us = lmdb_later_us(txn->now_us, STORE_CHARGE_TTL_US) };
	struct str key, key_before = STR_EMPTY;
	char room[STORE_KEY_MAX + 1];
	struct buf bytes;

	buf_init(&bytes, 1 + (size_t)STORE_TAKES_MAX * CHARGE_TAKE_MAX);
	buf_add_byte(&bytes, CHARGE_VERSION);
	for (size_t i = 0; i < charge->count; i++) {
		if (work->windows[i].mark.delta <= 0)
			continue;
		put_marked_take(&bytes, &charge->takes[i], &work->windows[i].mark, key_before);
		key_before = charge->takes[i].key;
	}

	bool ok = buf_done(&bytes, &record.payload, err);

	if (ok && record.payload.len > 1)
		ok = charge_key(charge->tenant, charge->id, room, &key, err) && lmdb_put(txn, key, &record, err);
	buf_clear(&bytes);
	return ok;
}

static bool charge_look(struct lmdb_txn *txn, void *arg, struct err *err)
{
	return try_takes(txn, arg, err);
}

static bool charge_take(struct lmdb_txn *txn, void *arg, struct err *err)
{
	struct charge_work *work = arg;

	if (!try_takes(txn, work, err))
		return false;
	if (!work->out->is_taken)
		return true;
	for (size_t i = 0; i < work->charge->count; i++)
		if (work->windows[i].is_changed &&
		    !save_window(txn, &work->charge->takes[i], &work->windows[i].state, err))
			return false;
	return save_charge(txn, work, err);
}

bool lmdb_env_charge(struct lmdb_env *env, const struct store_charge *charge, struct store_charged *out,
		     struct err *err)
{
	struct charge_work work = { .charge = charge, .out = out };

	if (charge->count > STORE_TAKES_MAX)
		return err_set(err, ERR_INPUT, "store: %zu quotas in one charge (at most %d)", charge->count,
			       STORE_TAKES_MAX);
	work.windows = calloc(charge->count + 1, sizeof *work.windows);
	if (!work.windows)
		return err_memory(err);

	bool ok = charge->is_peek ? lmdb_env_read(env, charge_look, &work, err)
				  : lmdb_env_write(env, charge_take, &work, err);

	free(work.windows);
	return ok;
}

static bool give_back(struct lmdb_txn *txn, const struct store_take *take, const struct window_mark *mark,
		      struct err *err)
{
	struct window_state state;
	struct record record;
	bool found;

	if (!lmdb_get(txn, take->key, RECORD_WINDOW, &record, &found, err))
		return false;
	if (!found)
		return true;
	window_decode(take, record.payload, &state);
	window_give_back(take, &state, txn->now_us, mark);
	return save_window(txn, take, &state, err);
}

/*
 * Goes through a copy: each give_back moves the page that the record lies in. A record that is cut gives back what it
 * has.
 */
static bool refund_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	const struct str *charge = arg;
	char key[STORE_KEY_MAX] = { 0 };
	unsigned char version;
	struct record record;
	bool found;

	if (!lmdb_get(txn, *charge, RECORD_CHARGE, &record, &found, err))
		return false;
	if (!found)
		return true;

	char *copy = malloc(record.payload.len + 1);

	if (!copy)
		return err_memory(err);
	memcpy(copy, record.payload.ptr, record.payload.len);

	struct str in = str_of(copy, record.payload.len);
	struct window_mark mark;
	struct store_take take = { 0 };
	bool ok = lmdb_remove(txn, *charge, err);

	if (bytes_take_octet(&in, &version) && version == CHARGE_VERSION)
		while (ok && take_marked_take(&in, &take, &mark, key))
			ok = give_back(txn, &take, &mark, err);
	free(copy);
	return ok;
}

bool lmdb_env_refund(struct lmdb_env *env, struct str tenant, struct str id, struct err *err)
{
	char room[STORE_KEY_MAX + 1];
	struct str key;

	return charge_key(tenant, id, room, &key, err) && lmdb_env_write(env, refund_work, &key, err);
}
