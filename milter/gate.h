/*
 * gate - what all sessions of one process share: store, relay log, the list of who is inside.
 *
 * Opened by main before the first session, closed after the last. Sessions enter and leave the list themselves, so
 * that at the end those which the MTA never closed are closed here and give their quota back.
 *
 * Classes  "relay", "ops" and those of the configuration that have a directory are opened with the gate; another one with its first
 *          record
 * Threads  gate_enter, gate_leave, gate_writer, gate_record: any; open and close: main, with no callback running
 */
#ifndef SEKISHO_GATE_H
#define SEKISHO_GATE_H

#include <limits.h>
#include <pthread.h>

#include "milter/letterbox.h"
#include "milter/maillog_map.h"
#include "milter/record/purger.h"
#include "milter/rulebook.h"
#include "milter/submit.h"
#include "milter/token_ring.h"
#include "milter/traffic.h"
#include "milter/warned.h"
#include "policy/policy.h"
#include "policy/pulse.h"

struct session;

/* A session's place in the list. */
struct gate_link {
	struct gate_link *next, *prev;
	struct session *session;
};

/* Room for those, too, that were written to before a reload took their names away. */
#define GATE_CLASSES_MAX (2 * CONFIG_CLASSES_MAX)

/* One class of the relay log. Never closed before the gate. */
struct gate_class {
	char name[CONFIG_NAME_MAX + 1];
	struct record_writer *writer;
};

struct eraser;

struct gate {
	struct policy policy;
	char own_sender[LETTERBOX_SENDER_MAX + 1];      /* of what the gate itself mails */
	struct token_ring tokens;      /* keys of tracked links and return paths; empty where no tenant has any */
	struct rulebook rules;         /* by which outcomes are judged */
	struct record_writer_config writer;     /* all but the directory */
	char log_dir[PATH_MAX], log_key_file[PATH_MAX], log_keyring[PATH_MAX], node[256];
	bool is_sealed;                /* all classes but ops (milter/record/seal.h), with the keys in log_keyring */
	struct gate_class classes[GATE_CLASSES_MAX];
	size_t class_count;
	struct submit submit;          /* vouches for users of this host */
	struct purger *purger;         /* removes what is over its time */
	struct traffic *traffic;       /* who sent what lately; NULL: nobody counts */
	struct eraser *eraser;         /* carries out erasures by rule */
	struct maillog_map *queue_ids; /* what the MTA calls the messages that passed; NULL: nobody reads its log */
	struct pulse *pulse;           /* what the guards should look at */
	struct warned *warned;         /* levels of quotas that the operator is to hear of */
	pthread_mutex_t lock;          /* over `inside` and `classes` */
	struct gate_link inside;       /* a ring */
};

bool gate_open(struct gate *gate, const struct config *config, struct err *err);
/* Before `new` comes into force: what is kept how long, and what is written, is as that has it; what is overdue then is gone. One at
 * a time. */
void gate_follow(struct gate *gate, const struct config *old, const struct config *new);
/* Frees the sessions still inside, then closes log and store. */
void gate_close(struct gate *gate);

void gate_enter(struct gate *gate, struct gate_link *link, struct session *session);
void gate_leave(struct gate *gate, struct gate_link *link);

/* The relay log of one class. NULL: it cannot be opened, or there are GATE_CLASSES_MAX already. */
struct record_writer *gate_writer(struct gate *gate, struct str class_name, struct err *err);

/* Does any class keep records in memory that its disk refuses? */
bool gate_is_behind(struct gate *gate);

/* One record in class ops: what the program itself did, about a tenant or nobody (empty). `detail` is a JSON object or NULL. A
 * failure is logged. */
void gate_record(struct gate *gate, struct str event, struct str tenant, const struct buf *detail);

#endif
