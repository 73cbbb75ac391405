/*
 * sekisho-track - main: load the configuration and the token keys, open store and ledger, answer readers.
 *
 * Signals   SIGUSR1 loads configuration and keys anew (a broken file changes nothing); SIGTERM and SIGINT stop
 * Exit      0 stopped as asked; 1 could not start; 2 usage; 78 (EX_CONFIG) configuration
 */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sysexits.h>

#include "config/base/log.h"
#include "config/config_report.h"
#include "milter/process.h"
#include "milter/restart.h"
#include "milter/track/endpoint.h"

static struct process process = {
	.name = "sekisho-track",
	.usage =
		"Usage: sekisho-track [-c FILE] [-f]\n"
		"\n"
		"Answers the links and pixels of tracked mail, and one-click unsubscription.\n"
		"\n"
		"  -c FILE     configuration (default " CONFIG_DEFAULT_PATH ")\n"
		"  -f          stay in the foreground, log to stderr when it is a terminal\n"
		"  --version   print the version\n"
		"  --help      print this\n"
		"\n"
		"Signals: SIGUSR1 loads configuration and keys anew; SIGTERM stops.\n"
		"Manual: sekisho-track(8), sekisho.yaml(5)\n",
};

static struct token_ring tokens;
static struct tracker tracker;

/* What is wrong is in the log when it fails. */
static bool load(struct config **out)
{
	struct config_report report;
	struct err err;
	bool ok = config_load(process.config_path, out, &report);

	config_report_log(&report);
	config_report_clear(&report);
	if (ok && !token_ring_load(&tokens, (*out)->token_key_file, &err)) {
		log_error("%s", err.text);
		config_free(*out);
		return false;
	}
	return ok;
}

static void reload(void)
{
	struct config *old, *config;

	if (!load(&config)) {
		log_error("reload: the configuration of before stays in force");
		return;
	}
	old = config_acquire();
	restart_warn_common(old, config);
	restart_warn(&(struct restart_row){ "tracking.listen", str_eq(old->tracking_listen, config->tracking_listen) }, 1);
	config_release(old);
	config_publish(config);
	log_info("reload: the new configuration is in force");
}

/* Before all else: until there is something to reload or to stop, they wait. */
static void hold_signals(sigset_t *signals)
{
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(signals);
	sigaddset(signals, SIGUSR1);
	sigaddset(signals, SIGTERM);
	sigaddset(signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* Until asked to stop. */
static void serve(const sigset_t *signals)
{
	for (;;) {
		int signal = 0;

		if (sigwait(signals, &signal) != 0)
			continue;
		if (signal != SIGUSR1)
			return;
		reload();
	}
}

static int run(struct config *config, const sigset_t *signals)
{
	struct endpoint *endpoint = NULL;
	struct ledger *ledger = NULL;
	struct store *store = NULL;
	struct err err;
	bool ok = store_open_at(config, STORE_SEAT_TRACK, &store, &err) && ledger_open(config, store, &ledger, &err);

	if (ok)
		tracker_init(&tracker, store, &tokens);
	config_publish(config);
	config = config_acquire();
	ok = ok && endpoint_open(config, &tracker, ledger, &endpoint, &err);
	if (ok)
		log_info("ready on " STR_FMT, STR_ARG(config->tracking_listen));
	config_release(config);
	if (ok)
		serve(signals);
	else
		log_error("cannot start: %s", err.text);
	endpoint_close(endpoint);
	if (ledger)
		tracker_clear(&tracker);
	ledger_close(ledger);
	store_close(store);
	config_publish(NULL);
	token_ring_clear(&tokens);
	if (ok)
		log_info("stopped");
	return ok ? EXIT_SUCCESS : err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	struct config *config;
	sigset_t signals;
	int code;

	hold_signals(&signals);
	if (!process_start(&process, argc, argv, &code))
		return code;
	token_ring_init(&tokens);
	if (!load(&config))
		return EX_CONFIG;
	if (!process_detach(&process, config)) {
		config_free(config);
		return EXIT_FAILURE;
	}
	return run(config, &signals);
}
