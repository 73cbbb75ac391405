/*
 * erase - take a tenant's records (or one record) out of a class, and leave the proof that nothing else went with them.
 *
 * A line becomes {"seq":N,"erased":LEAF,"chain":...}: its leaf still carries the chain, and the salt that was in the line makes the
 * leaf say nothing about it. Which lines were erased is declared by signed `erased` records (entry.h), on disk before the
 * first file changes; a line erased without one is tampering.
 *
 * Crash    any instant: run again it declares what is left once more and goes on. A file is the old one or the new one
 * Writers  may go on; appends to the class wait while a file is copied
 * Not here what the disk keeps of the old file's blocks, and what backups hold
 */
#ifndef SEKISHO_RECORD_ERASE_H
#define SEKISHO_RECORD_ERASE_H

#include "milter/record/sign.h"
#include "milter/record/writer.h"

#define ERASE_COPY ".erase.tmp"        /* in the class directory, under its lock: what becomes the new file */

struct erase_request {
	struct str tenant;             /* all its records; empty: */
	struct str id;                 /* this one record */
	struct str reason;             /* part of what is signed */
	int64_t until_us;              /* only records of before; 0: all */
	const struct sign_key *signer; /* the operator's key; NULL: the log key of the writer's configuration, when it has one */
	bool is_dry_run;               /* only counted */
};

struct erase_result {
	int64_t records, files;
};

/* `config` as for a writer. A class that was never written to has nothing to erase. */
bool record_erase(const struct record_writer_config *config, const struct erase_request *request, struct erase_result *out,
		  struct err *err);

#endif
