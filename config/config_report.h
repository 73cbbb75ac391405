/*
 * config_report - what is wrong with a configuration, and where.
 *
 * A text may quote the file, and anybody may have written that: config_quote shows at most CONFIG_QUOTE_MAX octets of
 * it, without control characters. A name that is nearly right gets the right one offered (config_nearest).
 */
#ifndef SEKISHO_CONFIG_REPORT_H
#define SEKISHO_CONFIG_REPORT_H

#include "config/config.h"

#define CONFIG_ERRORS_MAX 50

struct config_error {
	struct str file;
	size_t line, column;           /* from 1; 0: about the file as a whole */
	struct str text;               /* "unknown key `limt` in quotas[0]; did you mean `limit`?" */
	struct str command;            /* that mends it, as "chmod 600 /etc/sekisho/key"; empty: none does */
};

struct config_report {
	struct arena arena;
	struct config_error errors[CONFIG_ERRORS_MAX];
	size_t count;                  /* beyond CONFIG_ERRORS_MAX they are only counted */
	struct config_error warnings[CONFIG_ERRORS_MAX];
	size_t warning_count;
};

void config_report_clear(struct config_report *report);
/* "file:line:column: text", or as much of it as is known. */
void config_error_format(const struct config_error *error, struct buf *out);
/* The first error in one line, and how many more there are, for callers that have room for one line. */
void config_report_first(const struct config_report *report, struct err *err);
/* Every error and every warning into the log, a line each; how many there are beyond CONFIG_ERRORS_MAX. */
void config_report_log(const struct config_report *report);

/* A place in a file; line 0: the file as a whole. `file` lives as long as the report. */
struct config_place {
	struct str file;
	size_t line, column;
};

void config_report_init(struct config_report *report);
void config_report_error(struct config_report *report, struct config_place at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* The command that mends the last error; its words are ours and the operator's, never a tenant's. */
void config_report_command(struct config_report *report, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void config_report_warning(struct config_report *report, struct config_place at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define CONFIG_QUOTE_MAX 60
#define CONFIG_QUOTE_SIZE (4 * CONFIG_QUOTE_MAX + 8)
/* "text" in quotation marks, cut with "..." when long; returns `out`. */
const char *config_quote(struct str s, char out[CONFIG_QUOTE_SIZE]);

/* The best of several names, offered one after another. */
struct config_nearest {
	struct str name;
	const char *best;              /* NULL: none is near enough */
	size_t distance;
};
void config_nearest_offer(struct config_nearest *nearest, const char *candidate);
/* `; did you mean "limit"?` or nothing; returns `out`. */
const char *config_nearest_hint(const struct config_nearest *nearest, char out[CONFIG_QUOTE_SIZE]);

#endif
