/*
 * tool - what every command of sekisho(1) shares: its row, its output, configuration, store, and the trace it leaves.
 *
 * A command is a row and a function. The function prints (tool_print, tool_table, or tool->json) and returns its exit
 * code; what it needs it asks for (tool_config, tool_store, tool_ops), and whatever was opened closes by itself.
 *
 * Exit codes   0 ok; 1 the answer is no, or a problem was found; 2 usage; 3 could not tell
 * Output       stdout for answers, stderr for what went wrong and for progress. With --json stdout has one JSON value
 *              (or one a line, where the manual says so) and nothing else
 * Rights       as root the tool becomes the owner of the state or log directory before it opens store or log, so that
 *              the daemon can still read and write what was touched
 */
#ifndef SEKISHO_TOOL_H
#define SEKISHO_TOOL_H

#include "config/base/json.h"
#include "milter/record/writer.h"
#include "milter/tool/options.h"
#include "milter/tool/screen.h"
#include "policy/tenant.h"

enum tool_exit { TOOL_OK = 0, TOOL_NO = 1, TOOL_USAGE = 2, TOOL_UNKNOWN = 3 };

struct tool;

struct tool_command {
	const char *name;              /* "tenant suspend" */
	const char *operands;          /* "NAME", "[FILE]"; "" none */
	size_t operands_min, operands_max;
	const char *summary;           /* for the list: up to 50 columns, no full stop */
	const char *about;             /* one paragraph */
	const struct option *options;
	size_t values_size;            /* of the struct that `options` fill */
	bool has_json;
	const char *examples;          /* one a line */
	const char *ok, *no, *unknown; /* what exit codes 0, 1 and 3 mean here; NULL: cannot be */
	const char *usage;             /* of 2, where it means something else than a wrong command line, which is 3 then */
	int (*run)(struct tool *tool, const void *values);
};

struct tool {
	const struct tool_command *command;
	struct str config_path;
	struct operands operands;
	bool is_json;
	bool is_cut;                   /* some of the answer could not be written */
	bool is_japanese;              /* the answer is: our sentences are those of japanese.h */
	struct str only_tenant;        /* whose records alone may be seen; empty: all */
	struct str actor;              /* who asks, when it is not who runs this; empty: he is */
	struct buf out;                /* printed when the command ends, and now and then before */
	struct json json;              /* writes into `out` */
	struct arena arena;            /* what the command learns; dies with it */
	struct config *config;
	struct store *store;
	struct record_writer *ops;
	int64_t closed_records;        /* seen without the keys to what they say of people (milter/record/seal.h) */
	char store_dir[64];            /* a store made for this look alone; empty: none */
};

/* --- output */

/* Text of ours with others' words in it: control characters but line feeds are shown. Not under --json. This and tool_field are
 * given English, and say it in the language of the answer. */
void tool_print(struct tool *tool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "Name      value", folded below the value. */
void tool_field(struct tool *tool, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void tool_table(struct tool *tool, const struct table *table);
/* Writes out what has been printed so far. False: it, or something before it, is lost. */
bool tool_flush(struct tool *tool);
/* "sekisho tenant show: ..." on stderr; returns `code`. */
int tool_fail(const struct tool *tool, enum tool_exit code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same, and where to read on. */
int tool_usage(const struct tool *tool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* "a@b.example", "<a@b.example>"; says so when it is none. */
bool tool_recipient(struct tool *tool, struct str word, struct str *out);

/* An option's value, in place, as a session would have it: bare. False: said that it is none. */
bool tool_bare(struct tool *tool, const char *option, struct str *address);

/* A line on stderr that replaces itself, when stderr is a terminal. `done` of `total`; the last call has total 0. */
void tool_progress(const char *what, int64_t done, int64_t total);

/* --- words */

/* `lang` is what --lang said, "en" or "ja"; not given: what the first of LC_ALL, LC_MESSAGES and LANG begins with. */
bool tool_is_japanese(struct str lang);
#define TOOL_LANG_OPTION(at) \
	{ "--lang", OPTION_WORD, at, "LANG", "en|ja", "en or ja (default: ja where LC_ALL, LC_MESSAGES or LANG says so)" }
/* In the language of the answer. */
const char *tool_word(const struct tool *tool, const char *english) __attribute__((format_arg(2)));

struct str tool_number(struct tool *tool, int64_t n);                   /* "12,345" */
struct str tool_limit(struct tool *tool, int64_t n);                    /* the same, or "none" */
struct str tool_time(struct tool *tool, int64_t t_us);                  /* "2026-11-21 18:04:05"; 0: "-" */
struct str tool_duration(struct tool *tool, int64_t us);                /* two largest units: "1h 5m" */
/* How this tool is called again, for commands to copy: "sekisho", with -c where that was given. */
struct str tool_self(struct tool *tool);
#define TOOL_ONLY_ASCII "a reply has ASCII alone; any other letter reaches senders as ?"
/* Senders will read these words in a reply: says on stderr what they will not see. */
void tool_warn_letters(const struct tool *tool, struct str words);
struct str tool_text(struct tool *tool, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct str tool_spelt(struct tool *tool, struct str address);          /* as the gate writes it down: config/base/domain.h */
void tool_json_line(struct tool *tool);         /* before each object, where there is one a line */
void tool_json_time(struct tool *tool, const char *key, int64_t t_us);  /* RFC 3339, JST; 0: nothing */

/* --- what commands need; false (NULL): said on stderr already, exit with TOOL_UNKNOWN */

const struct config *tool_config(struct tool *tool);
/* What the gate holds a configuration against besides: its own replies, and the bounce rules that it names. */
bool tool_config_beside(const struct config *config, struct config_report *report);
/* NULL: there is no such tenant (said; exit with TOOL_NO). */
const struct tenant *tool_tenant(struct tool *tool, struct str name);

enum tool_wish {
	TOOL_LOOK,                     /* before the daemon's first start: an empty store */
	TOOL_CHANGE,
};
bool tool_store(struct tool *tool, enum tool_wish wish);
/* The same; why not is said in `err` alone. */
bool tool_store_open(struct tool *tool, enum tool_wish wish, struct err *err);

/*
 * The trace in class ops, by the person who runs this: who, what was done, which tenant, why, how many records were seen.
 * tool_ops says beforehand whether one can be written at all, so that nothing is done or shown without.
 */
struct tool_trace {
	struct str event;              /* "access", "suspended", ... */
	struct str command;
	struct str tenant, reason, quota;
	enum member_kind member;       /* of the tenant; which one is a customer's data */
	int64_t count;                 /* -1: not about records */
};
bool tool_ops(struct tool *tool);
/* Before anything is written below relay_log.dir other than by tool_ops. */
bool tool_owner(struct tool *tool);
/* How a writer of that class is to be opened, by the configuration. */
struct record_writer_config tool_log_config(struct tool *tool, struct str class_name);
bool tool_record(struct tool *tool, const struct tool_trace *trace);
/* "alice (uid 1000)", "root (uid 0, by sudo of alice)". */
struct str tool_actor(struct tool *tool);

/* --- main */

void tool_init(struct tool *tool);
void tool_clear(struct tool *tool);
#define TOOL_JSON_HELP "answer as JSON, for programs"    /* of --json, where a command has it */

#endif
