#include "milter/maillog.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/maillog_file.h"
#include "milter/maillog_outcome.h"

#define POSITION_MAX 256
#define IDLE_MS 250                    /* between looks at a log without news */
#define RETRY_MS 1000
#define SAVE_US (2 * US_PER_S)         /* a queued record is on disk by then */
#define LINES_A_LOOK 512

struct maillog {
	struct maillog_judge judge;
	struct maillog_file *file;
	char path[PATH_MAX], position_path[PATH_MAX];
	struct maillog_position reached, saved;    /* reached: becomes saved when it is old enough */
	int64_t reached_at_us;         /* monotonic */
	char told[ERR_TEXT_MAX];       /* the failure that was logged last; empty: none since */

	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	_Atomic bool is_stopping;
};

/* A failure is told once, however often it is met. */
static void tell_failure(struct maillog *m, const struct err *err)
{
	if (strcmp(m->told, err->text) == 0)
		return;
	memcpy(m->told, err->text, sizeof m->told);
	log_warn("maillog: %s; trying again", m->told);
}

static void pause_ms(struct maillog *m, int64_t ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += ms % 1000 * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&m->lock);
	while (!m->is_stopping && pthread_cond_timedwait(&m->wake, &m->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&m->lock);
}

/* --- position */

static bool load_position(struct maillog *m, struct maillog_position *out)
{
	struct buf text;
	struct err err;

	buf_init(&text, POSITION_MAX);

	bool ok = io_read_file(m->position_path, &text, &err) && maillog_position_parse(buf_view(&text), out);

	buf_clear(&text);
	return ok;
}

static void save_position(struct maillog *m, const struct maillog_position *position)
{
	struct buf text;
	struct err err;

	buf_init(&text, POSITION_MAX);
	maillog_position_format(position, &text);
	if (io_replace_file(m->position_path, buf_view(&text), 0640, &err))
		m->saved = *position;
	else
		tell_failure(m, &err);
	buf_clear(&text);
}

static bool is_same(const struct maillog_position *a, const struct maillog_position *b)
{
	return a->inode == b->inode && a->offset == b->offset && a->print_len == b->print_len && a->print == b->print;
}

static void keep_position(struct maillog *m)
{
	int64_t now_us = clock_mono_us();

	if (now_us < m->reached_at_us + SAVE_US)
		return;
	if (m->reached_at_us && !is_same(&m->reached, &m->saved))
		save_position(m, &m->reached);
	maillog_file_position(m->file, &m->reached);
	m->reached.saved_us = clock_now_us();
	m->reached_at_us = now_us;
}

/* --- following */

static void measure(struct maillog *m)
{
	int64_t behind = maillog_file_behind(m->file), lag_us = clock_now_us() - m->judge.last_stamp_us;

	metrics_set(METRIC_MAILLOG_BEHIND, behind);
	metrics_set(METRIC_MAILLOG_LAG, behind == 0 || m->judge.last_stamp_us == 0 || lag_us < 0 ? 0 : lag_us / US_PER_S);
}

/* The line stays where it is until the judge has taken it. */
static void judge_line(struct maillog *m, struct str line)
{
	struct err err;

	while (!maillog_judge_line(&m->judge, line, &err)) {
		tell_failure(m, &err);
		measure(m);
		if (m->is_stopping)
			return;
		pause_ms(m, RETRY_MS);
	}
	m->told[0] = '\0';
}

/* False: there is nothing more to read now. */
static bool follow_some(struct maillog *m)
{
	struct str line;
	struct err err;
	bool found = true;

	for (int i = 0; i < LINES_A_LOOK && found && !m->is_stopping; i++) {
		if (!maillog_file_next(m->file, &line, &found, &err)) {
			tell_failure(m, &err);
			return false;
		}
		if (found)
			judge_line(m, line);
	}
	return found;
}

static void learn_the_past(struct maillog *m, int64_t since_us)
{
	struct config *config = config_acquire();
	struct err err;

	if (!maillog_judge_recall(&m->judge, config, since_us, &m->is_stopping, &err))
		log_warn("maillog: outcomes of messages from before the start may be missing: %s", err.text);
	config_release(config);
}

static bool open_file(struct maillog *m)
{
	struct maillog_position from;
	struct err err;
	bool has_position = load_position(m, &from), is_found;

	learn_the_past(m, has_position ? from.saved_us - SAVE_US : 0);
	while (!maillog_file_open(str_from_c(m->path), has_position ? &from : NULL, &m->file, &is_found, &err)) {
		tell_failure(m, &err);
		pause_ms(m, RETRY_MS);
		if (m->is_stopping)
			return false;
	}
	if (is_found)
		m->saved = from;
	else if (has_position)
		log_warn("maillog: %s is not the file that was read last, and that one is gone; reading from its beginning",
			 m->path);
	return true;
}

static void *follow(void *arg)
{
	struct maillog *m = arg;

	if (!open_file(m))
		return NULL;
	while (!m->is_stopping) {
		bool has_more = follow_some(m);

		measure(m);
		keep_position(m);
		if (!has_more)
			pause_ms(m, IDLE_MS);
	}
	return NULL;
}

/* --- start and stop */

static void maillog_free(struct maillog *m)
{
	maillog_file_close(m->file);
	pthread_cond_destroy(&m->wake);
	pthread_mutex_destroy(&m->lock);
	free(m);
}

static bool start_thread(struct maillog *m, struct err *err)
{
	sigset_t all, before;

	/* Signals belong to main. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&m->thread, NULL, follow, m);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return errno == 0 || err_errno(err, ERR_BUSY, "maillog: thread");
}

static struct maillog *maillog_new(struct gate *gate, const struct config *config)
{
	struct maillog *m = calloc(1, sizeof *m);
	pthread_condattr_t attr;

	if (!m)
		return NULL;
	m->judge.gate = gate;
	m->judge.map = gate->queue_ids;
	snprintf(m->path, sizeof m->path, STR_FMT, STR_ARG(config->maillog_path));
	snprintf(m->position_path, sizeof m->position_path, STR_FMT "/maillog.position", STR_ARG(config->state_dir));
	pthread_mutex_init(&m->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&m->wake, &attr);
	pthread_condattr_destroy(&attr);
	return m;
}

bool maillog_start(struct gate *gate, const struct config *config, struct maillog **out, struct err *err)
{
	struct maillog *m;

	*out = NULL;
	if (config->maillog_path.len == 0)
		return true;
	m = maillog_new(gate, config);
	if (!m)
		return err_memory(err);
	if (!start_thread(m, err)) {
		maillog_free(m);
		return false;
	}
	*out = m;
	return true;
}

void maillog_stop(struct maillog *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	m->is_stopping = true;
	pthread_cond_signal(&m->wake);
	pthread_mutex_unlock(&m->lock);
	pthread_join(m->thread, NULL);
	maillog_free(m);
}
