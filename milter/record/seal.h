/*
 * seal - what a record says of people, readable only while two keys live.
 *
 * In a sealed class a line keeps event, tenant, tseq, id, message, queue_id and host as they are. All that would follow up
 * to `clock` is one member instead:
 *
 *   "sealed":"YYYY-MM-DD:KEYID:BASE64"       BASE64 of nonce (12 octets), ciphertext, tag (16 octets): AES-256-GCM
 *
 *   plaintext   the members' octets as they would have stood, from the comma before the first: opened, a line is the line
 *               that an unsealed class would hold, but for its chain value, which is over the sealed one
 *   bound in    "CLASS\n", then the octets of the line from `,"event"` to before `,"sealed"`, without `tseq`: a ciphertext
 *               moved into another line, tenant, class or log opens no more
 *   key         HKDF-SHA-256 of the day's key and the tenant's (32 octets each; 32 zeros where there is no tenant), info
 *               "sekisho seal\nCLASS\nDAY\nTENANT"
 *   KEYID       first 8 hexadecimal digits of SHA-256 of that key: a lost key is told from a forged line
 *
 * The keyring is a directory outside every backup: day/CLASS/YYYY-MM-DD.key and tenant/NAME.key, 64 hexadecimal digits and
 * a newline, mode 0600 in directories of mode 0700, by programs of one user. A key is on disk before the first line that
 * needs it. When a day's key or a tenant's is destroyed, so is what it sealed, in every copy anywhere.
 *
 * Lines without a tenant, an envelope or a reply (begin, checkpoint, purged, erased, ...) are never sealed: verify reads
 * them, and needs no key of the ring.
 *
 * Memory   SEAL_CACHE_MAX derived keys, kept for SEAL_CACHE_US at most: so long a program goes on after a key was destroyed
 * Errors   ERR_CONFIG when the keyring can be read by others or a key's file does not hold one; ERR_BUSY when it cannot be
 *          read or written
 * Threads  any
 */
#ifndef SEKISHO_RECORD_SEAL_H
#define SEKISHO_RECORD_SEAL_H

#include "config/base/num.h"
#include "milter/record/format.h"

#define SEAL_KEY_LEN 32
#define SEAL_CACHE_MAX 4096
#define SEAL_CACHE_US (10 * US_PER_S)

struct seal;

/* The keyring of one class. Nothing is looked at or made before it is needed: a reader of a plain log has no keyring. */
bool seal_open(struct str keyring, struct str class_name, struct seal **out, struct err *err);
void seal_close(struct seal *seal);            /* NULL is fine */

/* Seals a record about a tenant or about mail, and leaves any other alone. `body` is what record_format_body made of the
 * event in `text`, and stands in `text` sealed afterwards. Keys that are missing are made. `time_us` chooses the day. */
bool seal_body(struct seal *seal, const struct record_event *event, int64_t time_us, struct buf *text,
	       struct record_body *body, struct err *err);

enum seal_result {
	SEAL_PLAIN,                    /* it was never sealed */
	SEAL_OPENED,
	SEAL_CLOSED,                   /* its key is destroyed */
	SEAL_UNREAD,                   /* whether there is a key could not be seen: no memory, no descriptor, not for this user */
	SEAL_FORGED,                   /* the key is there, but not for this text in this place */
};
/*
 * A line (without its newline) as readers want it. *out is `line` itself unless SEAL_OPENED, when it stands in `room`, which
 * is emptied first. `seal` NULL: every sealed line is closed.
 */
enum seal_result seal_read_line(struct seal *seal, struct str line, struct buf *room, struct str *out);

/* Ends them, wherever copies are: all keys of a class for days before `day`; a tenant's. The key's octets are overwritten
 * where they stand before the file goes (on file systems that write in place). Nothing there: nothing to do. */
bool seal_destroy_days(struct str keyring, struct str class_name, int64_t day, int64_t *out_count, struct err *err);
bool seal_destroy_tenant(struct str keyring, struct str tenant, bool *out_found, struct err *err);
/* Is there one that could be ended? */
bool seal_has_tenant(struct str keyring, struct str tenant, bool *out_found, struct err *err);

#endif
