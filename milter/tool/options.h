/*
 * options - a command's arguments, by a table: one row an option.
 *
 * `--name VALUE`, `--name=VALUE`, options and operands in any order, `--` before operands that begin with "-". Nothing is
 * abbreviated. Values are read by type into the struct that the command describes, so a command never parses. An empty operand
 * or value is refused: what narrows a command to "$unset" must not let it pass for all there are.
 *
 * Memory   texts are borrowed from argv; the lists of OPTION_TEXTS lie in the arena
 * Errors   ERR_INPUT: one sentence for the user, with the nearest option there is
 */
#ifndef SEKISHO_OPTIONS_H
#define SEKISHO_OPTIONS_H

#include "config/config.h"

enum option_type {
	OPTION_FLAG,                   /* bool */
	OPTION_TEXT,                   /* struct str; ptr NULL: not given */
	OPTION_PROSE,                  /* the same, which may be empty: a reason, or the null sender */
	OPTION_TEXTS,                  /* struct str_list; may be repeated */
	OPTION_WORD,                   /* struct str, one of `words`, separated by "|" */
	OPTION_COUNT,                  /* int64_t, from 1 */
	OPTION_SIZE,                   /* int64_t, octets: 512KiB, 4096 */
	OPTION_DURATION,               /* int64_t, microseconds: 90s, 2h */
	OPTION_ADDRESS,                /* struct option_addr: an IP address */
	OPTION_SINCE,                  /* struct option_time: a JST date or time, a duration ago, today, yesterday */
	OPTION_UNTIL,                  /* the same; a date means its end */
};

struct option_time {
	bool is_given;
	int64_t us;
};
struct option_addr {
	bool is_given;
	struct net_addr addr;
};

struct option {
	const char *name;              /* "--for"; NULL ends the table */
	enum option_type type;
	size_t offset;                 /* in the command's struct */
	const char *value;             /* "DURATION", for the help; NULL: a flag */
	const char *words;
	const char *help;
};

struct operands {
	const struct str *items;
	size_t count;
};

/* Options every command has: both tables are looked through, each with a struct of its own. */
struct option_set {
	const struct option *rows;
	void *values;                  /* zeroed by the caller */
};

/* `argv` without the program's and the command's name. */
bool options_parse(char *const *argv, size_t argc, const struct option_set *sets, size_t set_count, struct arena *arena,
		   struct operands *out, struct err *err);

/* "2026-11-21", "2026-11-21 18:04", "2026-11-21T18:04:05+09:00", "today", "yesterday", "2h". No zone said: JST. */
bool options_parse_time(struct str s, int64_t now_us, bool is_end, int64_t *out_us);

/* Lines of the help, aligned and folded. */
void options_write_help(const struct option *rows, struct buf *out);

#endif
