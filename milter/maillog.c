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
#include "config/base/num.h"
#include "milter/maillog_outcome.h"
#include "milter/maillog_source.h"

/* state_dir/maillog.position: "POSITION SAVED\n", the source's own words and when, in microseconds. */
#define FILE_MAX (MAILLOG_POSITION_MAX + 32)
#define IDLE_MS 250                    /* between looks at a log without news */
#define RETRY_MS 1000
#define SAVE_US (2 * US_PER_S)         /* a queued record is on disk by then */
#define LINES_A_LOOK 512
#define LATE_US (600 * US_PER_S)       /* so far behind is worth a line to the operator */

struct maillog {
	struct maillog_judge judge;
	const struct maillog_source_ops *ops;
	void *source;
	char where[PATH_MAX], position_path[PATH_MAX];
	char reached[MAILLOG_POSITION_MAX], saved[MAILLOG_POSITION_MAX];      /* reached: becomes saved when it is old enough */
	int64_t reached_at_us;         /* monotonic */
	int64_t reached_us;            /* wall clock */
	bool is_late;                  /* it was said */
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

static bool load_position(struct maillog *m, int64_t *out_saved_us)
{
	struct str text, position, saved;
	struct buf file;
	struct err err;

	buf_init(&file, FILE_MAX);

	bool ok = io_read_file(m->position_path, &file, &err);

	text = str_trim(buf_view(&file));
	ok = ok && str_cut_last(text, ' ', &position, &saved) && num_parse_i64(saved, out_saved_us) && position.len < sizeof m->saved;
	if (ok)
		snprintf(m->saved, sizeof m->saved, STR_FMT, STR_ARG(position));
	buf_clear(&file);
	return ok;
}

static void save_position(struct maillog *m)
{
	struct buf file;
	struct err err;

	buf_init(&file, FILE_MAX);
	buf_printf(&file, "%s %lld\n", m->reached, (long long)m->reached_us);
	if (io_replace_file(m->position_path, buf_view(&file), 0640, &err))
		memcpy(m->saved, m->reached, sizeof m->saved);
	else
		tell_failure(m, &err);
	buf_clear(&file);
}

static void keep_position(struct maillog *m)
{
	int64_t now_us = clock_mono_us();
	struct buf text;

	if (now_us < m->reached_at_us + SAVE_US)
		return;
	if (m->reached[0] && strcmp(m->reached, m->saved) != 0)
		save_position(m);
	buf_init(&text, MAILLOG_POSITION_MAX - 1);
	m->ops->position(m->source, &text);
	snprintf(m->reached, sizeof m->reached, STR_FMT, STR_ARG(buf_view(&text)));
	buf_clear(&text);
	m->reached_us = clock_now_us();
	m->reached_at_us = now_us;
}

/* --- following */

/* Said once when it is far behind, and once when it has caught up. */
static void tell_lateness(struct maillog *m, int64_t lag_us)
{
	if (lag_us >= LATE_US && !m->is_late)
		log_warn("maillog: %lld minutes behind the MTA's log; outcomes are told as fast as they can be read",
			 (long long)(lag_us / (60 * US_PER_S)));
	if (lag_us == 0 && m->is_late)
		log_info("maillog: has caught up with the MTA's log");
	m->is_late = lag_us >= LATE_US || (m->is_late && lag_us > 0);
}

static void measure(struct maillog *m)
{
	int64_t behind = m->ops->behind(m->source), lag_us = clock_now_us() - m->judge.last_stamp_us;

	if (behind == 0 || m->judge.last_stamp_us == 0 || lag_us < 0)
		lag_us = 0;
	metrics_set(METRIC_MAILLOG_BEHIND, behind == MAILLOG_BEHIND_UNKNOWN ? 0 : behind);
	metrics_set(METRIC_MAILLOG_LAG, lag_us / US_PER_S);
	tell_lateness(m, lag_us);
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
		if (!m->ops->next(m->source, &line, &found, &err)) {
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

static bool open_source(struct maillog *m)
{
	struct err err;
	int64_t saved_us;
	bool has_position = load_position(m, &saved_us), is_found;

	learn_the_past(m, has_position ? saved_us - SAVE_US : 0);
	while (!m->ops->open(str_from_c(m->where), str_from_c(m->saved), &m->source, &is_found, &err)) {
		tell_failure(m, &err);
		pause_ms(m, RETRY_MS);
		if (m->is_stopping)
			return false;
	}
	if (is_found || !has_position)
		return true;
	log_warn("maillog: %s does not have the place that was read last any more; reading from its beginning", m->where);
	m->saved[0] = '\0';
	return true;
}

static void *follow(void *arg)
{
	struct maillog *m = arg;

	if (!open_source(m))
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
	m->ops->close(m->source);
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
	m->ops = config->maillog_journal.len ? &maillog_source_journal : &maillog_source_file;
	snprintf(m->where, sizeof m->where, STR_FMT,
		 STR_ARG(config->maillog_journal.len ? config->maillog_journal : config->maillog_path));
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
	if (!config_follows_maillog(config))
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
