/*
 * store_redis_drive - the inside of a link: what its one thread keeps, and the thread itself.
 *
 * For store_redis_link.c, where others wait, store_redis_drive.c, where the thread runs, and store_redis_sentinel.c, where it
 * asks who the master is; for nobody else.
 */
#ifndef SEKISHO_STORE_REDIS_DRIVE_H
#define SEKISHO_STORE_REDIS_DRIVE_H

#include <limits.h>

#include "policy/store_redis_link.h"

#define REDIS_POOL 2                   /* connections to a node */
#define PATIENT_MAX 10000

struct redis_node {
	struct redis_conn conns[REDIS_POOL];
	atomic_int faults;
	bool is_open;                  /* conns are initialised */
	bool is_ready, was_told;       /* for the log: said once each way */
};

struct redis_link {
	enum redis_mode mode;
	int64_t timeout_us;
	char master[128];
	char user[256], password_file[PATH_MAX], sentinel_password_file[PATH_MAX];       /* empty: none */
	int64_t database;
	struct redis_address seeds[REDIS_NODES_MAX];
	int seed_count;
	struct redis_tls *tls;
	struct buf greeting_bytes, sentinel_bytes;
	struct redis_greeting greeting, sentinel_greeting;

	pthread_t thread;
	bool has_thread;
	int wake;
	pthread_mutex_t mutex;         /* guards what follows */
	struct redis_call *queue, **queue_last;
	bool is_closing;
	size_t patient;                /* calls that wait for a server and for nobody */
	struct redis_map map;          /* only the thread changes it, and reads it without the mutex */

	/* the thread's own */
	struct redis_node nodes[REDIS_NODES_MAX];
	struct redis_call *waiting, **waiting_last;
	struct redis_conn asker;       /* to a Sentinel */
	int asked;                     /* the seed that is asked */
	int64_t tried_us;              /* when one was connected to last */
	int64_t master_us;             /* when the master was named last that is kept to */
	int64_t watch_us;              /* when to ask whether it still is */
	int64_t epoch;                 /* of the failover that made it master, as far as Sentinels have told; the later is right */
	struct redis_call *map_call;   /* CLUSTER SLOTS under way */
	int64_t map_us;                /* when the map is to be learnt again */
};

/* The passwords may be others by now: their files are read again. One that cannot be read leaves all as it was. */
void redis_link_greet_anew(struct redis_link *link);

/* The thread; ends when is_closing. */
void *redis_link_drive(void *link);
/* What is under way at a node fails, with this reason. NULL for a node does nothing. */
void redis_link_leave_node(struct redis_link *link, struct redis_node *node, const char *why);
/* Its connections become those of the address that the map has for it, down. */
void redis_link_open_node(struct redis_link *link, int number);

/* store_redis_sentinel.c, once a turn of the thread. Asks for the master when it is lost, and every second whether it still is. */
void redis_sentinel_keep(struct redis_link *link, int64_t now_us);
/* What poll said of the asker, or 0. */
void redis_sentinel_drive(struct redis_link *link, short revents, int64_t now_us);
/* Nothing is under way that needs a look at the clock before the next question is due. */
bool redis_sentinel_is_quiet(const struct redis_link *link);

#endif
