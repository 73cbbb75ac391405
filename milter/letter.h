/*
 * letter - the content of one message while it may still change: header, body, and what is to be done to them.
 *
 * Kept only for mail that its tenant tracks. A body up to LETTER_MEMORY_MAX stays in memory, a larger one goes to an
 * unlinked file in state_dir and is mapped when it is read. Only LETTER_TURNS such letters are rewritten at a time:
 * that is as fast as the machine is, and bounds what they hold together. Whatever is wrong with the content, or with
 * the disk, is a reason to let the message pass as it came; `why_not` says it to the record.
 *
 * Changes  all of them are known, and every octet of the new body is in memory or in the mapped file, before the first
 *          is handed out: what follows is copying, which cannot fail half way. (A disk that breaks under a mapped page
 *          ends the process; the MTA then keeps the old message and answers 4xx)
 * Memory   fields at most `transaction_memory_max`; while rewriting LETTER_WORK_BASE + LETTER_WORK_FACTOR * body more,
 *          at most LETTER_WORK_MAX
 * Threads  one at a time for one letter; different letters in any
 */
#ifndef SEKISHO_LETTER_H
#define SEKISHO_LETTER_H

#include "config/config.h"
#include "milter/rewrite.h"

#define LETTER_MEMORY_MAX ((size_t)256 << 10)
#define LETTER_TURNS 4
#define LETTER_WORK_BASE ((size_t)16 << 20)
#define LETTER_WORK_FACTOR 4
#define LETTER_WORK_MAX ((size_t)128 << 20)
#define LETTER_CHUNK 65535             /* octets of a new body handed out at once: what a milter packet holds */

struct letter {
	const struct config *config;   /* NULL: not kept */
	struct arena arena;
	struct header *fields;
	size_t field_count, field_room;
	size_t steer_count;            /* fields REWRITE_STEER_HEADER, kept or not */
	struct buf memory;             /* the body, until it is too large */
	int spool;                     /* file descriptor; -1: none */
	size_t spooled;
	const char *map;
	bool has_turn;
	const char *why_not;           /* it passes as it came; NULL: it may change */
	struct str body;               /* once it is whole */
	struct rewrite_result *changes;        /* NULL: none */
	size_t at, edit, edit_at;      /* letter_next_chunk comes next to: octet of the body, edit, octet of the edit */
	char *chunk;
};

void letter_init(struct letter *letter);
/* `config` must outlive the letter. */
void letter_begin(struct letter *letter, const struct config *config);
void letter_end(struct letter *letter);                        /* also when it never began */
bool letter_is_kept(const struct letter *letter);

void letter_add_field(struct letter *letter, struct str name, struct str value);
void letter_add_body(struct letter *letter, struct str chunk);

/* Waits at most wait_us for a turn where one is needed. False: none yet; letter_rewrite leaves it alone then. */
bool letter_take_turn(struct letter *letter, int64_t wait_us);
/* `recipient` is the only one; empty when there are several. Fills `changes` or `why_not`. */
void letter_rewrite(struct letter *letter, const struct tenant *tenant, const struct token_keys *keys,
		    struct str recipient);

/* Fields REWRITE_STEER_HEADER of a letter that passes as it came: they are not for its readers, and no change names them. */
size_t letter_steer_left(const struct letter *letter);
bool letter_has_new_body(const struct letter *letter);
/* The new body, piece by piece; each lives until the next call. False at its end. */
bool letter_next_chunk(struct letter *letter, struct str *out);

#endif
