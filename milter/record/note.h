/*
 * note - a checkpoint outside the log, as a signed note of C2SP (c2sp.org/signed-note).
 *
 * `sekisho log checkpoint` prints one, to be mailed, printed or kept on another host; `log verify --checkpoint` holds the log
 * against it. Whoever has one sees when records up to it were altered or taken away, even by the holder of the log key.
 *
 *   sekisho:NODE/CLASS
 *   HEAD
 *   BASE64 of the chain value
 *   time TIME
 *   [other lines]
 *                                        an empty line
 *   (em dash) sekisho:NODE/CLASS BASE64  4 octets of key hash and the signature over the text above the empty line
 *
 * Input    files that anybody may have written
 * Bounds   base64 in its one spelling only, so that no octet of a signature can be another one
 */
#ifndef SEKISHO_RECORD_NOTE_H
#define SEKISHO_RECORD_NOTE_H

#include "milter/record/entry.h"

#define NOTE_MAX ((size_t)64 << 10)

/* The note of a checkpoint line. `public` is the key that signed it. */
void note_write(const struct checkpoint_entry *checkpoint, const struct sign_public *public, struct buf *out);

struct note {
	struct str text;               /* what is signed */
	struct str origin;             /* "sekisho:NODE/CLASS" */
	struct str node, class_name;
	int64_t head;
	unsigned char hash[CHAIN_LEN];
	struct str time;
};
/* ERR_INPUT when it is no such note; ERR_CONFIG when none of its signatures is a good one of a key that was given. */
bool note_read(struct str file, const struct sign_publics *publics, struct note *out, struct err *err);

/*
 * A witness's cosignature/v1 (c2sp.org/tlog-cosignature) on a note: one more signature line, of 4 octets of key hash, 8 of the time in
 * seconds and the signature over "cosignature/v1", a "time" line and the note's text.
 */
bool note_cosign(struct buf *file, const struct note *note, struct str name, int64_t time_s, const struct sign_key *key,
		 struct err *err);
enum note_cosigned {
	NOTE_ALONE,                    /* no such line by one of these keys */
	NOTE_COSIGNED,
	NOTE_FORGED,                   /* only lines that name one of these keys, and that it did not sign */
};
/* Whose and when: the witness's name (into `file`) and its time in seconds since 1970, of the first good one. */
enum note_cosigned note_cosigned(struct str file, const struct note *note, const struct sign_publics *witnesses,
				 struct str *out_name, int64_t *out_time_s);

/* Any other text, signed the same way under `name`: adds the empty line and the signature's line to text that ends with a
 * newline. */
bool note_sign(struct buf *text, struct str name, const struct sign_key *key, struct err *err);
/* The text of such a note, when one of its signatures is a good one of a key that was given (else ERR_CONFIG; no note at all:
 * ERR_INPUT). */
bool note_open(struct str file, const struct sign_publics *publics, struct str *out_text, struct str *out_name, struct err *err);

#endif
