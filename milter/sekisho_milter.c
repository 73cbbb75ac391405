/*
 * sekisho-milter - main: load the configuration, open store and log, hand over to libmilter.
 *
 * Signals   SIGUSR1 loads the configuration anew (a broken file changes nothing); SIGTERM and SIGINT stop
 * Exit      0 stopped as asked; 1 could not start or was ended by a failure; 2 usage; 78 (EX_CONFIG) configuration
 */
#include <fcntl.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/metrics.h"
#include "milter/classes.h"
#include "milter/glue.h"
#include "milter/guarding.h"
#include "milter/maillog.h"
#include "milter/monitor.h"
#include "milter/notify.h"
#include "milter/process.h"
#include "milter/record/sign.h"
#include "milter/reply.h"
#include "milter/restart.h"
#include "milter/watch.h"

static struct process process = {
	.name = "sekisho-milter",
	.usage =
		"Usage: sekisho-milter [-c FILE] [-f]\n"
		"\n"
		"The gate: judges and records every message that Postfix or Sendmail shows it.\n"
		"\n"
		"  -c FILE     configuration (default " CONFIG_DEFAULT_PATH ")\n"
		"  -f          stay in the foreground, log to stderr when it is a terminal\n"
		"  --version   print the version\n"
		"  --help      print this\n"
		"\n"
		"Signals: SIGUSR1 loads the configuration anew; SIGTERM stops.\n"
		"Manual: sekisho-milter(8), sekisho.yaml(5)\n",
};

#define NOTIFY_WAIT_US (2 * US_PER_S)  /* at a stop, for what is on its way to the operator */

static struct gate gate;
static sigset_t signals;               /* what signal_main waits for */

static bool load(struct config **out, struct err *err)
{
	struct config_report report;
	bool is_read = config_load(process.config_path, out, &report), ok = is_read && reply_texts_check(*out, &report);

	if (ok)
		classes_check(*out, &report);
	config_report_log(&report);
	if (!ok)
		config_report_first(&report, err);
	if (is_read && !ok)
		config_free(*out);
	config_report_clear(&report);
	return ok;
}

/* Settings that main used once, when it opened things: a reload cannot change them. */
static void warn_of_restart(const struct config *old, const struct config *new)
{
	const struct restart_row rows[] = {
		{ "milter.listen", str_eq(old->listen, new->listen) },
		{ "milter.socket_mode", old->socket_mode == new->socket_mode },
		{ "milter.socket_group", str_eq(old->socket_group, new->socket_group) },
		{ "milter.sessions_max", old->sessions_max == new->sessions_max },
		{ "submit.socket", str_eq(old->submit_socket, new->submit_socket) },
		{ "maillog", str_eq(old->maillog_path, new->maillog_path) && str_eq(old->maillog_journal, new->maillog_journal) },
		{ "metrics.listen", str_eq(old->metrics_listen, new->metrics_listen) },
	};

	restart_warn_common(old, new);
	restart_warn(rows, sizeof rows / sizeof *rows);
}

static void record_config(const struct config *config, struct str error)
{
	struct buf detail;
	struct json json;

	buf_init(&detail, 8192);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "path", config->path);
	json_member_i64(&json, "generation", (int64_t)config->generation);
	json_member_i64(&json, "tenants", (int64_t)config->tenant_count);
	json_member_str_opt(&json, "error", error);
	json_object_close(&json);
	gate_record(&gate, STR("config"), STR_EMPTY, &detail);
	buf_clear(&detail);
}

/* The other half of a reload: keys may have been added, rules written. On failure the new snapshot goes, and what was in force
 * stays. */
static bool load_beside(struct config *new, struct err *err)
{
	struct token_keys *keys = NULL;

	if ((!new->needs_keys || token_ring_read(new->token_key_file, &keys, err)) &&
	    rulebook_load(&gate.rules, new->bounce_rules_file, err)) {
		if (!keys || token_ring_put(&gate.tokens, keys, err))
			return true;
		keys = NULL;
	}
	log_error("%s", err->text);
	token_keys_free(keys);
	config_free(new);
	return false;
}

static void reload(void)
{
	struct config *old = config_acquire(), *new;
	struct err err = { .text = "" };

	if (!load(&new, &err) || !load_beside(new, &err)) {
		monitor_note_reload(str_from_c(err.text));
		record_config(old, str_from_c(err.text));
		log_error("reload: the configuration of before stays in force");
		config_release(old);
		return;
	}
	warn_of_restart(old, new);
	gate_follow(&gate, old, new);           /* first: a shorter promise that is in force finds nothing overdue */
	config_publish(new);

	struct config *current = config_acquire();

	config_release(old);
	metrics_set(METRIC_CONFIG_GENERATION, (int64_t)current->generation);
	monitor_note_reload(STR_EMPTY);
	record_config(current, STR_EMPTY);
	log_info("reload: configuration %llu is in force, %zu tenants", (unsigned long long)current->generation,
		 current->tenant_count);
	config_release(current);
}

/* Created before libmilter's own signal thread, and so asked first by the kernel; were it not, a stop would take up to five
 * seconds, and nothing else would go wrong. */
static void *signal_main(void *arg)
{
	(void)arg;
	for (;;) {
		int signal = 0;

		if (sigwait(&signals, &signal) != 0)
			continue;
		if (signal == SIGUSR1) {
			reload();
			continue;
		}
		log_info("stopping");
		glue_stop();
		return NULL;
	}
}

/* Before all else: until there is something to reload or to stop, they wait. */
static void hold_signals(void)
{
	signal(SIGPIPE, SIG_IGN);
	signal(SIGCHLD, SIG_DFL);               /* or nobody could wait for notify.command */
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
}

static bool start_signals(struct err *err)
{
	pthread_t thread;
	int why = pthread_create(&thread, NULL, signal_main, NULL);

	if (why != 0)
		return err_set(err, ERR_BUSY, "thread for signals: %s", strerrordesc_np(why));
	pthread_detach(thread);
	return true;
}

/* The pid file's lock says that we are the only one; libmilter would take a living instance's socket away. */
static bool lock_pid_file(const struct config *config, int *out_fd, struct err *err)
{
	char path[PATH_MAX], state_dir[PATH_MAX];

	snprintf(path, sizeof path, STR_FMT, STR_ARG(config->pid_file));
	snprintf(state_dir, sizeof state_dir, STR_FMT, STR_ARG(config->state_dir));
	if (!io_make_dirs(state_dir, 0750, err))
		return err_wrap(err, "state_dir");

	int fd = io_open(path, O_RDWR | O_CREAT, 0644, err);

	if (fd < 0)
		return err_wrap(err, "pid_file");
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		close(fd);
		return err_set(err, ERR_CONFIG, "%s is locked: another sekisho-milter is running", path);
	}
	*out_fd = fd;
	return true;
}

static bool write_pid(int fd, struct err *err)
{
	char text[32];
	int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());

	if (ftruncate(fd, 0) != 0)
		return err_errno(err, ERR_BUSY, "pid_file");
	return io_write_all(fd, str_of(text, (size_t)len), "pid_file", err);
}

static int run(struct config *config, int pid_fd)
{
	struct monitor *monitor = NULL;
	struct maillog *maillog = NULL;
	struct watch *watch = NULL;
	struct guarding *guarding = NULL;
	struct err err;
	bool ok = write_pid(pid_fd, &err) && gate_open(&gate, config, &err);

	if (!ok) {
		log_error("cannot start: %s", err.text);
		config_free(config);
		return err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
	}
	config_publish(config);
	config = config_acquire();
	metrics_set(METRIC_CONFIG_GENERATION, (int64_t)config->generation);
	ok = monitor_open(&gate, config, &monitor, &err) && glue_open(&gate, config, &err) &&
	     maillog_start(&gate, config, &maillog, &err) && watch_start(&gate, config, &watch, &err) &&
	     guarding_start(&gate, &guarding, &err);
	if (ok) {
		record_config(config, STR_EMPTY);
		gate_record(&gate, STR("started"), STR_EMPTY, BUF("{\"version\":\"" PACKAGE_VERSION "\"}"));
		log_info("ready on " STR_FMT ", %zu tenants", STR_ARG(config->listen), config->tenant_count);
	}
	config_release(config);
	if (ok) {
		ok = start_signals(&err) && glue_run(&err);
		config = config_acquire();
		glue_drain(config->shutdown_wait_us);
		config_release(config);
		gate_record(&gate, STR("stopped"), STR_EMPTY, NULL);
	}
	if (!ok)
		log_error("%s", err.text);
	watch_stop(watch);
	monitor_close(monitor);
	maillog_stop(maillog);
	guarding_stop(guarding);
	notify_finish(NOTIFY_WAIT_US);
	gate_close(&gate);
	config_publish(NULL);
	if (ok)
		log_info("stopped");
	return ok ? EXIT_SUCCESS : err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
}

/* What a large body took goes back to the system with it. Left to itself the C library raises this bound at the first such
 * free, and 256 sessions at once keep for good what they needed for a moment (415 MiB instead of 128). */
static void keep_memory_small(void)
{
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
}

int main(int argc, char **argv)
{
	struct config *config;
	struct err err;
	int code, pid_fd = -1;

	hold_signals();
	keep_memory_small();
	sign_count_shortages();
	if (!process_start(&process, argc, argv, &code))
		return code;
	if (!load(&config, &err))
		return EX_CONFIG;
	if (!lock_pid_file(config, &pid_fd, &err)) {
		log_error("cannot start: %s", err.text);
		config_free(config);
		return err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
	}
	if (!process_detach(&process, config)) {
		config_free(config);
		return EXIT_FAILURE;
	}
	return run(config, pid_fd);
}
