#include "milter/inspect.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "config/base/task.h"
#include "milter/classes.h"
#include "milter/erasure.h"
#include "milter/record/verify.h"

#define LOOK_US (60 * US_PER_S)        /* how often the thread looks at the date */
#define FIRST_US HOUR_US               /* of the day: the purge is done by then */
#define STATE_MAX 64

struct inspect {
	struct gate *gate;
	char state_path[PATH_MAX], public_path[PATH_MAX + 8];
	int64_t done_day;              /* INT64_MIN: never */
	int64_t begun_us, rate;        /* of the class at hand: monotonic; octets a second */
	char found[INSPECT_TEXT_MAX];  /* the first that is wrong in the look at hand; empty: nothing yet */

	struct task task;
	pthread_mutex_t lock;          /* over what follows */
	char text[INSPECT_TEXT_MAX];   /* of the last whole look */
};

/* --- the day of the last look */

static void load_day(struct inspect *inspect)
{
	struct buf text;

	inspect->done_day = INT64_MIN;
	buf_init(&text, STATE_MAX);
	if (io_read_file(inspect->state_path, &text, NULL))
		jst_parse_date(str_slice(buf_view(&text), 0, JST_DATE_LEN), &inspect->done_day);
	buf_clear(&text);
}

static void save_day(struct inspect *inspect, int64_t day)
{
	char date[JST_DATE_LEN + 2];
	struct err err;

	inspect->done_day = day;
	jst_format_date(day, date);
	date[JST_DATE_LEN] = '\n';
	if (!io_replace_file(inspect->state_path, str_of(date, JST_DATE_LEN + 1), 0640, &err))
		log_warn("%s", err.text);
}

static bool is_due(const struct inspect *inspect)
{
	int64_t now_us = clock_now_us(), day = jst_day(now_us);

	/* Not "later than": a clock that was ahead once would put it off until then. */
	return day != inspect->done_day && (now_us - jst_day_start_us(day) >= FIRST_US || inspect->done_day != day - 1);
}

/* --- one class */

/* Waits as long as so many octets may take at the least. */
static void on_progress(void *arg, int64_t done, int64_t total)
{
	struct inspect *inspect = arg;
	int64_t due_us = inspect->begun_us + (int64_t)((double)done / (double)inspect->rate * (double)US_PER_S);
	int64_t now_us = clock_mono_us();

	(void)total;
	if (due_us > now_us)
		task_wait(&inspect->task, due_us - now_us);
}

static bool verify(struct inspect *inspect, const struct config *config, const struct record_class *class, const char *dir,
		   struct verify_report *report, struct err *err)
{
	char operator_key[PATH_MAX];
	const struct verify_options options = {
		.dir = str_from_c(dir), .public_key_file = str_from_c(inspect->public_path),
		.operator_key_file = erasure_public(config, operator_key) ? str_from_c(operator_key) : STR_EMPTY,
		.node = str_from_c(inspect->gate->node), .class_name = class->name, .first_day = INT64_MIN, .last_day = INT64_MAX, .has_retention = true,
		.keep = class->keep, .progress = on_progress, .progress_arg = inspect,
		.stop = &inspect->task.is_stopping,
	};

	inspect->begun_us = clock_mono_us();
	inspect->rate = config->alarm_verify_rate;
	return record_verify(&options, report, err);
}

/* The finding that made the result. */
static struct str worst_text(const struct verify_report *report)
{
	for (size_t i = 0; i < report->finding_count && i < VERIFY_FINDINGS_MAX; i++)
		if (report->findings[i].result == report->result)
			return report->findings[i].text;
	return STR_EMPTY;
}

static void write_record(struct inspect *inspect, struct str class_name, const struct verify_report *report, struct str finding)
{
	struct buf detail;
	struct json json;

	buf_init(&detail, RECORD_JSON_MAX);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "class", class_name);
	json_member_str(&json, "result", str_from_c(verify_result_name(report->result)));
	json_member_i64(&json, "files", report->files);
	json_member_i64(&json, "records", report->records);
	json_member_i64(&json, "bytes", report->bytes);
	json_member_i64(&json, "first_seq", report->first_seq);
	json_member_i64(&json, "last_seq", report->last_seq);
	json_member_i64(&json, "last_checkpoint_seq", report->last_checkpoint_seq);
	if (report->result != VERIFY_OK)
		json_member_str_opt(&json, "finding", finding);
	json_object_close(&json);
	gate_record(inspect->gate, STR("verified"), STR_EMPTY, &detail);
	buf_clear(&detail);
}

/* The first that is wrong is what is told. */
static void note(struct inspect *inspect, struct str class_name, enum verify_result result, struct str finding)
{
	if (result == VERIFY_OK)
		return;
	log_error("verify of class " STR_FMT ": %s: " STR_FMT, STR_ARG(class_name), verify_result_name(result), STR_ARG(finding));
	if (!inspect->found[0])
		snprintf(inspect->found, sizeof inspect->found, "class " STR_FMT ": %s: " STR_FMT, STR_ARG(class_name),
			 verify_result_name(result), STR_ARG(str_slice(finding, 0, 300)));
}

static void look_at_class(struct inspect *inspect, const struct config *config, const struct record_class *class)
{
	struct verify_report *report;
	char dir[PATH_MAX];
	struct err err = { .text = "" };

	snprintf(dir, sizeof dir, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(class->name));
	if (!classes_is_due(config, class->name))
		return;
	report = calloc(1, sizeof *report);
	if (!report) {
		note(inspect, class->name, VERIFY_UNKNOWN, STR("out of memory"));
		return;
	}
	bool ok = verify(inspect, config, class, dir, report, &err);

	if (!task_is_stopping(&inspect->task)) {
		struct str finding = ok ? worst_text(report) : str_from_c(err.text);

		write_record(inspect, class->name, report, finding);
		note(inspect, class->name, report->result, finding);
	}
	verify_report_clear(report);
	free(report);
}

struct look {
	struct inspect *inspect;
	const struct config *config;
};

static bool look_at_former(void *arg, struct str name, struct err *err)
{
	const struct look *look = arg;

	(void)err;
	if (!classes_is_copy(look->config, name))
		look_at_class(look->inspect, look->config, &(struct record_class){ .name = name });
	return !task_is_stopping(&look->inspect->task);
}

static void look(struct inspect *inspect)
{
	struct config *config = config_acquire();
	int64_t day = jst_day(clock_now_us());
	struct err err;

	inspect->found[0] = '\0';
	for (size_t i = 0; i < config->class_count && !task_is_stopping(&inspect->task); i++)
		look_at_class(inspect, config, &config->classes[i]);
	if (!task_is_stopping(&inspect->task) && !classes_former(config, look_at_former, &(struct look){ inspect, config }, &err) &&
	    !task_is_stopping(&inspect->task))
		note(inspect, STR("(any that was removed)"), VERIFY_UNKNOWN, str_from_c(err.text));
	config_release(config);
	if (task_is_stopping(&inspect->task))
		return;
	pthread_mutex_lock(&inspect->lock);
	memcpy(inspect->text, inspect->found, sizeof inspect->text);
	pthread_mutex_unlock(&inspect->lock);
	save_day(inspect, day);
	metrics_set(METRIC_VERIFIED, clock_now_us() / US_PER_S);
}

/* Mail comes first: idle priority of CPU and disk, for this thread alone. */
static void step_back(void)
{
	enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_IDLE = 3 << 13 };

	setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
	syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_IDLE);
}

static void run(void *arg)
{
	struct inspect *inspect = arg;

	step_back();
	do {
		if (is_due(inspect))
			look(inspect);
	} while (task_wait(&inspect->task, LOOK_US));
}

/* --- start and stop */

bool inspect_start(struct gate *gate, const struct config *config, struct inspect **out, struct err *err)
{
	struct inspect *inspect;

	*out = NULL;
	if (config->log_key_file.len == 0)
		return true;
	inspect = calloc(1, sizeof *inspect);
	if (!inspect)
		return err_memory(err);
	inspect->gate = gate;
	snprintf(inspect->state_path, sizeof inspect->state_path, STR_FMT "/verified", STR_ARG(config->state_dir));
	snprintf(inspect->public_path, sizeof inspect->public_path, "%s.pub", gate->log_key_file);
	load_day(inspect);
	pthread_mutex_init(&inspect->lock, NULL);
	if (!task_start(&inspect->task, "daily verify", run, inspect, err)) {
		pthread_mutex_destroy(&inspect->lock);
		free(inspect);
		return false;
	}
	*out = inspect;
	return true;
}

void inspect_stop(struct inspect *inspect)
{
	if (!inspect)
		return;
	task_stop(&inspect->task);
	pthread_mutex_destroy(&inspect->lock);
	free(inspect);
}

bool inspect_is_wrong(struct inspect *inspect, char out_text[INSPECT_TEXT_MAX])
{
	if (!inspect)
		return false;
	pthread_mutex_lock(&inspect->lock);
	memcpy(out_text, inspect->text, INSPECT_TEXT_MAX);
	pthread_mutex_unlock(&inspect->lock);
	return out_text[0] != '\0';
}
