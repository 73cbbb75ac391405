/*
 * entry - the lines in which the relay log speaks about itself, and what is signed in them.
 *
 *   begin        first line of every file: whose log, which file came before and where its valid text ends, the number and
 *                chain value of its last line, how many `tenants` lines follow
 *                {"node","class","file","previous","end":OCTETS,"after":SEQ,"hash":HEX,"tenants":N}
 *   tenants      the last tseq of each tenant so far, so that nobody has to read older files to go on counting
 *                {"tseq":{"acme":N,...}}
 *   checkpoint   the signature over all lines up to `head`
 *                {"node","class","head":SEQ,"hash":HEX,"next":BASE64,"once":BASE64,"key":ID,"sig":BASE64}; `next` and `once`
 *                are the one-time keys' (once.h)
 *
 * The text that a checkpoint's signature covers has the form of a C2SP checkpoint (c2sp.org/tlog-checkpoint): origin, size,
 * root, extension lines; each ends with a newline:
 *
 *   sekisho:NODE/CLASS
 *   HEAD, decimal
 *   the chain value of line HEAD, base64
 *   time 2026-11-21T18:04:05.123456+09:00          the checkpoint line's own time
 *   next BASE64                                     the key that will sign the next checkpoint besides; absent without `next`
 *
 *   purged       a file was removed because its time was over; signed, and on disk before the file goes
 *                {"node","class","file","first":SEQ,"before":HEX,"last":SEQ,"hash":HEX,"reason":"retention","keep":"60d","key":ID,
 *                "sig":BASE64}; absent where the file's beginning could not be read: `first`, `before`
 *
 *   erased       lines were replaced by their leaves (erase.h); signed, and on disk before they are
 *                {"node","class","tenant" or "id","file","reason","seqs":"12,15-20","key","sig"}
 *
 *   restored     the class came back from a backup; what was written after the backup is lost. Signed by the operator
 *                {"node","class","backup","last":SEQ,"hash":HEX,"key","sig"}; last and hash are the line's before this one, or
 *                the last one's of the file before
 *
 * Other signed lines than checkpoints are statements: a detail that begins with "node" and "class" and ends in
 * ,"key":ID,"sig":BASE64}; the signature covers the line "sekisho:NODE/CLASS EVENT" with its newline, then the detail's octets
 * before ,"sig".
 *
 * Input    details come from disks that anybody may have touched
 */
#ifndef SEKISHO_RECORD_ENTRY_H
#define SEKISHO_RECORD_ENTRY_H

#include "milter/record/files.h"
#include "milter/record/format.h"
#include "milter/record/sign.h"
#include "milter/record/span.h"

#define ENTRY_NAME_MAX 255

/* A node or class name that can stand in signed text: 1 to ENTRY_NAME_MAX printable ASCII octets but space " \ /. */
bool entry_is_name(struct str name);

struct begin_entry {
	struct str node, class_name, file, previous;      /* escaped, which for such names is the same */
	int64_t end, after;
	unsigned char hash[CHAIN_LEN];
	int64_t tenants;
};
/* Into `out`, which is emptied first. */
void begin_entry_write(const struct begin_entry *begin, struct buf *out);
bool begin_entry_read(struct str detail, struct begin_entry *out);

struct checkpoint_entry {
	struct str node, class_name;
	int64_t head;
	unsigned char hash[CHAIN_LEN];
	struct str time;               /* JST_TIME_LEN octets, of the line */
	struct str next;               /* base64 of the public key of the next one; empty: none */
	struct str once;               /* the signature of the key that the one before named; empty: none */
	struct str key, sig;
};
/* The signed text, into `out`, which is emptied first. */
void checkpoint_entry_text(const struct checkpoint_entry *checkpoint, struct buf *out);
/* The detail, signed; key and sig of `checkpoint` are not looked at. */
bool checkpoint_entry_write(const struct checkpoint_entry *checkpoint, const struct sign_key *key, struct buf *out,
			    struct err *err);
bool checkpoint_entry_read(struct str detail, struct str time, struct checkpoint_entry *out);

struct purged_entry {
	struct str node, class_name, file;
	int64_t first;                 /* seq of the file's first line (0: not known), and the chain value that it continues */
	unsigned char before[CHAIN_LEN];
	int64_t last;                  /* seq of the file's last line, and its chain value */
	unsigned char hash[CHAIN_LEN];
	struct str reason, keep;       /* reason empty: not said */
};
/* The detail, into `out`, which is emptied first. `key` NULL: not signed. */
bool purged_entry_write(const struct purged_entry *purged, const struct sign_key *key, struct buf *out, struct err *err);
/* Neither first nor before nor reason, which earlier versions did not write, is looked at. */
bool purged_entry_read(struct str detail, struct purged_entry *out);

struct erased_entry {
	struct str node, class_name, tenant, id, file, reason;
};
/* Declares ranges from *at on, as many as fit one line; *at moves on. */
bool erased_entry_write(const struct erased_entry *erased, const struct spans *spans, size_t *at, const struct sign_key *key,
			struct buf *out, struct err *err);
/* Its node, class and file; *out_seqs: the lines that it declares, for spans_read. */
bool erased_entry_read(struct str detail, struct erased_entry *out, struct str *out_seqs);

struct restored_entry {
	struct str node, class_name;
	struct str backup;             /* its name: when it was made */
	int64_t last;
	unsigned char hash[CHAIN_LEN];
};
bool restored_entry_write(const struct restored_entry *restored, const struct sign_key *key, struct buf *out, struct err *err);
bool restored_entry_read(struct str detail, struct restored_entry *out);

/* Ends a detail that lacks its closing brace with key and signature. */
bool statement_sign(struct buf *detail, struct str node, struct str class_name, const char *event, const struct sign_key *key,
		    struct err *err);
enum statement_result {
	STATEMENT_GOOD,
	STATEMENT_UNSIGNED,
	STATEMENT_STRANGE,             /* signed with a key that is not among those given */
	STATEMENT_FORGED,
};
enum statement_result statement_check(struct str detail, struct str event, const struct sign_publics *publics);

#endif
