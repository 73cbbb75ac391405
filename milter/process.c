/* process - a daemon's command line, and its way into the background. */
#include "milter/process.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"

#define EXIT_USAGE 2

static bool finish(int code, const char *text, int *out_exit)
{
	fputs(text, code == EXIT_SUCCESS ? stdout : stderr);
	*out_exit = code;
	return false;
}

bool process_start(struct process *process, int argc, char **argv, int *out_exit)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "foreground", no_argument, NULL, 'f' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	io_hold_standard();
	snprintf(process->config_path, sizeof process->config_path, "%s", CONFIG_DEFAULT_PATH);
	log_open(process->name, LOG_TO_STDERR, LOG_LEVEL_INFO);
	while ((option = getopt_long(argc, argv, "c:fhV", options, NULL)) != -1) {
		switch (option) {
		case 'c':
			snprintf(process->config_path, sizeof process->config_path, "%s", optarg);
			break;
		case 'f':
			process->is_foreground = true;
			break;
		case 'h':
			return finish(EXIT_SUCCESS, process->usage, out_exit);
		case 'V':
			printf("%s " PACKAGE_VERSION "\n", process->name);
			return finish(EXIT_SUCCESS, "", out_exit);
		default:
			return finish(EXIT_USAGE, process->usage, out_exit);
		}
	}
	return optind == argc || finish(EXIT_USAGE, process->usage, out_exit);
}

/* A reload must find the file again from elsewhere; a symbolic link that names it may lead elsewhere by then. */
static bool make_absolute(struct process *process)
{
	char here[sizeof process->config_path], path[sizeof process->config_path];

	if (process->config_path[0] == '/')
		return true;
	if (!getcwd(here, sizeof here))
		return false;
	if ((size_t)snprintf(path, sizeof path, "%s/%s", here, process->config_path) >= sizeof path) {
		errno = ENAMETOOLONG;
		return false;
	}
	memcpy(process->config_path, path, sizeof path);
	return true;
}

bool process_detach(struct process *process, const struct config *config)
{
	if (!process->is_foreground && (!make_absolute(process) || daemon(0, 0) != 0)) {
		log_error("cannot go into the background: %s", strerrordesc_np(errno));
		return false;
	}

	/* In a container nobody may take syslog: a start that fails would say nothing. */
	bool is_watched = process->is_foreground &&
			  (isatty(STDERR_FILENO) || !config->log_to_syslog || access(_PATH_LOG, W_OK) != 0);

	log_open(process->name, is_watched ? LOG_TO_STDERR : LOG_TO_SYSLOG, (enum log_level)config->log_level);
	return true;
}
