/*
 * verify - is the relay log what was committed: nothing altered, none missing, in order?
 *
 * Needs the public key only. Walks the files of one class directory, recomputes every leaf and chain, checks seq without
 * gaps, checkpoints' signatures, and that each file continues the one before. Says what it proved and what it did not.
 *
 * Exit codes of RELAYLOG 2: VERIFY_OK 0, VERIFY_TAMPERED 1, VERIFY_RETENTION 2, VERIFY_UNKNOWN 3
 */
#ifndef SEKISHO_RECORD_VERIFY_H
#define SEKISHO_RECORD_VERIFY_H

#include "milter/record/format.h"

enum verify_result { VERIFY_OK = 0, VERIFY_TAMPERED = 1, VERIFY_RETENTION = 2, VERIFY_UNKNOWN = 3 };

#define VERIFY_FINDINGS_MAX 100

struct verify_finding {
	enum verify_result result;
	struct str file;
	int64_t offset, seq;           /* -1: not about a place */
	struct str text;               /* "line altered: its chain value does not follow from its text" */
};

struct verify_report {
	enum verify_result result;     /* the worst finding */
	int64_t files, records, bytes;
	int64_t first_seq, last_seq;
	int64_t first_time_us, last_time_us;
	int64_t checkpoints;           /* good signatures */
	int64_t last_checkpoint_seq;   /* lines after it are chained but not yet signed */
	int64_t unsigned_records;
	int64_t erased, recovered;
	struct verify_finding findings[VERIFY_FINDINGS_MAX];
	size_t finding_count;          /* beyond the maximum they are only counted */
	struct arena arena;
};

struct verify_options {
	struct str dir;                /* LOGDIR/CLASS */
	struct str public_key_file;    /* PEM */
	int64_t first_day, last_day;   /* INT64_MIN, INT64_MAX: all */
	void (*progress)(void *arg, int64_t bytes_done, int64_t bytes_total);   /* may be NULL */
	void *progress_arg;
};

/* False only when nothing could be read at all (then VERIFY_UNKNOWN). */
bool record_verify(const struct verify_options *options, struct verify_report *out, struct err *err);
void verify_report_clear(struct verify_report *report);

#endif
