/*
 * restart - settings that a daemon uses once, when it opens things: a reload cannot change them, and says so.
 *
 * A reload that was asked for such a change is no error: all else is in force, and the log names what is not.
 */
#ifndef SEKISHO_RESTART_H
#define SEKISHO_RESTART_H

#include "config/config.h"

struct restart_row {
	const char *name;              /* as the configuration has it: "milter.listen" */
	bool is_same;
};

/* Warns of each that differs. */
void restart_warn(const struct restart_row *rows, size_t count);
/* The same of what each daemon opens: store, relay log, its own log. */
void restart_warn_common(const struct config *old, const struct config *new);

#endif
