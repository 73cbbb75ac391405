/*
 * erasure - all that is known of a former tenant, or one record, is taken away, and a paper says so.
 *
 * A tenant: its records in every class but ops (only numbers and hashes stay, see milter/record/erase.h), former classes
 * (classes.h) among them, its key in the keyring where the log is sealed, and everything under its name in the store. One
 * record: its line. Both are signed with the operator's key, which is not the key that signs the log: who takes over the
 * gate can write, but not take away.
 *
 * The certificate is a signed note (milter/record/note.h), its text beginning with
 *
 *   Certificate of erasure / 消去証明書
 *   relay NODE
 *   tenant NAME                     or "record ID"
 *   time TIME
 *   [reason TEXT]
 *
 * A copy of it stays in STATE_DIR/erasures, and beside the backups where there are any: one that is restored later is made to
 * forget by it (milter/restore.h).
 *
 * Errors   whatever failed can be run again, and goes on with what is left
 */
#ifndef SEKISHO_ERASURE_H
#define SEKISHO_ERASURE_H

#include <limits.h>

#include "milter/record/entry.h"
#include "milter/record/sign.h"
#include "milter/record/writer.h"
#include "policy/store.h"

#define ERASURE_DIR "erasures"
#define CERTIFICATE_MAX ((size_t)64 << 10)
#define ERASURE_CLASSES_MAX (2 * CONFIG_CLASSES_MAX)       /* former ones included; more are an error, and nothing is certified */

struct erasure {
	const struct config *config;
	struct store *stores[2];       /* those that may know the tenant; NULL: none */
	struct str tenant;             /* or, when empty, */
	struct str id;                 /* of the record */
	struct str reason;             /* one line; may be empty */
	const struct sign_key *key;    /* the operator's */
	bool is_dry_run;               /* counts, and changes nothing: no certificate, `out` may be NULL */
	bool must_find;                /* nothing to erase is ERR_INPUT, and not certified: a tenant that never was is a slip */
};

struct erasure_class {
	char name[ENTRY_NAME_MAX + 1];
	int64_t records, files;
};
struct erased {
	struct erasure_class classes[ERASURE_CLASSES_MAX];
	size_t class_count;
	int64_t records, entries;      /* of all classes; of the store */
	bool had_key;                  /* of the keyring */
	bool is_nothing;               /* none of these was there */
};

/* The operator's key: `file`, or where that is empty the configured one. ERR_CONFIG: there is none, or it is the log's. */
bool erasure_key(const struct config *config, struct str file, struct sign_key **out, struct err *err);
/* Where its public half is on this host, with which what was taken out of the log is verified. False: it is not here. */
bool erasure_public(const struct config *config, char out[PATH_MAX]);
/* Text that can stand in a certificate: one line. */
bool erasure_is_line(struct str text);

/* The certificate goes into `out`, and into STATE_DIR/erasures. */
bool erasure_run(const struct erasure *erasure, struct erased *out_erased, struct buf *out, struct err *err);

/* Takes everything under the tenant's name out of a store (dry run: counts the first few hundred of each kind); of one on this
 * host also what was seen of a shared one, and counted while that was away. */
bool erasure_forget(struct store *st, struct str tenant, bool is_dry_run, int64_t *out_count, struct err *err);

/* Does STATE_DIR/erasures hold a certificate about that tenant of that time or later, to the second? */
bool erasure_was_done(const struct config *config, struct str tenant, int64_t since_us);

/* A certificate's (or order's) value of that name: "tenant", "time", ... False: there is none. */
bool certificate_find(struct str text, struct str name, struct str *out);

#endif
