/*
 * io - files, written as if the power could go at any time.
 *
 * Every system call that can fail in a way we promise to survive goes through `io_calls`, a table that t/fault
 * replaces to make the n-th write, sync or open fail. Descriptors are close-on-exec.
 *
 * Errors   ERR_BUSY, or ERR_FULL when the disk or the quota is full; the text names the path
 */
#ifndef SEKISHO_IO_H
#define SEKISHO_IO_H

#include <sys/types.h>

#include "config/base/buf.h"

struct io_calls {
	int (*open)(const char *path, int flags, mode_t mode);
	ssize_t (*write)(int fd, const void *data, size_t n);
	int (*sync)(int fd);                              /* fdatasync */
	int (*allocate)(int fd, off_t at, off_t n);       /* fallocate, size kept */
	int (*rename)(const char *from, const char *to);
	int (*unlink)(const char *path);
	int (*truncate)(int fd, off_t n);                 /* ftruncate */
};
extern struct io_calls io_calls;

/*
 * Takes the places of standard input, output and error that a caller has left closed, so that no file of ours gets them and hears
 * what is meant for a terminal. What is read or written there fails, as with nothing open.
 */
void io_hold_standard(void);
/* Opens; `path` is C text. -1 and err on failure. */
int io_open(const char *path, int flags, mode_t mode, struct err *err);
/* Writes all or fails; a short write is carried on. `name` is for the error. */
bool io_write_all(int fd, struct str data, const char *name, struct err *err);
bool io_sync(int fd, const char *name, struct err *err);
/* fsync of the directory that holds `path`, so that a created, renamed or removed name survives. */
bool io_sync_dir_of(const char *path, struct err *err);

/* The whole file into `out` (whose ceiling bounds it: a larger file is an error that names the bound). */
bool io_read_file(const char *path, struct buf *out, struct err *err);
/* Standard input to its end, likewise. */
bool io_read_stdin(struct buf *out, struct err *err);
/* Old content or new, never half: temporary file beside it, sync, rename, sync of the directory. A file that was there keeps its
 * owner, also when root replaces it. */
bool io_replace_file(const char *path, struct str data, mode_t mode, struct err *err);
/* The name of the user who runs this; his number where he has none. */
#define IO_USER_MAX 64
void io_user(char out[IO_USER_MAX]);
/* As io_read_file; refused (ERR_CONFIG) when group or others may read or write it, with the chmod that mends it, or when we may
 * not, with whose it is. */
bool io_read_secret(const char *path, struct buf *out, struct err *err);
/* The socket that a process which ended has left there. Nothing there is success; anything else stays (ERR_CONFIG). */
bool io_remove_socket(const char *path, struct err *err);
/* The directory and its parents. An existing directory is success. */
bool io_make_dirs(const char *path, mode_t mode, struct err *err);

#endif
