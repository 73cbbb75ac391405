/*
 * restore - a generation of backup.h becomes the relay log and the store again, and forgets first what was destroyed since.
 *
 * In this order, so that nothing that was deleted is ever there again for a reader:
 *
 *   1  the generation is verified as a whole
 *   2  its log is copied beside the place where it goes, LOGDIR.restore; a `restored` record (entry.h), signed by the operator,
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

/* `backup`: BACKUPDIR/GENERATION; `key`: the operator's. ERR_CONFIG: a class is there already, or the backup is no good. */
bool restore_run(const struct config *config, const char *backup, struct str public_key, struct str operator_public,
		 const struct sign_key *key, struct store *store, struct restored *out, struct err *err);

#endif
