#include "policy/store_lmdb_env.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "policy/store_lmdb_record.h"

#define READERS_MAX 1024
#define SWEEP_LEAST 8                  /* reminders looked at in each transaction, beside one for each made */
#define SWEEP_TEND 500                 /* and when there is time */
#define SWEEP_FULL 64                  /* in each of the steps that make room in a full map */
#define SWEEP_FULL_STEPS 32
#define SPARES_MAX 64                  /* reading transactions kept for the next: each holds one of the readers' slots */
#define RESERVE ((size_t)2 << 20)      /* octets over size_max that only making room may use: see make_room */
struct waiter {
	struct waiter *next;
	lmdb_work *work;
	void *arg;
	struct err *err;
	bool is_ok, is_done;
	bool was_short;                /* of memory: in the leader's thread */
	pthread_cond_t turned;         /* done, or first of those who wait */
};

struct lmdb_env {
	MDB_env *env;                  /* NULL: could not be opened again yet */
	MDB_dbi dbi;
	char path[PATH_MAX];
	size_t size_max;
	bool is_durable;
	atomic_bool is_dirty;          /* committed, not synced */
	bool has_lost;                 /* a sync failed: the next one need not know of what was to be written */
	pthread_rwlock_t resize;       /* held for reading by every transaction: the map may only move without them */
	unsigned int openings;         /* guarded by `resize` */

	pthread_mutex_t spare_mutex;   /* guards what follows */
	MDB_txn *spares[SPARES_MAX];   /* ended, and to begin again: that takes no lock that other processes share */
	size_t spare_count;

	pthread_mutex_t mutex;         /* guards what follows */
	struct waiter *first, **last;  /* those whose work nobody has begun */
	bool is_led;                   /* somebody is inside a transaction for all before them */
};

bool lmdb_fail(const struct lmdb_env *env, int code, struct err *err)
{
	switch (code) {
	case MDB_MAP_FULL:
		return err_set(err, ERR_FULL, "store %s: full; raise store.size_max", env->path);
	case ENOSPC:
	case EDQUOT:
		return err_set(err, ERR_FULL, "store %s: %s", env->path, mdb_strerror(code));
	case ENOMEM:
		memory_ran_out();
		return err_set(err, ERR_BUSY, "store %s: out of memory", env->path);
	case MDB_READERS_FULL:
		return err_set(err, ERR_BUSY, "store %s: more than %d readers at once", env->path, READERS_MAX);
	case EACCES:
	case EPERM:
		return err_set(err, ERR_CONFIG,
			       "store %s: %s; the files belong to the store's group, which this user must be in",
			       env->path, mdb_strerror(code));
	case MDB_INVALID:
	case MDB_VERSION_MISMATCH:
		return err_set(err, ERR_CONFIG,
			       "store %s: data.mdb is not a store of this program (%s); move it away or restore it",
			       env->path, mdb_strerror(code));
	case MDB_CORRUPTED:
	case MDB_PAGE_NOTFOUND:
		return err_set(err, ERR_BUSY, "store %s: damaged (%s); stop all that use it and restore it", env->path,
			       mdb_strerror(code));
	default:
		return err_set(err, ERR_BUSY, "store %s: %s", env->path, mdb_strerror(code));
	}
}

/* --- opening */

/* LMDB's own modes are cut by the umask; the group must be able to write. */
static bool create_file(const struct lmdb_env *env, const char *name, struct err *err)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof path, "%s/%s", env->path, name) >= (int)sizeof path)
		return err_set(err, ERR_CONFIG, "store %s: path too long", env->path);

	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0660);

	if (fd < 0)
		return errno == EEXIST || lmdb_fail(env, errno, err);

	bool ok = fchmod(fd, 0660) == 0 || lmdb_fail(env, errno, err);

	close(fd);
	return ok;
}

static bool open_tree(struct lmdb_env *env, struct err *err)
{
	MDB_txn *txn;
	int code = mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn);

	if (code)
		return lmdb_fail(env, code, err);
	code = mdb_dbi_open(txn, NULL, 0, &env->dbi);
	mdb_txn_abort(txn);
	return code == 0 || lmdb_fail(env, code, err);
}

static bool open_files(struct lmdb_env *env, struct err *err)
{
	unsigned int flags = MDB_NOTLS | (env->is_durable ? 0 : MDB_NOSYNC);
	int code;

	if (!create_file(env, "data.mdb", err) || !create_file(env, "lock.mdb", err))
		return false;
	if ((code = mdb_env_create(&env->env)) != 0)
		return lmdb_fail(env, code, err);
	if ((code = mdb_env_set_mapsize(env->env, env->size_max)) != 0 ||
	    (code = mdb_env_set_maxreaders(env->env, READERS_MAX)) != 0 ||
	    (code = mdb_env_open(env->env, env->path, flags, 0660)) != 0)
		return lmdb_fail(env, code, err);
	mdb_reader_check(env->env, NULL);
	return open_tree(env, err);
}

static size_t whole_pages(int64_t size_max)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return size_max > (int64_t)page ? (size_t)size_max / page * page : page;
}

/* Rebuilt, it may be larger than it may grow (see copy_env): what makes room needs its reserve above that. */
static void keep_reserve(struct lmdb_env *env)
{
	MDB_envinfo info;
	MDB_stat of;

	if (mdb_env_info(env->env, &info) == 0 && mdb_env_stat(env->env, &of) == 0 &&
	    (info.me_last_pgno + 1) * of.ms_psize > env->size_max + RESERVE)
		env->size_max = (info.me_last_pgno + 1) * of.ms_psize;
}

bool lmdb_env_open(const char *dir, int64_t size_max, bool is_durable, struct lmdb_env **out, struct err *err)
{
	struct lmdb_env *env = calloc(1, sizeof *env);

	if (!env)
		return err_memory(err);
	env->is_durable = is_durable;
	env->size_max = whole_pages(size_max);
	env->last = &env->first;
	pthread_rwlock_init(&env->resize, NULL);
	pthread_mutex_init(&env->spare_mutex, NULL);
	pthread_mutex_init(&env->mutex, NULL);
	if (snprintf(env->path, sizeof env->path, "%s", dir) >= (int)sizeof env->path) {
		lmdb_env_close(env);
		return err_set(err, ERR_CONFIG, "store %.200s: path too long", dir);
	}
	if (!open_files(env, err)) {
		lmdb_env_close(env);
		return false;
	}
	atomic_store(&env->is_dirty, !is_durable);     /* who had it before may have died */
	keep_reserve(env);
	*out = env;
	return true;
}

bool lmdb_env_is_cut(const struct lmdb_env *env)
{
	MDB_envinfo info;
	MDB_stat stat_of;
	struct stat st;
	int fd;

	return mdb_env_info(env->env, &info) != 0 || mdb_env_stat(env->env, &stat_of) != 0 ||
	       mdb_env_get_fd(env->env, &fd) != 0 || fstat(fd, &st) != 0 ||
	       (uint64_t)st.st_size < (uint64_t)(info.me_last_pgno + 1) * stat_of.ms_psize;
}

static void sync_now(struct lmdb_env *env)
{
	int code;

	if (!env->env || !atomic_exchange(&env->is_dirty, false) || (code = mdb_env_sync(env->env, 1)) == 0)
		return;
	if (!env->has_lost)
		log_error("store %s: sync: %s", env->path, mdb_strerror(code));
	env->has_lost = true;
	atomic_store(&env->is_dirty, true);
}

static void close_files(struct lmdb_env *env)
{
	while (env->spare_count)
		mdb_txn_abort(env->spares[--env->spare_count]);
	mdb_env_close(env->env);               /* of NULL is fine */
	env->env = NULL;
}

bool lmdb_env_close(struct lmdb_env *env)
{
	if (!env)
		return true;
	sync_now(env);

	bool is_synced = !env->has_lost && !atomic_load(&env->is_dirty);

	close_files(env);
	pthread_mutex_destroy(&env->mutex);
	pthread_mutex_destroy(&env->spare_mutex);
	pthread_rwlock_destroy(&env->resize);
	free(env);
	return is_synced;
}

/* --- transactions */

/* The map moves, so no transaction of ours may run. The wait is bounded, for a scan's callback may be waiting for us. */
static bool stop_all(struct lmdb_env *env)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec++;
	return pthread_rwlock_timedwrlock(&env->resize, &until) == 0;
}

static bool resize_map(struct lmdb_env *env, size_t size)
{
	if (!stop_all(env))
		return false;

	/* What is in use already stays in the map, whatever we ask for. */
	bool ok = env->env && mdb_env_set_mapsize(env->env, size) == 0;

	pthread_rwlock_unlock(&env->resize);
	return ok;
}

/*
 * A commit whose very last write fails, that of the header, makes LMDB refuse all work of this process (MDB_PANIC), though
 * nothing is damaged: the header of the commit before is on disk. `seen`: the opening that panicked; another thread may
 * have been quicker.
 */
static bool reopen(struct lmdb_env *env, unsigned int seen, struct err *err)
{
	bool ok = true;

	if (!stop_all(env))
		return lmdb_fail(env, MDB_PANIC, err);
	if (env->openings == seen) {
		close_files(env);
		ok = open_files(env, err);
		if (!ok)
			close_files(env);
		env->openings += ok;
	}
	pthread_rwlock_unlock(&env->resize);
	return ok;
}

/* NULL: none is left. */
static MDB_txn *take_spare(struct lmdb_env *env)
{
	MDB_txn *txn = NULL;

	pthread_mutex_lock(&env->spare_mutex);
	if (env->spare_count)
		txn = env->spares[--env->spare_count];
	pthread_mutex_unlock(&env->spare_mutex);
	return txn;
}

static void keep_spare(struct lmdb_env *env, MDB_txn *txn)
{
	mdb_txn_reset(txn);
	pthread_mutex_lock(&env->spare_mutex);
	if (env->spare_count < SPARES_MAX) {
		env->spares[env->spare_count++] = txn;
		txn = NULL;
	}
	pthread_mutex_unlock(&env->spare_mutex);
	mdb_txn_abort(txn);                    /* of NULL is fine */
}

static int begin_here(struct lmdb_env *env, unsigned int flags, MDB_txn **out)
{
	MDB_txn *spare = flags & MDB_RDONLY ? take_spare(env) : NULL;

	if (!spare)
		return mdb_txn_begin(env->env, NULL, flags, out);

	int code = mdb_txn_renew(spare);

	if (code)
		mdb_txn_abort(spare);
	*out = spare;
	return code;
}

static int begin_once(struct lmdb_env *env, unsigned int flags, struct lmdb_txn *out, unsigned int *out_opening)
{
	pthread_rwlock_rdlock(&env->resize);
	*out = (struct lmdb_txn){ .dbi = env->dbi, .env = env, .now_us = clock_now_us() };
	*out_opening = env->openings;

	int code = env->env ? begin_here(env, flags, &out->txn) : MDB_PANIC;

	if (code == MDB_READERS_FULL)
		mdb_reader_check(env->env, NULL);
	if (code)
		pthread_rwlock_unlock(&env->resize);
	return code;
}

/* On success the caller holds `resize` for reading until end(). */
static bool begin(struct lmdb_env *env, unsigned int flags, struct lmdb_txn *out, struct err *err)
{
	unsigned int opening;
	int code = 0;

	for (int tries = 0; tries < 3; tries++) {
		code = begin_once(env, flags, out, &opening);
		if (code == 0)
			return true;
		if (code == MDB_MAP_RESIZED)    /* another process may use more than we do, and did */
			resize_map(env, env->size_max);
		else if (code == MDB_PANIC && !reopen(env, opening, err))
			return false;
		else if (code != MDB_PANIC && code != MDB_READERS_FULL)
			break;
	}
	return lmdb_fail(env, code, err);
}

static void end(struct lmdb_txn *txn)
{
	mdb_txn_abort(txn->txn);
	pthread_rwlock_unlock(&txn->env->resize);
}

static bool commit(struct lmdb_txn *txn, struct err *err)
{
	int code = mdb_txn_commit(txn->txn);

	pthread_rwlock_unlock(&txn->env->resize);
	if (code)
		return lmdb_fail(txn->env, code, err);
	if (!txn->env->is_durable)
		atomic_store(&txn->env->is_dirty, true);
	return true;
}

bool lmdb_env_read(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err)
{
	struct lmdb_txn txn;

	if (!begin(env, MDB_RDONLY, &txn, err))
		return false;

	bool ok = work(&txn, arg, err);

	keep_spare(env, txn.txn);
	pthread_rwlock_unlock(&env->resize);
	return ok;
}

/* All of the row, or only its first, in one transaction. False: not one of them was done. */
static bool write_row(struct lmdb_env *env, struct waiter *first, bool is_row, struct err *err)
{
	struct lmdb_txn txn;
	bool ok = true;

	if (!begin(env, 0, &txn, err))
		return false;
	for (struct waiter *waiter = first; ok && waiter; waiter = is_row ? waiter->next : NULL)
		ok = waiter->work(&txn, waiter->arg, err);
	ok = ok && lmdb_sweep(&txn, txn.reminders + SWEEP_LEAST, err);
	if (ok)
		return commit(&txn, err);
	end(&txn);
	return false;
}

static bool sweep_alone(struct lmdb_env *env, size_t most)
{
	struct lmdb_txn txn;

	if (!begin(env, 0, &txn, NULL))
		return false;
	if (lmdb_sweep(&txn, most, NULL))
		return commit(&txn, NULL);
	end(&txn);
	return false;
}

/*
 * A full map may only be full of what has expired. But removing needs new pages before it frees old ones, so it gets a
 * reserve that nothing else may use.
 */
static bool make_room(struct lmdb_env *env)
{
	bool was_any = false;

	if (!lmdb_env_read(env, lmdb_is_due, NULL, NULL) || !resize_map(env, env->size_max + RESERVE))
		return false;
	for (int step = 0; step < SWEEP_FULL_STEPS && lmdb_env_read(env, lmdb_is_due, NULL, NULL); step++)
		if (sweep_alone(env, SWEEP_FULL))
			was_any = true;
		else
			break;
	resize_map(env, env->size_max);
	return was_any;
}

static bool write_one(struct lmdb_env *env, struct waiter *waiter)
{
	unsigned long shortages = memory_shortages();
	struct err err = { 0 };

	if (write_row(env, waiter, false, &err))
		return true;
	if (err.kind == ERR_FULL && make_room(env) && write_row(env, waiter, false, &err))
		return true;
	waiter->was_short = memory_shortages() != shortages;
	if (waiter->err)
		*waiter->err = err;
	return false;
}

/* Called with the mutex, and the row's first waiter being the caller: works for all who wait, then wakes them. */
static void lead(struct lmdb_env *env)
{
	struct waiter *row = env->first, *next;

	env->first = NULL;
	env->last = &env->first;
	env->is_led = true;
	pthread_mutex_unlock(&env->mutex);

	bool is_all = row->next && write_row(env, row, true, NULL);

	for (struct waiter *waiter = row; waiter; waiter = waiter->next)
		waiter->is_ok = is_all || write_one(env, waiter);

	pthread_mutex_lock(&env->mutex);
	env->is_led = false;
	for (struct waiter *waiter = row; waiter; waiter = next) {
		next = waiter->next;            /* once it is done, it is gone as soon as the mutex is free */
		waiter->is_done = true;
		pthread_cond_signal(&waiter->turned);
	}
	if (env->first)
		pthread_cond_signal(&env->first->turned);
}

bool lmdb_env_write(struct lmdb_env *env, lmdb_work *work, void *arg, struct err *err)
{
	struct waiter own = { .work = work, .arg = arg, .err = err, .turned = PTHREAD_COND_INITIALIZER };

	pthread_mutex_lock(&env->mutex);
	*env->last = &own;
	env->last = &own.next;
	while (!own.is_done) {
		if (env->is_led || env->first != &own)
			pthread_cond_wait(&own.turned, &env->mutex);
		else
			lead(env);
	}
	pthread_mutex_unlock(&env->mutex);
	pthread_cond_destroy(&own.turned);
	if (own.was_short)
		memory_ran_out();
	return own.is_ok;
}

void lmdb_env_tend(struct lmdb_env *env)
{
	if (lmdb_env_read(env, lmdb_is_due, NULL, NULL))
		sweep_alone(env, SWEEP_TEND);
	pthread_rwlock_rdlock(&env->resize);
	if (env->env)
		mdb_reader_check(env->env, NULL);
	sync_now(env);
	pthread_rwlock_unlock(&env->resize);
}
