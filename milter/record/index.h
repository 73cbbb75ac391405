/*
 * index - in which blocks of a finished log file a value stands, so that a search reads these and not the day.
 *
 * CLASS/.index/NAME.idx speaks of CLASS/NAME. It is no part of the log: built beside it, thrown away and built again at will.
 * What it names is looked up in the log itself, and what it cannot vouch for is read: a missing, old, cut or altered index
 * costs time and never an answer.
 *
 * An index discloses nothing by itself: it holds keyed hashes of values (siphash.h). The key is CLASS/.index.key, 32 random octets
 * that whoever may search can read; neither belongs into a backup. Each file has keys of its own, made of that key, its name
 * and a salt.
 *
 *   octet  0  "SKINDEX1"                            numbers are little endian
 *          8  u64  covered: it speaks of so many octets at the front of the log file; whole lines
 *         16  u64  postings, their number
 *         24  u32  log2 of a block's octets
 *         28  u32  log2 of the number of buckets
 *         32  16 octets of salt
 *         48  u64  MAC of the INDEX_TAIL octets before `covered` in the log file: is it still the file that was read?
 *         56  u64  MAC of octets 0 to 55
 *         64  a row a bucket: u64 MAC of what follows and of the bucket's postings, u32 its number, u32 first posting, u32 count
 *          -  postings: u16 block, u16 more of the hash; a bucket is those whose hash begins with its number
 *
 * A posting is made for each line that begins in the block; names are those of enum index_field.
 *
 * Input    index files may have been altered by anybody
 * Errors   none when reading: an index that is not good is not there
 * Bounds   INDEX_POSTINGS_MAX in one file; what follows in the log file is not covered then
 */
#ifndef SEKISHO_RECORD_INDEX_H
#define SEKISHO_RECORD_INDEX_H

#include "milter/record/files.h"
#include "milter/record/siphash.h"

#define INDEX_KEY_LEN 32
#define INDEX_HEAD_LEN 64
#define INDEX_ROW_LEN 20
#define INDEX_POSTING_LEN 4
#define INDEX_SALT_LEN 16
#define INDEX_TAIL 128
#define INDEX_BLOCKS_MAX 65536
#define INDEX_BLOCK_BITS_MIN 16                    /* 64 KiB */
#define INDEX_BUCKET_BITS_MAX 20
#define INDEX_POSTINGS_MAX ((uint64_t)8 << 20)

/* Upper and lower case of ASCII letters are the same in all of them. */
enum index_field {
	INDEX_REFERENCE = 1,           /* id, message, queue_id, and detail's message_id without its <> */
	INDEX_SENDER,                  /* from */
	INDEX_SENDER_DOMAIN,           /* what follows its last @ */
	INDEX_RECIPIENT,               /* each of to, and rcpt */
	INDEX_RECIPIENT_DOMAIN,
	INDEX_CLIENT,                  /* an IP address, however it is spelt */
};

/* One bit a block. */
struct index_blocks {
	uint64_t bits[INDEX_BLOCKS_MAX / 64];
};

struct index_keys {
	unsigned char term[SIPHASH_KEY_LEN], mac[SIPHASH_KEY_LEN];
};

struct index {
	int fd;
	int64_t covered;
	uint64_t postings;
	unsigned block_bits, bucket_bits;
	struct index_keys keys;
};

/* A Message-ID without its <>: as INDEX_REFERENCE has it. */
struct str index_plain_id(struct str id);

/* The class's key; `makes`: made when there is none. False: there is none to be had, `err` says why. */
bool index_key_load(const char *dir, bool makes, unsigned char out[INDEX_KEY_LEN], struct err *err);

/* False: none that speaks of this very file. `log_fd` is the log file, `log_size` how long its valid text is. */
bool index_open(const char *dir, struct record_file file, const unsigned char key[INDEX_KEY_LEN], int log_fd, int64_t log_size,
		struct index *out);
void index_close(struct index *index);
/* Adds the blocks in which a line may hold the value. False: this part of the index is damaged. */
bool index_look_up(const struct index *index, enum index_field field, struct str value, struct index_blocks *blocks);

/* For index*.c alone. */
void index_keys_make(const unsigned char key[INDEX_KEY_LEN], struct str name, const unsigned char salt[INDEX_SALT_LEN],
		     struct index_keys *out);
/* Hash of a value; false: it has none (no domain, empty). */
bool index_term(const struct index_keys *keys, enum index_field field, struct str value, uint64_t *out);
bool index_tail_mac(const struct index_keys *keys, int log_fd, int64_t covered, uint64_t *out);
/* `row` from its ninth octet, then its postings. */
uint64_t index_bucket_mac(const struct index_keys *keys, const unsigned char row[INDEX_ROW_LEN], const unsigned char *postings,
			  size_t count);
bool index_path(const char *dir, struct record_file file, char out[PATH_MAX]);

#endif
