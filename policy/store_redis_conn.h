/*
 * store_redis_conn - one connection to a Redis server, driven by one thread that never waits.
 *
 * A connection is down, connecting, greeting (password, database, scripts; answered in order before anything else), or
 * ready. Commands leave in the order in which they were given and are answered in that order; what is under way when it
 * breaks fails, for nobody can know whether it was done.
 *
 * Threads  one; only is_done and done of a call cross over to whoever waits, under the mutex of the link
 */
#ifndef SEKISHO_STORE_REDIS_CONN_H
#define SEKISHO_STORE_REDIS_CONN_H

#include <hiredis/hiredis.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "config/base/buf.h"

#define REDIS_REPLY_MAX ((size_t)64 << 20)     /* octets of one answer */

enum conn_phase { CONN_DOWN, CONN_CONNECTING, CONN_GREETING, CONN_READY };

struct redis_conn;

/* One command and its answer. */
struct redis_call {
	struct redis_call *next;
	char *bytes;                   /* as they go to the server */
	size_t len;
	int script;                    /* enum redis_script, for a server that has forgotten it */
	size_t script_end;             /* octets of `bytes` up to behind the script's hash */
	int slot;                      /* cluster: whose; -1: any */
	bool is_pinned;                /* to `node`, whatever the slot */
	atomic_int node;               /* which was asked, or must be; -1: none yet */
	int redirects;
	int64_t not_before_us;         /* monotonic; asked to come again */
	bool is_asking;                /* cluster: the slot is moving, the next node must be told to answer */
	bool is_patient;               /* nobody waits, and it waits for a server however long that takes */
	int64_t made_us;               /* monotonic */
	struct redis_call *undo;       /* to be sent when nobody learnt what became of this one */

	redisReply *reply;             /* NULL with err */
	bool was_short;                /* of memory: err says nothing of the server */
	struct err err;
	bool is_done, is_abandoned;    /* guarded by the link's mutex */
	pthread_cond_t done;
};

struct redis_address {
	char text[300];                /* as configured, for words: "127.0.0.1:6379", "unix:/run/redis.sock" */
	char host[256];                /* or the path of a socket */
	char port[8];
	bool is_unix;
};
/* "host:port", "[2001:db8::1]:port", "unix:/path"; the port may be missing. */
bool redis_address_parse(struct str s, struct redis_address *out, struct err *err);

struct redis_tls;

/* What every connection says first, and how long it may take until that is answered. */
struct redis_greeting {
	struct str bytes;
	size_t count;                  /* of commands */
	int64_t patience_us;
};

struct redis_conn {
	enum conn_phase phase;
	int fd;
	struct redis_address address;
	const struct redis_greeting *greeting;
	struct redis_tls *tls;         /* NULL: plain */
	void *session;                 /* of TLS */
	bool wants_write;              /* TLS must write before it can go on */
	int64_t deadline_us;           /* of connecting and greeting; monotonic */
	int64_t down_us, retry_us;     /* down: since when, and not to be tried before */
	unsigned int tries;            /* of its addresses, in turn */
	bool has_served;               /* answered a call since it was opened */
	bool was_refused;              /* its last greeting was */
	bool was_short;                /* broken by lack of memory here */
	redisReader *reader;
	struct buf out;
	size_t sent;
	size_t greetings_left;
	struct redis_call *first, **last;      /* under way, oldest first */
	size_t under_way;
	char why[300]; /* the last try failed; empty: not known yet, or it was well until a moment ago */
};

/* What became of a call, in the thread that drives. The callee owns call and reply. */
typedef void redis_answered(void *arg, struct redis_conn *conn, struct redis_call *call, redisReply *reply);

void redis_conn_init(struct redis_conn *conn, const struct redis_address *address,
		     const struct redis_greeting *greeting);
/* Begins to connect; failing is a matter of redis_conn_fail like all else. */
void redis_conn_open(struct redis_conn *conn, int64_t now_us);
/* Closes; calls under way go to `answered` with a NULL reply. */
void redis_conn_fail(struct redis_conn *conn, int64_t now_us, redis_answered *answered, void *arg, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
/* Ready connections only. */
void redis_conn_send(struct redis_conn *conn, struct redis_call *call);
/* What poll shall wait for; 0: nothing, there is no descriptor. */
short redis_conn_events(const struct redis_conn *conn);
/* After poll (revents may be 0: looks at the deadlines). */
void redis_conn_drive(struct redis_conn *conn, short revents, int64_t now_us, redis_answered *answered, void *arg);
void redis_conn_clear(struct redis_conn *conn);

#endif
