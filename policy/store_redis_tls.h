/*
 * store_redis_tls - TLS under a connection to Redis, with OpenSSL on the socket itself.
 *
 * Debian 12's hiredis knows no TLS; as hiredis only reads and writes the protocol here, it need not.
 * The server's certificate must be valid for the configured host name or address, always. Files that have changed are
 * read again by the next connection; those that stand go on.
 *
 * Threads  the one that drives connections
 */
#ifndef SEKISHO_STORE_REDIS_TLS_H
#define SEKISHO_STORE_REDIS_TLS_H

#include "config/config.h"
#include "policy/store_redis_conn.h"

enum tls_step { TLS_FAILED, TLS_GOES_ON, TLS_DONE };

/* Empty file names: the system's authorities, and no certificate of our own. ERR_CONFIG says which file is wrong. */
bool redis_tls_new(struct str ca_file, struct str cert_file, struct str key_file, struct redis_tls **out,
		   struct err *err);
void redis_tls_free(struct redis_tls *tls);            /* NULL is fine */

/* Begins or goes on; TLS_FAILED leaves the reason in conn->why. */
enum tls_step redis_tls_handshake(struct redis_conn *conn);
/* As read and write: -1 with EAGAIN when the socket must be waited for. */
ssize_t redis_tls_read(struct redis_conn *conn, char *out, size_t size);
ssize_t redis_tls_write(struct redis_conn *conn, struct str bytes);
void redis_tls_close(struct redis_conn *conn);

#endif
