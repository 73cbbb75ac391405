/*
 * restore - a generation of backup.h becomes the relay log and the store again, and forgets first what was destroyed since.
 *
 * In this order, so that nothing that was deleted is ever there again for a reader:
 *
 *   1  the generation is verified as a whole
 *   2  its log is copied beside the place where it goes, LOGDIR/.restore; a `restored` record (entry.h), signed by the operator,
 *      says in each class that what was written after the backup is lost
 *   3  erasures and redactions by certificates (erasure.h) in STATE_DIR/erasures and BACKUPDIR/erasures are done again, for records
 *      of before the certificate; then what is over its time is purged
 *   4  the store's entries, but for those of erased tenants, go into the configured store
 *   5  the classes are renamed into LOGDIR
 *
 * Crash    before 5 nothing is there yet: run it again. A class that is there already is never touched
 */
#ifndef SEKISHO_RESTORE_H
#define SEKISHO_RESTORE_H

#include "milter/backup.h"

struct restored {
	int64_t classes, files, certificates, erased, purged;
	struct backup_checked checked;
};

struct restore_request {
	const struct config *config;   /* whose log and store it becomes */
	const char *backup;            /* BACKUPDIR/GENERATION */
	struct str public_key, operator_public;        /* files: who signed the log, and what was taken out of it */
	const struct sign_key *key;    /* the operator's */
	struct store *store;           /* NULL: the generation's entries go nowhere */
};

/* ERR_CONFIG: a class is there already, or the backup is no good, or holds a class that the configuration does not name. */
bool restore_run(const struct restore_request *request, struct restored *out, struct err *err);

#endif
