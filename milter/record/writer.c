#include "milter/record/writer.h"

#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "milter/record/entry.h"
#include "milter/record/queue.h"
#include "milter/record/seal.h"

#define DISK_LOOK_US US_PER_S
#define CHECKPOINT_BUSY_US (60 * US_PER_S)
#define CHECKPOINT_IDLE_US HOUR_US
#define PART_MAX (INT64_C(256) << 20)
#define QUEUE_MAX ((size_t)64 << 20)

struct record_writer {
	struct commit commit;
	struct sign_key *key;
	struct seal *seal;             /* NULL: lines are plain */
	char dir[PATH_MAX], node[ENTRY_NAME_MAX + 1], class_name[ENTRY_NAME_MAX + 1];
	int64_t checkpoint_busy_us, checkpoint_idle_us, disk_warn_percent;
	size_t queue_max;
	pthread_t thread;

	pthread_mutex_t lock;          /* guards what follows */
	pthread_cond_t wake;
	struct queue queue;
	bool is_led;                   /* somebody commits a group, or shall: see is_vacant */
	bool is_stopping;
	int64_t due_us, sleeps_until_us;       /* the next checkpoint; the thread. Both monotonic */
	struct record_writer_state state;
	size_t event;                  /* of who comes now */

	struct eventcount events[2];   /* by turns of those whose group is being committed, and of those who wait for the next */
	atomic_bool is_vacant;         /* whoever of those who wait sees it first leads */

	int64_t unsigned_since_us;     /* the leader's own, as `commit` is, monotonic: 0 all signed */
	int64_t signed_at_us, disk_looked_us;
};

static void look_at_disk(struct record_writer *writer, int64_t mono_us)
{
	struct statvfs fs;

	if (writer->disk_looked_us && mono_us - writer->disk_looked_us < DISK_LOOK_US)
		return;
	writer->disk_looked_us = mono_us;
	if (statvfs(writer->dir, &fs) != 0 || fs.f_blocks == 0)
		return;

	int percent = (int)((unsigned __int128)fs.f_bavail * 100 / fs.f_blocks);
	bool is_low = percent < writer->disk_warn_percent;

	if (is_low != writer->state.is_low)
		log_warn("%s: %d %% of the disk is free%s", writer->dir, percent, is_low ? "" : " again");
	pthread_mutex_lock(&writer->lock);
	writer->state.free_percent = percent;
	writer->state.is_low = is_low;
	pthread_mutex_unlock(&writer->lock);
	metrics_set(METRIC_LOG_FREE_PERCENT, percent);
}

static void note_success(struct record_writer *writer, int64_t records)
{
	const struct commit *commit = &writer->commit;
	struct record_writer_state *state = &writer->state;

	pthread_mutex_lock(&writer->lock);
	state->seq = commit->tail.head.seq;
	state->records += records;
	state->groups += commit->octets > 0;
	state->bytes += commit->octets;
	state->damages = commit->damages;
	state->sync_us_last = commit->sync_us;
	if (commit->sync_us > state->sync_us_max)
		state->sync_us_max = commit->sync_us;
	state->is_full = false;
	state->clock = timesync_name(commit->sync).ptr;
	state->clock_error_us = commit->clock_error_us;
	if (commit->tail.head.signed_seq == commit->tail.head.seq)
		state->last_checkpoint_us = commit->tail.head.time_us;
	record_file_name(commit->tail.file, state->file);
	pthread_mutex_unlock(&writer->lock);
	metrics_add(METRIC_RECORDS, records);
	metrics_add(METRIC_RECORD_GROUPS, commit->octets > 0);
	metrics_add(METRIC_RECORD_BYTES, commit->octets);
	metrics_set(METRIC_CLOCK_ERROR_US, commit->clock_error_us);
}

static void note_refusal(struct record_writer *writer, const struct err *err)
{
	pthread_mutex_lock(&writer->lock);
	writer->state.is_full = err->kind == ERR_FULL;
	pthread_mutex_unlock(&writer->lock);
}

static void note_failures(struct record_writer *writer, int64_t records)
{
	pthread_mutex_lock(&writer->lock);
	writer->state.failures += records;
	pthread_mutex_unlock(&writer->lock);
	metrics_add(METRIC_RECORD_FAILURES, records);
}

/* Monotonic; INT64_MAX: never. */
static int64_t checkpoint_due_us(const struct record_writer *writer)
{
	int64_t busy = writer->unsigned_since_us ? writer->unsigned_since_us + writer->checkpoint_busy_us : INT64_MAX;
	int64_t idle = writer->signed_at_us + writer->checkpoint_idle_us;

	if (!writer->key)
		return INT64_MAX;
	return busy < idle ? busy : idle;
}

static bool commit_now(struct record_writer *writer, struct commit_item *first, int64_t records, bool is_signed,
		       struct err *err)
{
	struct commit *commit = &writer->commit;
	bool ok = commit_group(commit, first, is_signed, err);
	int64_t mono_us = clock_mono_us();

	if (ok)
		note_success(writer, records);
	else
		note_refusal(writer, err);

	/* A checkpoint that failed is tried again after the usual time, not at once. */
	if (is_signed || commit->tail.head.signed_seq == commit->tail.head.seq)
		writer->signed_at_us = mono_us;
	if (commit->tail.head.signed_seq == commit->tail.head.seq)
		writer->unsigned_since_us = 0;
	else if (is_signed || writer->unsigned_since_us == 0)
		writer->unsigned_since_us = mono_us;
	look_at_disk(writer, mono_us);
	return ok;
}

static void answer(struct waiting *waiting, bool ok, const struct err *err)
{
	if (waiting->wait == RECORD_QUEUED) {
		buf_clear(&waiting->text);
		free(waiting);
		return;
	}
	waiting->is_ok = ok;
	if (!ok && waiting->err)
		*waiting->err = *err;
	waiting->is_done = true;                    /* from here on it may be gone */
}

static void answer_all(struct record_writer *writer, struct commit_item *first, bool ok, const struct err *err)
{
	int64_t lost = 0;
	bool wakes[2] = { false, false };           /* what one group could not hold has the event of the one before */

	for (struct commit_item *item = first, *next; item; item = next) {
		next = item->next;
		lost += !ok && waiting_of(item)->wait == RECORD_QUEUED;
		if (waiting_of(item)->event)
			wakes[waiting_of(item)->event - writer->events] = true;
		answer(waiting_of(item), ok, err);
	}
	for (size_t i = 0; i < 2; i++)
		if (wakes[i])
			eventcount_wake_all(&writer->events[i]);
	if (lost) {
		note_failures(writer, lost);
		log_error("%lld records that nobody waited for are lost: %s", (long long)lost, err->text);
	}
}

/* Called with the lock: what the disk said to a group. Returns those of it who are to be told. */
static struct commit_item *settle(struct record_writer *writer, struct commit_item *group, bool ok, const struct err *err)
{
	struct queue *queue = &writer->queue;

	if (ok)
		queue_written(queue);
	else if (!writer->is_stopping && (err->kind == ERR_BUSY || err->kind == ERR_FULL))
		group = queue_refused(queue, group, clock_mono_us());
	if (!ok && queue->kept && !writer->state.is_behind)
		log_error("%s: records that nobody waits for stay in memory until the disk takes them: %s", writer->dir, err->text);
	writer->state.is_behind = queue->kept != NULL;
	return group;
}

/* Until when the thread may sleep. */
static int64_t wakes_us(const struct record_writer *writer)
{
	return writer->queue.kept && writer->queue.retry_us < writer->due_us ? writer->queue.retry_us : writer->due_us;
}

/* Called with the lock by who has led: one of those who wait is next, and until he has woken up more come to wait with him.
 * What nobody waits for is the thread's, and so is a checkpoint in time. Returns what to wake one of without the lock, or NULL. */
static struct eventcount *pass_on(struct record_writer *writer)
{
	struct waiting *next = writer->queue.first ? waiting_of(writer->queue.first) : NULL;

	writer->is_led = next && next->wait == RECORD_DURABLE;
	writer->is_vacant = writer->is_led;
	writer->due_us = checkpoint_due_us(writer);
	if ((next && !writer->is_led) || writer->is_stopping || wakes_us(writer) < writer->sleeps_until_us)
		pthread_cond_signal(&writer->wake);
	return writer->is_led ? next->event : NULL;
}

/* Commits one group; the caller is the one who leads. */
static void lead(struct record_writer *writer)
{
	int64_t records;
	struct err err = { .kind = ERR_NONE };

	pthread_mutex_lock(&writer->lock);
	struct commit_item *group = queue_take(&writer->queue, writer->is_stopping ? INT64_MAX : clock_mono_us(), &records);

	writer->event = !writer->event;

	pthread_mutex_unlock(&writer->lock);
	bool ok = commit_now(writer, group, records, clock_mono_us() >= checkpoint_due_us(writer), &err);

	if (!ok && !group)
		log_error("checkpoint: %s", err.text);
	pthread_mutex_lock(&writer->lock);
	group = settle(writer, group, ok, &err);

	struct eventcount *next = pass_on(writer);

	pthread_mutex_unlock(&writer->lock);
	if (next)
		eventcount_wake_one(next);
	answer_all(writer, group, ok, &err);
}

/* While others lead they sign in time themselves; this is for when they end before it. */
#define DUE_AGAIN_US (10 * 1000)

/* Sleeps until nobody leads and there is something to do; false when it is time to end. */
static bool wait_for_work(struct record_writer *writer)
{
	for (;;) {
		int64_t now_us = clock_mono_us(), wakes = wakes_us(writer), until_us = wakes > now_us ? wakes : now_us + DUE_AGAIN_US;
		struct timespec until = { .tv_sec = until_us / US_PER_S, .tv_nsec = until_us % US_PER_S * 1000 };

		if (!writer->is_led && (writer->queue.first || writer->is_stopping || wakes <= now_us))
			return writer->queue.first || writer->queue.kept || !writer->is_stopping;
		writer->sleeps_until_us = until_us;
		if (until_us == INT64_MAX)
			pthread_cond_wait(&writer->wake, &writer->lock);
		else
			pthread_cond_timedwait(&writer->wake, &writer->lock, &until);
	}
}

static void *run(void *arg)
{
	struct record_writer *writer = arg;

	pthread_mutex_lock(&writer->lock);
	while (wait_for_work(writer)) {
		writer->is_led = true;
		pthread_mutex_unlock(&writer->lock);
		lead(writer);
		pthread_mutex_lock(&writer->lock);
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

static bool start_thread(struct record_writer *writer, struct err *err)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);   /* signals are for the threads that wait for them */
	int r = pthread_create(&writer->thread, NULL, run, writer);

	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r == 0 || err_set(err, ERR_BUSY, "thread for the relay log: %s", strerrordesc_np(r));
}

static bool take_names(struct record_writer *writer, const struct record_writer_config *config, struct err *err)
{
	struct str dir = config->dir, parent, name;

	while (dir.len > 1 && dir.ptr[dir.len - 1] == '/')
		dir.len--;
	if (!str_cut_last(dir, '/', &parent, &name))
		name = dir;
	if (dir.len >= sizeof writer->dir)
		return err_set(err, ERR_CONFIG, "the relay log's path is too long");
	if (!entry_is_name(name) || !entry_is_name(config->node))
		return err_set(err, ERR_CONFIG, "node \"" STR_FMT "\" and class \"" STR_FMT
			       "\" must be 1 to %d printable ASCII characters without blanks, quotes and slashes",
			       STR_ARG(config->node), STR_ARG(name), ENTRY_NAME_MAX);
	memcpy(writer->dir, dir.ptr, dir.len);
	memcpy(writer->class_name, name.ptr, name.len);
	memcpy(writer->node, config->node.ptr, config->node.len);
	return true;
}

static bool load_key(struct record_writer *writer, struct str path, struct err *err)
{
	char c_path[PATH_MAX];

	if (path.len == 0)
		return true;
	if (path.len >= sizeof c_path)
		return err_set(err, ERR_CONFIG, "the log key's path is too long");
	snprintf(c_path, sizeof c_path, STR_FMT, STR_ARG(path));
	return sign_key_load(c_path, &writer->key, err);
}

static void init_sync(struct record_writer *writer)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&writer->lock, NULL);
	queue_init(&writer->queue);
}

static void writer_free(struct record_writer *writer)
{
	commit_close(&writer->commit);
	sign_key_free(writer->key);
	seal_close(writer->seal);
	pthread_cond_destroy(&writer->wake);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

/* A relay that was renamed signs in its new name what it goes on with. */
static bool is_signed(const struct commit *commit)
{
	const struct tail_head *head = &commit->tail.head;

	return head->signed_seq == head->seq && str_eq(str_from_c(head->signed_node), commit->node);
}

/* Repairs, begins the day's file and signs what is not signed yet: a log that cannot be written is known at the start. */
static bool begin(struct record_writer *writer, struct err *err)
{
	struct commit *commit = &writer->commit;

	commit->node = str_from_c(writer->node);
	commit->class_name = str_from_c(writer->class_name);
	commit->key = writer->key;
	writer->signed_at_us = clock_mono_us();
	bool ok = commit_now(writer, NULL, 0, false, err) &&
		  (is_signed(commit) || !commit->key || commit_now(writer, NULL, 0, true, err));

	writer->due_us = checkpoint_due_us(writer);
	return ok;
}

bool record_writer_open(const struct record_writer_config *config, struct record_writer **out, struct err *err)
{
	struct record_writer *writer = calloc(1, sizeof *writer);

	if (!writer)
		return err_memory(err);
	init_sync(writer);
	writer->checkpoint_busy_us = config->checkpoint_busy_us > 0 ? config->checkpoint_busy_us : CHECKPOINT_BUSY_US;
	writer->checkpoint_idle_us = config->checkpoint_idle_us > 0 ? config->checkpoint_idle_us : CHECKPOINT_IDLE_US;
	writer->disk_warn_percent = config->disk_warn_percent;
	writer->commit.part_max = config->part_max ? config->part_max : PART_MAX;
	writer->queue_max = config->queue_max ? config->queue_max : QUEUE_MAX;
	writer->state.clock = "ok";
	writer->commit.tail.fd = writer->commit.tail.lock_fd = -1;
	if (!take_names(writer, config, err) || !load_key(writer, config->key_file, err) ||
	    (config->is_sealed && !seal_open(config->keyring, str_from_c(writer->class_name), &writer->seal, err)) ||
	    !commit_open(&writer->commit, writer->dir, config->preallocate, err) || !begin(writer, err) ||
	    !start_thread(writer, err)) {
		err_wrap(err, "relay log " STR_FMT, STR_ARG(config->dir));
		writer_free(writer);
		return false;
	}
	*out = writer;
	return true;
}

void record_writer_close(struct record_writer *writer)
{
	struct err err;

	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->is_stopping = true;
	pthread_cond_signal(&writer->wake);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	if (writer->key && writer->commit.tail.head.signed_seq != writer->commit.tail.head.seq &&
	    !commit_now(writer, NULL, 0, true, &err))
		log_error("last checkpoint: %s", err.text);
	writer_free(writer);
}

/* A flood of records that nobody waits for leaves room for those on which mail depends. */
static bool has_room(const struct record_writer *writer, const struct waiting *waiting)
{
	size_t max = waiting->wait == RECORD_DURABLE ? 2 * writer->queue_max : writer->queue_max;

	return writer->queue.octets + waiting_size(waiting) <= max;
}

/* *out_leads: nobody commits, so the caller does. What nobody waits for wakes the thread. */
static bool enqueue(struct record_writer *writer, struct waiting *waiting, bool *out_leads, struct err *err)
{
	bool ok = false;

	pthread_mutex_lock(&writer->lock);
	if (writer->is_stopping) {
		err_set(err, ERR_BUSY, "%s: closing", writer->dir);
	} else if (!has_room(writer, waiting)) {
		err_set(err, ERR_BUSY, "%s: %zu octets wait for the disk already", writer->dir, writer->queue.octets);
	} else {
		*out_leads = !writer->is_led && waiting->wait == RECORD_DURABLE;
		if (!writer->is_led && !*out_leads && !writer->queue.first)
			pthread_cond_signal(&writer->wake);
		writer->is_led |= *out_leads;
		waiting->event = waiting->wait == RECORD_DURABLE ? &writer->events[writer->event] : NULL;
		queue_put(&writer->queue, waiting);
		writer->state.is_behind |= writer->queue.kept != NULL;
		ok = true;
	}
	pthread_mutex_unlock(&writer->lock);
	return ok;
}

/* The bodies and a copy of the tenant's name go into one piece of memory. */
static bool format_waiting(struct record_writer *writer, struct waiting *waiting, const struct record_event *event,
			   char out_id[RECORD_ID_LEN + 1], struct err *err)
{
	struct record_event copy = *event;
	struct record_body *body = &waiting->item.body;
	int64_t now_us = clock_now_us();
	char id[RECORD_ID_LEN + 1];

	if (copy.tenant.len > COMMIT_TENANT_MAX)
		return err_set(err, ERR_INPUT, "a tenant's name of more than %d octets", COMMIT_TENANT_MAX);
	if (copy.id.len == 0) {
		record_id_new(now_us, id);
		copy.id = str_of(id, RECORD_ID_LEN);
	}
	if (out_id)
		snprintf(out_id, RECORD_ID_LEN + 1, STR_FMT, STR_ARG(copy.id));
	buf_init(&waiting->text, RECORD_LINE_MAX);
	if (!record_format_body(&copy, &waiting->text, body, err) ||
	    (writer->seal && !seal_body(writer->seal, &copy, now_us, &waiting->text, body, err)))
		return false;

	size_t head_len = body->head.len, tail_len = body->tail.len;
	struct str all;

	buf_add(&waiting->text, copy.tenant);
	if (!buf_done(&waiting->text, &all, err))
		return false;
	*body = (struct record_body){ str_slice(all, 0, head_len), str_slice(all, head_len, tail_len), body->open_len };
	waiting->item.tenant = str_from(all, head_len + tail_len);
	return true;
}

static bool append_queued(struct record_writer *writer, const struct record_event *event, char out_id[RECORD_ID_LEN + 1],
			  struct err *err)
{
	struct waiting *waiting = calloc(1, sizeof *waiting);
	bool leads;

	if (!waiting)
		return err_memory(err);
	waiting->wait = RECORD_QUEUED;
	if (format_waiting(writer, waiting, event, out_id, err) && enqueue(writer, waiting, &leads, err))
		return true;
	buf_clear(&waiting->text);
	free(waiting);
	return false;
}

/* Leads when it falls to it, until it is done. A group may be full before it comes to its leader. */
static void await(struct record_writer *writer, struct waiting *waiting, bool leads)
{
	for (uint32_t seen; seen = eventcount_read(waiting->event), !waiting->is_done; leads = false) {
		if (leads || atomic_exchange(&writer->is_vacant, false))
			lead(writer);
		else
			eventcount_sleep(waiting->event, seen);
	}
}

static bool append_durable(struct record_writer *writer, const struct record_event *event, char out_id[RECORD_ID_LEN + 1],
			   struct err *err)
{
	struct waiting waiting = { .wait = RECORD_DURABLE, .err = err };
	bool leads;

	bool ok = format_waiting(writer, &waiting, event, out_id, err) && enqueue(writer, &waiting, &leads, err);

	if (ok) {
		await(writer, &waiting, leads);
		ok = waiting.is_ok;
	}
	buf_clear(&waiting.text);
	return ok;
}

bool record_append(struct record_writer *writer, const struct record_event *event, enum record_wait wait,
		   char out_id[RECORD_ID_LEN + 1], struct err *err)
{
	bool ok = wait == RECORD_DURABLE ? append_durable(writer, event, out_id, err)
					 : append_queued(writer, event, out_id, err);

	if (!ok)
		note_failures(writer, 1);
	return ok;
}

void record_writer_state(struct record_writer *writer, struct record_writer_state *out)
{
	pthread_mutex_lock(&writer->lock);
	*out = writer->state;
	pthread_mutex_unlock(&writer->lock);
}
