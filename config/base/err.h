/*
 * err - what went wrong, in words, with a kind that already knows what the MTA will hear.
 *
 * The lowest layer says what happened (err_set), each caller puts before it whose business it was (err_wrap), the
 * top logs it once: "quota of tenant ginza-mail: redis 127.0.0.1:6379: connection refused". errno becomes words
 * where it occurs (err_errno) and travels no further.
 *
 * All three return false, so that a failing function can end with `return err_set(...)`.
 * `err` may be NULL where the caller does not care why. Texts over ERR_TEXT_MAX octets are cut, at the far end.
 */
#ifndef SEKISHO_ERR_H
#define SEKISHO_ERR_H

#include <stdbool.h>

#define ERR_TEXT_MAX 1024

enum err_kind {
	ERR_NONE = 0,
	ERR_INPUT,       /* the sender's (or a file's) bytes are at fault: answer 5xx */
	ERR_BUSY,        /* store, disk or memory is at fault: answer 4xx, the mail waits */
	ERR_FULL,        /* as ERR_BUSY, and the reason is a full disk: answer 452 4.3.1 */
	ERR_CONFIG,      /* the operator must act: do not start, or keep the old snapshot */
};

struct err {
	enum err_kind kind;
	char text[ERR_TEXT_MAX];
};

bool err_set(struct err *err, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* "<words>: <strerror(errno)>"; ENOSPC and EDQUOT make it ERR_FULL. */
bool err_errno(struct err *err, enum err_kind kind, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Puts "<words>: " before what is there; the kind stays. */
bool err_wrap(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Out of memory, or over a ceiling that stands for it. */
bool err_memory(struct err *err);

#endif
