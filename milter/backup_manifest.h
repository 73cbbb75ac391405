/*
 * backup_manifest - what a backup holds, signed.
 *
 * The file MANIFEST of a generation is a note (milter/record/note.h) signed with the log key as sekisho:NODE/backup:
 *
 *   Backup of a relay / バックアップ
 *   relay NODE
 *   time TIME
 *   file log/relay/2026-11-21.jsonl 123456 SHA256
 *   ...
 *
 * Input    a file that anybody may have written
 * Bounds   MANIFEST_MAX octets
 */
#ifndef SEKISHO_BACKUP_MANIFEST_H
#define SEKISHO_BACKUP_MANIFEST_H

#include <limits.h>
#include <sys/stat.h>

#include "config/base/arena.h"
#include "milter/record/chain.h"
#include "milter/record/sign.h"

#define MANIFEST_NAME "MANIFEST"
#define MANIFEST_MAX ((size_t)16 << 20)

struct manifest_file {
	struct str path;               /* below the generation: "log/CLASS/FILE", "store/facts/data.mdb", "keys/NAME" */
	int64_t size;
	char sha256[CHAIN_HEX_LEN];
};

struct manifest {
	struct arena arena;
	struct str node;
	int64_t time_us;
	struct manifest_file *files;   /* in the order of the paths, as they are added */
	size_t count, room;
};

void manifest_init(struct manifest *manifest);
void manifest_clear(struct manifest *manifest);
bool manifest_add(struct manifest *manifest, struct str path, int64_t size, const char sha256[CHAIN_HEX_LEN], struct err *err);
/* NULL: it is not in it. */
const struct manifest_file *manifest_find(const struct manifest *manifest, struct str path);

bool manifest_write(const struct manifest *manifest, const char *dir, const struct sign_key *key, struct err *err);
/* ERR_INPUT when it is no manifest, ERR_CONFIG when its signature is not one of `publics`. Cleared by manifest_clear either way. */
bool manifest_read(struct manifest *manifest, const char *dir, const struct sign_publics *publics, struct err *err);

/* The first `size` octets of a file; into `to` as well, when that is not NULL, synced and with the times of `from`. */
bool manifest_copy(const char *from, const char *to, int64_t size, char out_sha256[CHAIN_HEX_LEN], struct err *err);

#endif
