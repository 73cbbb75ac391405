/*
 * verify - is the relay log what was committed: nothing altered, none missing, in order?
 *
 * Needs the public keys only. Walks the files of one class directory (several at once when asked to), recomputes every
 * leaf and chain value, checks seq without gaps, checkpoints' signatures, and that each file continues the one before.
 *
 * Proved by VERIFY_OK: the lines up to the last checkpoint are those that the holder of the key committed, in that order, none
 * missing. Not proved: that lines after the last checkpoint were not taken off the end, that what a record says is true,
 * that no mail went round the milter.
 *
 * Levels: VERIFY_FILES looks that no file is missing, each continues the one before, numbers have no gap and all signatures are
 * right; VERIFY_RECORDS recomputes every record too; VERIFY_CONTENT reads every record besides, and each tenant's own numbers.
 *
 * Exit codes, as sekisho-log(5) has them: VERIFY_OK 0, VERIFY_TAMPERED 1, VERIFY_RETENTION 2, VERIFY_UNKNOWN 3; the worst is
 * the first of TAMPERED, RETENTION, UNKNOWN that was found.
 *
 * A checkpoint that was kept outside adds: what it covers was not altered or cut off since, not even by the key's holder
 * (verify_outside.h). A log that is being written to is seen as of one moment (files.h): a torn line at its end is one that
 * nobody is about to finish.
 *
 * Errors   a file that cannot be read is a finding (VERIFY_UNKNOWN), not a failure
 * Bounds   VERIFY_FINDINGS_MAX findings are kept; memory two lines of RECORD_LINE_MAX a thread
 */
#ifndef SEKISHO_RECORD_VERIFY_H
#define SEKISHO_RECORD_VERIFY_H

#include <stdarg.h>

#include "config/base/clock.h"
#include "milter/record/format.h"
#include "config/base/retention.h"

enum verify_result { VERIFY_OK = 0, VERIFY_TAMPERED = 1, VERIFY_RETENTION = 2, VERIFY_UNKNOWN = 3 };

/* From little to all; 0 is the usual one. */
enum verify_level { VERIFY_FILES = -1, VERIFY_RECORDS = 0, VERIFY_CONTENT = 1 };

#define VERIFY_FINDINGS_MAX 100
#define VERIFY_THREADS_MAX 64
#define VERIFY_OUTSIDE_MAX 64
#define VERIFY_LATE_US HOUR_US         /* so long a purge or an erasure may take once it is due or declared */

/* A sentence of a finding, a format with its conversions, in the language of the reader. */
typedef const char *verify_tongue(const char *english);

struct verify_finding {
	enum verify_result result;     /* VERIFY_OK: worth knowing, nothing wrong */
	struct str file;
	int64_t offset, seq;           /* -1: not about a place */
	struct str text;               /* "record 12 was altered: its chain value does not follow from its text" */
};

struct verify_report {
	enum verify_result result;     /* the worst finding */
	int64_t files, records, bytes;
	int64_t first_seq, last_seq;
	int64_t first_time_us, last_time_us;
	int64_t checkpoints;           /* good signatures */
	int64_t last_checkpoint_seq;   /* lines after it are chained but not yet signed */
	int64_t unsigned_records;
	int64_t erased, recovered, purged, restored;
	int64_t outside, outside_seq;  /* checkpoints kept outside that the log agrees with, and the last record that they cover */
	int64_t witnessed;             /* those of them that a witness signed; of the one that covers most: */
	int64_t witnessed_seq, witnessed_us;
	struct str witness;
	bool is_from_start;            /* the first file begins the log: nothing was before it */
	struct verify_finding findings[VERIFY_FINDINGS_MAX];
	size_t finding_count;          /* beyond the maximum they are only counted */
	verify_tongue *tongue;
	struct arena arena;
};

struct verify_options {
	struct str dir;                /* LOGDIR/CLASS */
	struct str public_key_file;    /* PEM; several keys where they were rotated */
	struct str operator_key_file;  /* PEM; who may declare records erased and the log restored. Empty: any key given above, and
					  what another one declares cannot be told from a forgery: VERIFY_UNKNOWN */
	struct str node, class_name;   /* whose log this must be (verify_names.h); empty: not looked at */
	int64_t first_day, last_day;   /* INT64_MIN, INT64_MAX: all */
	enum verify_level level;
	const struct str *checkpoint_files;   /* notes kept outside (note.h), to hold the log against */
	size_t checkpoint_file_count;  /* VERIFY_OUTSIDE_MAX at most */
	struct str witness_key_file;   /* PEM; who must have countersigned each of them. Empty: nobody must */
	bool no_personal_data;         /* no line may hold an address, a login, a subject */
	bool has_retention;            /* was everything kept so long, and no longer? */
	struct retention keep;
	int threads;                   /* files at once; 0: one */
	/* From any thread, one at a time. May be NULL. */
	void (*progress)(void *arg, int64_t bytes_done, int64_t bytes_total);
	void *progress_arg;
	const _Atomic bool *stop;      /* true: leave off; the report says nothing then. May be NULL */
	verify_tongue *tongue;         /* the language of the findings; NULL: English */
};

/* False only when nothing could be read at all (then VERIFY_UNKNOWN). `out` is cleared by verify_report_clear either way. */
bool record_verify(const struct verify_options *options, struct verify_report *out, struct err *err);
void verify_report_clear(struct verify_report *report);

/* Copies what the finding says; the report's result becomes the worse one. */
void verify_report_add(struct verify_report *report, const struct verify_finding *finding);
/* The same with a sentence of its own. */
void verify_report_find(struct verify_report *report, enum verify_result result, struct str file, int64_t offset, int64_t seq,
			const char *fmt, ...) __attribute__((format(printf, 6, 7)));
/* What the finding says, in that tongue; its text is made in `arena`, empty without memory. */
void verify_finding_say(struct verify_finding *finding, struct arena *arena, verify_tongue *tongue, const char *fmt, va_list ap)
	__attribute__((format(printf, 4, 0)));
/* Tampering before retention before not knowing. */
enum verify_result verify_worse(enum verify_result a, enum verify_result b);
/* For programs: "intact", "altered", "retention", "unknown". */
const char *verify_result_name(enum verify_result result);

#endif
