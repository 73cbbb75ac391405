/*
 * traffic - what each tenant has sent lately, in memory: what `sekisho top` looks at.
 *
 * A row a tenant whose mail was judged, at most TRAFFIC_TENANTS_MAX; then the row that has rested longest is given to the
 * newcomer. A row counts since it was begun, and apart from that over the last minute, in slots of TRAFFIC_SLOT_S. One row
 * more counts everybody, and what was nobody's. Nothing here is a promise: quotas are counted in the store, evidence is in the
 * relay log.
 *
 * Memory   about 350 octets a row, the table is made whole at the start
 * Time     the wall clock's; a minute is the running slot and the eleven before it
 * Threads  any
 */
#ifndef SEKISHO_TRAFFIC_H
#define SEKISHO_TRAFFIC_H

#include "config/base/json.h"

#define TRAFFIC_TENANTS_MAX 4096
#define TRAFFIC_SLOT_S 5
#define TRAFFIC_SLOTS 12
#define TRAFFIC_NAME_MAX 64

enum traffic_kind {
	TRAFFIC_ACCEPTED, TRAFFIC_DEFERRED, TRAFFIC_REJECTED, TRAFFIC_HELD,      /* messages */
	TRAFFIC_RECIPIENTS,            /* of messages that were accepted or held */
	TRAFFIC_KINDS
};
const char *traffic_kind_name(enum traffic_kind kind);
/* A member `key` of the open object: an object of one count a kind. */
void traffic_write_counts(struct json *json, const char *key, const int64_t counts[TRAFFIC_KINDS]);

struct traffic_sum {
	char name[TRAFFIC_NAME_MAX + 1];         /* empty: everybody */
	int64_t total[TRAFFIC_KINDS], minute[TRAFFIC_KINDS];
	int64_t last_us;               /* wall time of the last message; 0: none */
};

struct traffic;

struct traffic *traffic_new(void);               /* NULL: out of memory */
void traffic_free(struct traffic *traffic);      /* NULL is fine */

/* One message was judged. `tenant` empty: nobody's. NULL `traffic` counts nothing. */
void traffic_note(struct traffic *traffic, struct str tenant, enum traffic_kind verdict, int64_t recipients);

/* out[0] is everybody, then the tenants: those that sent most in the last minute, then those that sent last. Returns how many
 * there are, at most `max` (from 1). */
size_t traffic_read(struct traffic *traffic, struct traffic_sum *out, size_t max);

#endif
