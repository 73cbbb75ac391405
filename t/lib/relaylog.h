/*
 * relaylog - a class directory with a key of its own for each test, and what tests do with it.
 *
 * The clock stands at NOON (2026-11-21T12:00:00+09:00) and is synchronised until a test says otherwise.
 */
#ifndef SEKISHO_T_RELAYLOG_H
#define SEKISHO_T_RELAYLOG_H

#include <limits.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/record/verify.h"
#include "milter/record/writer.h"
#include "t/lib/unit.h"

#define NOON INT64_C(1795230000000000)

struct relaylog {
	char dir[PATH_MAX], key[PATH_MAX], pub[PATH_MAX];
	char keyring[PATH_MAX];        /* not there yet */
};

/* A fresh one below unit_dir(); nothing is written yet but the key. */
void relaylog_setup(struct relaylog *log);
/* Checkpoints only at the beginning and the end. `key_file` "": none. */
struct record_writer_config relaylog_config(const struct relaylog *log);
struct record_writer *relaylog_open(const struct relaylog *log);
bool relaylog_try_append(struct record_writer *writer, const char *event, const char *tenant, struct err *err);
void relaylog_append(struct record_writer *writer, const char *event, const char *tenant);
/* So many days from NOON's on of so many records each, acme's and ginza's in turn; the clock stands at the last. */
void relaylog_days(const struct relaylog *log, int days, int records);

/* "begin checkpoint accepted:acme:1 ..."; with_files: each file's name and a colon before its lines. Static. */
const char *relaylog_story(const struct relaylog *log, bool with_files);

void relaylog_path(const struct relaylog *log, const char *file, char out[PATH_MAX]);
/* Makes it a file that nobody can read, root neither: this process and what it starts lose that right for good. */
void relaylog_lock_up(const struct relaylog *log, const char *file);
/* The caller clears the buf. */
void relaylog_read(const struct relaylog *log, const char *file, struct buf *out);
void relaylog_write(const struct relaylog *log, const char *file, struct str text);
/* The one-time keys as they were before the last checkpoint: what a crash during it leaves. Kept once, put back often. */
void relaylog_keep_once(const struct relaylog *log);
void relaylog_put_once(const struct relaylog *log);
/* Makes all chain values from line `number` on (not the first of the file) right again. */
void relaylog_rechain(struct buf *text, size_t number);
/* Octet where line `number` (from 0) begins. */
size_t relaylog_line(struct str text, size_t number);

/* Leaves of a record what an erasure leaves, without a word about it; in the file with which the log begins. */
void relaylog_take_out(const struct relaylog *log, const char *file, int64_t seq);
/* Says that this record was erased, as the operator of relay `node` would, whose key is the log key of `signer`; by a writer of its
 * own. */
void relaylog_declare(const struct record_writer_config *config, const struct relaylog *signer, const char *node, const char *file,
		      int64_t seq);

/* Fails the test unless `sekisho log verify` and the second verifier (contrib/sekisho-log-verify.py, where there is a python3)
 * both end with `want` at the time that the test has set; with options and their values up to a NULL; "--node" and a name
 * first: it is that one's, not mx1's; with "": not told whose. Under make check only. */
void relaylog_opinions(const struct relaylog *log, int want, const char *what, ...) __attribute__((sentinel));
/* Exit code of `sekisho log search` over the class at the time that the test has set: 0 it shows a record, 1 there is none to be
 * seen; -1: not under make check. */
int relaylog_search(const struct relaylog *log);
/* Verifies; the caller clears the report. */
void relaylog_verify(const struct relaylog *log, struct verify_report *out);
/* Fails the test unless that ends with `want`. */
void relaylog_must_verify(const struct relaylog *log, enum verify_result want);

#endif
