/*
 * verify_file - one file of the relay log, checked by itself.
 *
 * A file's first line says what it continues, so each can be checked without the others; verify.c then puts them side by
 * side. After something wrong the check goes on from what the wrong line states, so that one altered line is one finding.
 *
 * Threads  a struct of its own for each
 */
#ifndef SEKISHO_RECORD_VERIFY_FILE_H
#define SEKISHO_RECORD_VERIFY_FILE_H

#include "milter/record/files.h"
#include "milter/record/once.h"
#include "milter/record/sign.h"
#include "milter/record/span.h"
#include "milter/record/verify_outside.h"

#define VERIFY_OF_ANOTHER_LOG "a statement about another log: " STR_FMT           /* its event */

/* A file that a signed record says was removed. */
struct verify_purged {
	struct verify_purged *next;
	struct record_file file;
	int64_t last, seq, time_us;    /* its last line; the record that says so, and when */
	unsigned char hash[CHAIN_LEN];
};

/* Lines of one file that signed records say were erased. */
struct verify_declared {
	struct verify_declared *next;
	struct record_file file;
	bool is_due;                   /* they have long been to be gone */
	struct spans seqs;
};

/* A name for the log, and the record that gives it. */
struct verify_name {
	struct verify_name *next;      /* an earlier one */
	struct str node, event;
	int64_t offset, seq;
};

/* A checkpoint's signed text and the signature of its one-time key. */
struct verify_once {
	struct str text, once;         /* text empty: no checkpoint */
	int64_t offset, seq;
	bool is_restored;              /* its key was lost, and a signed record says how: the log came back from a backup */
};

struct verify_file {
	struct record_file file;
	char name[RECORD_NAME_MAX];
	bool is_last;                  /* of the class: only here may a line be torn */
	bool is_no_file;               /* a directory, a FIFO, a link to nothing: there is nothing in it that could not be read */
	verify_tongue *tongue;         /* of its findings; NULL: English */
	int64_t size;                  /* as of the moment that is looked at, as the next */
	ino_t inode;                   /* 0: it could not be looked at */
	bool is_moved;                 /* by now another file has that name, or none: what it says is not to be used */
	bool is_unread;                /* some of it could not be read: what it lacks proves nothing */
	int64_t limit, limit_seq;      /* where the next file says that the valid text ends, after which record; */
	unsigned char limit_chain[CHAIN_LEN];             /* believed when the check finds that record there */

	bool has_begin;                /* what its first line says: */
	struct str node;
	struct record_file previous;   /* part 0: the log begins here */
	int64_t previous_end, after;
	unsigned char hash[CHAIN_LEN];

	int64_t records, first_seq, last_seq;             /* the rest is found by the check */
	unsigned char chain[CHAIN_LEN];
	int64_t first_time_us, last_time_us;
	int64_t checkpoints, last_checkpoint_seq, last_checkpoint_us;
	int64_t erased, recovered, restored;
	bool is_restored;              /* since its last checkpoint */
	uint64_t head_numbers, end_numbers;               /* of all tenants (verify_content.h); 0: not known */
	struct verify_purged *purged;
	struct spans erased_seqs;      /* lines erased here */
	struct verify_declared *declared;                 /* lines that statements here declare erased */
	struct verify_name *names;     /* the last first: of its good checkpoints, where they change; */
	struct verify_name *claims;    /* of its statements, where the last checkpoint of the file has another one, or there is none */
	struct verify_once first_once; /* its first checkpoint, to be held against the file before */
	char next[ONCE_BASE64_LEN + 1];/* the one-time key that its last checkpoint named */

	struct arena arena;
	struct verify_finding *findings;                  /* VERIFY_FINDINGS_MAX of them */
	size_t finding_count;          /* beyond the maximum, and without memory, they are only counted */
	enum verify_result worst;      /* of all of them */
};

struct verify_context {
	const char *dir;
	struct str class_name;         /* empty: any */
	const struct sign_publics *publics;
	const struct sign_publics *operators;             /* who may declare records erased and the log restored; */
	bool is_operator_known;                           /* false: whoever signs the log, for want of another key */
	struct verify_outsides *outsides;
	enum verify_level level;
	bool no_personal_data;
	void (*progress)(void *arg, int64_t bytes);
	void *progress_arg;
	const _Atomic bool *stop;      /* NULL: never */
	int64_t now_us;
};

/* First line (verify_look.c). An unreadable file is a finding. */
void verify_file_look(struct verify_file *file, const struct verify_context *context);
void verify_file_check(struct verify_file *file, const struct verify_context *context);
void verify_file_clear(struct verify_file *file);

/* A descriptor for the caller to close, or -1: that is a finding, too. */
int verify_file_open(struct verify_file *file, const struct verify_context *context);

/* Was this checkpoint signed with the key that the one before it named? */
void verify_file_check_once(struct verify_file *file, struct str named, const struct verify_once *checkpoint);

void verify_file_find(struct verify_file *file, enum verify_result result, int64_t offset, int64_t seq, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* The system's own words. */
void verify_file_find_err(struct verify_file *file, const struct err *err);
/* Where memory ran out since there were so many shortages, what was found is forgotten: the file could not be read. */
void verify_file_forget_short(struct verify_file *file, unsigned long shortages);

#endif
