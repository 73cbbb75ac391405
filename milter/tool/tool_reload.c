/* sekisho reload: a checked configuration into the running daemon, and its word that it is in force. */
#include <signal.h>
#include <time.h>

#include "config/base/clock.h"
#include "config/config_report.h"
#include "milter/tool/commands.h"
#include "milter/tool/daemon.h"

#define WAIT_US (INT64_C(10) * US_PER_S)

static const struct option options[] = { { NULL } };

/* 0, or the exit code: the daemon would refuse it, so it is not asked. */
static int check_first(struct tool *tool)
{
	const struct config *config = tool_config(tool);
	struct config_report report;
	struct err err;

	config_report_init(&report);

	bool ok = config && tool_config_beside(config, &report);

	if (config && !ok) {
		config_report_first(&report, &err);
		tool_fail(tool, TOOL_NO, "%s", err.text);
	}
	config_report_clear(&report);
	return ok ? TOOL_OK
		  : tool_fail(tool, TOOL_NO, "nothing was sent to the daemon; `sekisho check` tells all that is wrong");
}

/* Its counters are the answer: a newer generation, or one more that was refused, be it for the same reason. */
struct before {
	int64_t generation, refused;
	bool is_known;
};

static int told(struct tool *tool, const json_t *status, const struct before *before)
{
	int64_t generation = daemon_i64(status, "config.generation");

	if (generation > before->generation) {
		tool_print(tool, "Configuration %lld is in force, %lld tenant%s.\n", (long long)generation,
			   (long long)daemon_i64(status, "config.tenants"), daemon_i64(status, "config.tenants") == 1 ? "" : "s");
		return TOOL_OK;
	}
	if (daemon_i64(status, "config.refused") > before->refused)
		return tool_fail(tool, TOOL_NO, "the configuration of before stays in force: " STR_FMT,
				 STR_ARG(daemon_str(status, "config.last_error")));
	return -1;
}

static int wait_for_it(struct tool *tool, const struct before *before)
{
	int64_t until_us = clock_mono_us() + WAIT_US;

	while (clock_mono_us() < until_us) {
		const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
		json_t *status;
		struct err err;
		int code;

		nanosleep(&pause, NULL);
		if (!daemon_ask(tool->config, "/status", &status, &err))
			continue;
		code = told(tool, status, before);
		json_decref(status);
		if (code >= 0)
			return code;
	}
	return tool_fail(tool, TOOL_UNKNOWN, "the daemon was told, but did not say within %d s that it has loaded anything; "
			 "see `sekisho status` and its log", (int)(WAIT_US / US_PER_S));
}

static int run(struct tool *tool, const void *values)
{
	struct before before = { .is_known = false };
	json_t *status;
	struct err err, why;
	pid_t pid;
	int code = check_first(tool);

	(void)values;
	if (code != TOOL_OK)
		return code;
	if (!daemon_pid(tool->config, &pid, &err))
		return daemon_is_hidden(tool->config)
			       ? tool_fail(tool, TOOL_UNKNOWN, "%s; run this as root, or as the user that sekisho-milter runs as", err.text)
			       : tool_fail(tool, TOOL_NO, "nothing to reload: %s", err.text);
	if (daemon_ask(tool->config, "/status", &status, &why)) {
		before = (struct before){ .generation = daemon_i64(status, "config.generation"), .is_known = true,
					  .refused = daemon_i64(status, "config.refused") };
		json_decref(status);
	}
	if (kill(pid, SIGUSR1) != 0) {
		err_errno(&err, ERR_BUSY, "signal to process %d", (int)pid);
		return tool_fail(tool, TOOL_UNKNOWN, "%s", err.text);
	}
	if (!before.is_known)
		return tool_fail(tool, TOOL_UNKNOWN, "the daemon was told, but whether it did cannot be seen: %s",
				 why.text);
	return wait_for_it(tool, &before);
}

const struct tool_command command_reload = {
	.name = "reload",
	.operands = "",
	.summary = "a changed configuration into the running gate",
	.about = "Checks the configuration; when it is good, tells the running sekisho-milter (SIGUSR1) to load it, and waits until "
		 "it says that it has. Sessions under way keep the configuration they began with.",
	.options = options,
	.examples = "sekisho reload",
	.ok = "the new configuration is in force",
	.no = "it has errors and nothing was sent, no daemon runs, or the daemon refused it",
	.unknown = "whether one runs cannot be seen, or what became of what it was told",
	.run = run,
};
