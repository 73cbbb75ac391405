/*
 * backup - copies of the relay log and the store, one directory a generation, which prove themselves.
 *
 *   DIR/20261121T180405/MANIFEST        what is in it, signed (backup_manifest.h)
 *                       log/CLASS/...   the log's files, as of one moment for each class
 *                       store/          an embedded store with what the configured one held
 *                       keys/           public keys
 *   DIR/erasures/                       certificates: what a restored backup is made to forget first (restore.h)
 *
 * Never in it: secret keys, one-time keys, the keyring, indexes. A file that has not changed since the generation before
 * is linked, not copied. Sealed records stay sealed, and end with their keys.
 *
 * Crash    a generation is made as DIR/.NAME.tmp and renamed when it is whole and on disk; what a crash left is removed by
 *          the first run a day later
 * Writers  go on; the class is locked while its files are listed, not while they are copied
 */
#ifndef SEKISHO_BACKUP_H
#define SEKISHO_BACKUP_H

#include "milter/backup_manifest.h"
#include "milter/record/verify.h"
#include "policy/store.h"

#define BACKUP_NAME_LEN 15                          /* "20261121T180405" */
#define BACKUP_GENERATIONS_MAX 10000

struct backup_made {
	char name[BACKUP_NAME_LEN + 1];
	int64_t files, linked, octets; /* octets: copied, not linked */
};

/* Files of the class under way, or of the generation. May be NULL. */
typedef void backup_progress_fn(int64_t done, int64_t total);

/* `store` NULL: there is none yet. */
bool backup_run(const struct config *config, const char *dir, struct store *store, const struct sign_key *key,
		backup_progress_fn *progress, struct backup_made *out, struct err *err);

/* Names of generations, oldest first; the caller frees *out. No directory: none. */
bool backup_list(const char *dir, char (**out)[BACKUP_NAME_LEN + 1], size_t *out_count, struct err *err);
bool backup_is_name(struct str name);

struct backup_checked {
	enum verify_result result;     /* as of log verify */
	char why[ERR_TEXT_MAX];        /* the first thing that is wrong; empty: nothing */
	int64_t time_us, files, records;
};
/* Files against the manifest, and each class as `log verify` would; public keys only. */
bool backup_verify(const struct config *config, const char *path, struct str public_key, struct str operator_key,
		   backup_progress_fn *progress, struct backup_checked *out, struct err *err);

/* Keeps the generations of the newest `keep` days. *out_count: those that went, or would in a dry run. */
bool backup_prune(const char *dir, int64_t keep, bool is_dry_run, int64_t *out_count, struct err *err);

bool backup_remove_tree(const char *path, struct err *err);

#endif
