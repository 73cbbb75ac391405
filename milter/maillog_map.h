/*
 * maillog_map - which of our messages a queue id of the MTA means, and which of its recipients still wait.
 *
 * Kept in memory: the session adds a message when it lets it pass, the follower forgets it a while after the MTA has. What
 * was there before a restart comes back from the relay log, whose records have queue id and message both; so nothing but
 * the relay log has to be kept, and a message costs the store nothing.
 *
 * Bounds   MAILLOG_MESSAGES_MAX messages, the oldest go first; MAILLOG_OPEN_MAX waiting recipients in all, MAILLOG_OPEN_ONE_MAX
 *          of one message
 * Threads  any
 */
#ifndef SEKISHO_MAILLOG_MAP_H
#define SEKISHO_MAILLOG_MAP_H

#include "config/base/num.h"
#include "config/config.h"

#define MAILLOG_MESSAGES_MAX 250000
#define MAILLOG_OPEN_MAX 100000
#define MAILLOG_OPEN_ONE_MAX 1000       /* of one message */
#define MAILLOG_DONE_KEEP_US (600 * US_PER_S)        /* reports about it may still come */
#define MAILLOG_QUEUE_ID_MAX 40
#define MAILLOG_ID_MAX 32
#define MAILLOG_TENANT_MAX 64
#define MAILLOG_SENDER_MAX 320

struct maillog_message {
	char id[MAILLOG_ID_MAX + 1];   /* ours */
	char tenant[MAILLOG_TENANT_MAX + 1];      /* empty: nobody's */
	char sender[MAILLOG_SENDER_MAX + 1];      /* as it was given to us; empty: none, or too long */
};

/* A recipient whose delivery was put off, with the last reason. */
struct maillog_open {
	struct maillog_open *next;
	struct str recipient, status, said;       /* behind the struct */
};

struct maillog_map;

struct maillog_map *maillog_map_new(void);         /* NULL: out of memory */
void maillog_map_free(struct maillog_map *map);

/* False, here and below: out of memory. A queue id that is there already means the new message from now on. NULL map:
 * nothing. What is too long for its field is left out. */
bool maillog_map_add(struct maillog_map *map, struct str queue_id, struct str id, struct str tenant, struct str sender);
bool maillog_map_find(struct maillog_map *map, struct str queue_id, struct maillog_message *out);
/* The message goes on under a new queue id, its waiting recipients too. */
bool maillog_map_rename(struct maillog_map *map, struct str old_id, struct str new_id);
/* The MTA is done with it. */
void maillog_map_done(struct maillog_map *map, struct str queue_id);

/* What is over the bounds is left out. */
bool maillog_map_wait(struct maillog_map *map, struct str queue_id, struct str recipient, struct str status, struct str said);
void maillog_map_settle(struct maillog_map *map, struct str queue_id, struct str recipient);
/* One of those that wait, the caller's to free(3) or put back; NULL: there is none. */
struct maillog_open *maillog_map_take(struct maillog_map *map, struct str queue_id);
void maillog_map_put(struct maillog_map *map, struct str queue_id, struct maillog_open *open);

#endif
