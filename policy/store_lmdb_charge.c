#include "policy/store_lmdb_charge.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "policy/window.h"

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
	return true;
}

/* After the commit, for a transaction may run its work twice. Nothing is noted of a charge that added nothing; one that
 * cannot be noted stands as one whose process died. */
static void note_charge(struct charge_book *book, const struct charge_work *work)
{
	const struct store_charge *charge = work->charge;
	struct charge_note notes[STORE_TAKES_MAX];
	size_t count = 0;

	for (size_t i = 0; i < charge->count; i++)
		if (work->windows[i].mark.delta > 0)
			notes[count++] = (struct charge_note){ .take = charge->takes[i],
							       .mark = work->windows[i].mark };
	if (count && !charge_book_add(book, charge->tenant, charge->id, notes, count, work->out->now_us,
				      lmdb_later_us(work->out->now_us, STORE_CHARGE_TTL_US)))
		log_warn("store: out of memory: charge " STR_FMT " cannot be given back", STR_ARG(charge->id));
}

bool lmdb_env_charge(struct lmdb_env *env, struct charge_book *book, const struct store_charge *charge,
		     struct store_charged *out, struct err *err)
{
	struct charge_work work = { .charge = charge, .out = out };

	if (charge->count > STORE_TAKES_MAX)
		return err_set(err, ERR_INPUT, "store: %zu quotas in one charge (at most %d)", charge->count,
			       STORE_TAKES_MAX);
	if (charge->count == 0) {
		out->is_taken = true;
		out->now_us = clock_now_us();
		return true;
	}
	work.windows = memory_calloc(charge->count + 1, sizeof *work.windows);
	if (!work.windows)
		return err_memory(err);

	bool ok = charge->is_peek ? lmdb_env_read(env, charge_look, &work, err)
				  : lmdb_env_write(env, charge_take, &work, err);

	if (ok && !charge->is_peek && out->is_taken)
		note_charge(book, &work);
	free(work.windows);
	return ok;
}

static bool give_back(struct lmdb_txn *txn, const struct charge_note *note, struct err *err)
{
	const struct store_take *take = &note->take;
	struct window_state state;
	struct record record;
	bool found;

	if (!lmdb_get(txn, take->key, RECORD_WINDOW, &record, &found, err))
		return false;
	if (!found)
		return true;
	window_decode(take, record.payload, &state);
	window_give_back(take, &state, txn->now_us, &note->mark);
	return save_window(txn, take, &state, err);
}

static bool refund_work(struct lmdb_txn *txn, void *arg, struct err *err)
{
	const struct charge_entry *entry = arg;

	for (size_t i = 0; i < entry->count; i++)
		if (!give_back(txn, &entry->notes[i], err))
			return false;
	return true;
}

bool lmdb_env_refund(struct lmdb_env *env, struct charge_book *book, struct str tenant, struct str id, struct err *err)
{
	struct charge_entry *entry = charge_book_take(book, tenant, id, clock_now_us());

	if (!entry)
		return true;

	bool ok = lmdb_env_write(env, refund_work, entry, err);

	free(entry);
	return ok;
}
