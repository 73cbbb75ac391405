/*
 * sekisho-track - main: load the configuration and the token keys, open store and ledger, answer readers.
 *
 * Signals   SIGUSR1 loads configuration and keys anew (a broken file changes nothing); SIGTERM and SIGINT stop
 * Exit      0 stopped as asked; 1 could not start; 2 usage; 78 (EX_CONFIG) configuration
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/base/log.h"
#include "milter/track/endpoint.h"

static const char usage[] =
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
	"Manual: sekisho-track(8), sekisho.yaml(5)\n";

static char config_path[4096];
static struct keyring tokens;
static struct tracker tracker;

static bool load(struct config **out, struct err *err)
{
	struct config_report report;
	bool ok = config_load(config_path, out, &report);

	if (!ok)
		config_report_first(&report, err);
	config_report_clear(&report);
	if (ok && !keyring_load(&tokens, (*out)->token_key_file, err)) {
		config_free(*out);
		return false;
	}
	return ok;
}

static void reload(void)
{
	struct config *config;
	struct err err;

	if (!load(&config, &err)) {
		log_error("reload: %s", err.text);
		log_error("reload: the configuration of before stays in force");
		return;
	}
	config_publish(config);
	log_info("reload: the new configuration is in force");
}

static void block_signals(sigset_t *signals)
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

static int run(struct config *config)
{
	struct endpoint *endpoint = NULL;
	struct ledger *ledger = NULL;
	struct store *store = NULL;
	struct err err;
	sigset_t signals;

	block_signals(&signals);

	bool ok = store_open(config, &store, &err) && ledger_open(config, store, &ledger, &err);

	if (ok)
		tracker_init(&tracker, store, &tokens);
	config_publish(config);
	config = config_acquire();
	ok = ok && endpoint_open(config, &tracker, ledger, &endpoint, &err);
	if (ok)
		log_info("ready on " STR_FMT, STR_ARG(config->tracking_listen));
	config_release(config);
	if (ok)
		serve(&signals);
	else
		log_error("cannot start: %s", err.text);
	endpoint_close(endpoint);
	if (ledger)
		tracker_clear(&tracker);
	ledger_close(ledger);
	store_close(store);
	config_publish(NULL);
	keyring_clear(&tokens);
	if (ok)
		log_info("stopped");
	return ok ? EXIT_SUCCESS : err.kind == ERR_CONFIG ? EX_CONFIG : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	bool is_foreground = false;
	struct config *config;
	struct err err;
	int option;

	snprintf(config_path, sizeof config_path, "%s", CONFIG_DEFAULT_PATH);
	log_open("sekisho-track", LOG_TO_STDERR, LOG_LEVEL_INFO);
	while ((option = getopt_long(argc, argv, "c:fhV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			snprintf(config_path, sizeof config_path, "%s", optarg);
			break;
		case 'f':
			is_foreground = true;
			break;
		case 'h':
			fputs(usage, stdout);
			return EXIT_SUCCESS;
		case 'V':
			puts("sekisho-track " PACKAGE_VERSION);
			return EXIT_SUCCESS;
		default:
			fputs(usage, stderr);
			return 2;
		}
	}
	if (optind < argc) {
		fputs(usage, stderr);
		return 2;
	}
	keyring_init(&tokens);
	if (!load(&config, &err)) {
		log_error("cannot start: %s", err.text);
		return EX_CONFIG;
	}
	if (!is_foreground && daemon(0, 0) != 0) {
		log_error("cannot go into the background: %s", strerrordesc_np(errno));
		config_free(config);
		return EXIT_FAILURE;
	}
	log_open("sekisho-track",
		 is_foreground && (isatty(STDERR_FILENO) || !config->log_to_syslog) ? LOG_TO_STDERR : LOG_TO_SYSLOG,
		 (enum log_level)config->log_level);
	return run(config);
}
