#include "milter/maillog.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "milter/maillog_outcome.h"
#include "milter/maillog_source.h"

/* state_dir/maillog.position: "POSITION SAVED\n", the source's own words and when, in microseconds. */
#define FILE_MAX (MAILLOG_POSITION_MAX + 32)
#define IDLE_US (US_PER_S / 4)         /* between looks at a log without news */
#define RETRY_US US_PER_S
#define SAVE_US (2 * US_PER_S)         /* a queued record is on disk by then, or the gate is behind */
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

	struct task task;
};

/* A failure is told once, however often it is met. */
static void tell_failure(struct maillog *m, const struct err *err)
{
	if (strcmp(m->told, err->text) == 0)
		return;
	memcpy(m->told, err->text, sizeof m->told);
	log_warn("maillog: %s; trying again", m->told);
}

/* --- position */

static bool parse_position(struct maillog *m, struct str text, int64_t *out_saved_us)
{
	struct str position, saved;

	if (!str_cut_last(str_trim(text), ' ', &position, &saved) || position.len >= sizeof m->saved ||
	    !num_parse_i64(saved, out_saved_us))
		return false;
	snprintf(m->saved, sizeof m->saved, STR_FMT, STR_ARG(position));
	return true;
}

/* *out_found false: there is none, or what is there is none. */
static bool load_position(struct maillog *m, bool *out_found, int64_t *out_saved_us, struct err *err)
{
	struct buf file;
	bool ok;

	*out_found = false;
	if (access(m->position_path, R_OK) != 0 && (errno == ENOENT || errno == EACCES))
		return true;                   /* what is not for us to read we replace */
	buf_init(&file, FILE_MAX);
	ok = io_read_file(m->position_path, &file, err);
	*out_found = ok && parse_position(m, buf_view(&file), out_saved_us);
	buf_clear(&file);
	return ok || err->kind == ERR_INPUT;
}

static void save_position(struct maillog *m)
{
	char file[FILE_MAX];
	struct err err;

	snprintf(file, sizeof file, "%s %lld\n", m->reached, (long long)m->reached_us);
	if (io_replace_file(m->position_path, str_from_c(file), 0640, &err))
		memcpy(m->saved, m->reached, sizeof m->saved);
	else
		tell_failure(m, &err);
}

static void keep_position(struct maillog *m)
{
	int64_t now_us = clock_mono_us();
	struct buf text;

	if (now_us < m->reached_at_us + SAVE_US || gate_is_behind(m->judge.gate))
		return;
	if (m->reached[0] && strcmp(m->reached, m->saved) != 0)
		save_position(m);
	buf_init(&text, MAILLOG_POSITION_MAX - 1);
	m->ops->position(m->source, &text);
	if (!text.failed) {                     /* else that of before holds until the next look */
		snprintf(m->reached, sizeof m->reached, STR_FMT, STR_ARG(buf_view(&text)));
		m->reached_us = clock_now_us();
		m->reached_at_us = now_us;
	}
	buf_clear(&text);
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
		if (!task_wait(&m->task, RETRY_US))
			return;
	}
	m->told[0] = '\0';
}

/* False: there is nothing more to read now. */
static bool follow_some(struct maillog *m)
{
	struct str line;
	struct err err;
	bool found = true;

	for (int i = 0; i < LINES_A_LOOK && found && !task_is_stopping(&m->task); i++) {
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

	if (!maillog_judge_recall(&m->judge, config, since_us, &m->task.is_stopping, &err))
		log_warn("maillog: outcomes of messages from before the start may be missing: %s", err.text);
	config_release(config);
}

static bool open_source(struct maillog *m)
{
	struct err err;
	int64_t saved_us;
	bool has_position, is_found;

	while (!load_position(m, &has_position, &saved_us, &err)) {
		tell_failure(m, &err);
		if (!task_wait(&m->task, RETRY_US))
			return false;
	}
	learn_the_past(m, has_position ? saved_us - SAVE_US : 0);
	while (!m->ops->open(str_from_c(m->where), str_from_c(m->saved), &m->source, &is_found, &err)) {
		tell_failure(m, &err);
		if (!task_wait(&m->task, RETRY_US))
			return false;
	}
	if (is_found || !has_position)
		return true;
	log_warn("maillog: %s does not have the place that was read last any more; reading from its beginning",
		 m->where);
	m->saved[0] = '\0';
	return true;
}

static void follow(void *arg)
{
	struct maillog *m = arg;

	if (!open_source(m))
		return;
	while (!task_is_stopping(&m->task)) {
		bool has_more = follow_some(m);

		measure(m);
		keep_position(m);
		if (!has_more)
			task_wait(&m->task, IDLE_US);
	}
}

/* --- start and stop */

static void maillog_free(struct maillog *m)
{
	m->ops->close(m->source);
	free(m);
}

static struct maillog *maillog_new(struct gate *gate, const struct config *config)
{
	struct maillog *m = calloc(1, sizeof *m);

	if (!m)
		return NULL;
	m->judge.gate = gate;
	m->judge.map = gate->queue_ids;
	m->ops = config->maillog_journal.len ? &maillog_source_journal : &maillog_source_file;
	snprintf(m->where, sizeof m->where, STR_FMT,
		 STR_ARG(config->maillog_journal.len ? config->maillog_journal : config->maillog_path));
	snprintf(m->position_path, sizeof m->position_path, STR_FMT "/maillog.position", STR_ARG(config->state_dir));
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
	if (!task_start(&m->task, "maillog", follow, m, err)) {
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
	task_stop(&m->task);
	maillog_free(m);
}
