/*
 * process - a daemon's command line, and its way into the background.
 *
 * sekisho-milter and sekisho-track take the same options: -c FILE, -f, --help, --version.
 */
#ifndef SEKISHO_PROCESS_H
#define SEKISHO_PROCESS_H

#include <limits.h>

#include "config/config.h"

struct process {
	const char *name;               /* of the program, in its log lines too */
	const char *usage;              /* for --help; to standard error when the command line is wrong */
	char config_path[PATH_MAX];
	bool is_foreground;
};

/*
 * Reads the command line; from here on log lines go to standard error. False: the process is to end with *out_exit,
 * because it was only asked for help or version (0), or asked wrong (2); what it has to say is said.
 */
bool process_start(struct process *process, int argc, char **argv, int *out_exit);
/*
 * Goes into the background, that is to the root directory (the configuration's path becomes absolute), unless -f was given. Log
 * lines go where the configuration says from here on, or stay on standard error where that is a terminal. False, and a log
 * line, when it cannot.
 */
bool process_detach(struct process *process, const struct config *config);

#endif
