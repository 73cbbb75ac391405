/*
 * top - the gate on one screen: what is on it, and how it is drawn.
 *
 * top_gather.c asks the daemon and the store, top_draw.c draws what it was given and nothing else, so that a test can draw any
 * gate at any size. A table of columns says what a tenant's line has: each appears from a width of screen on, and most of them
 * can be sorted by.
 *
 * Letters   text of ours is ASCII or Japanese. No box or block characters: they are one column wide here and two there (UAX #11
 *           calls them ambiguous); bars and the chart are blanks in another colour
 * Memory    what was gathered lives in the arena that was passed
 */
#ifndef SEKISHO_TOP_H
#define SEKISHO_TOP_H

#include <jansson.h>

#include "config/config.h"
#include "config/base/json.h"
#include "milter/traffic.h"
#include "policy/store.h"

#define TOP_TENANTS_MAX 1000           /* as many as the daemon tells */
#define TOP_HISTORY 240                /* samples of the chart */

enum top_lang { TOP_EN, TOP_JA };

/* What the store knows of a tenant. */
struct top_look {
	char name[TRAFFIC_NAME_MAX + 1];
	int64_t looked_us;             /* monotonic; 0: not yet */
	bool is_suspended, has_quota;
	char quota[65];                /* the fullest of the tenant's own; those of each login are `quota show`'s */
	int64_t used, limit;
	int64_t delivered, failed, complaints;   /* recipients, today (JST) */
};

struct top_tenant {
	struct traffic_sum sent;
	struct top_look look;
};

struct top {
	json_t *status;                /* the daemon's; NULL: it does not answer */
	char why[256];                 /* it does not, or the store cannot be looked at; empty: all is well */
	struct top_tenant *tenants;
	size_t count;
	int64_t now_us;                /* wall time of the sample */
	double rate, charge_us, answer_us;       /* since the sample before: messages a second, microseconds each; below 0: none */
	int64_t history[TOP_HISTORY];  /* messages a minute, the newest last */
	size_t history_count;
};

/* What the person at the keyboard has chosen. */
struct top_view {
	size_t rows, columns;
	enum top_lang lang;
	size_t sort;                   /* a column */
	bool is_reversed, is_paused, is_helping;
	bool is_plain;                 /* no colour, no keys: for a file, or one look */
	size_t first;                  /* line of the list that stands at the top */
	int64_t interval_us;
};

/* Draws a frame of at most view->rows lines (is_plain: as many as there are tenants) and sorts top->tenants. Keeps view->first
 * within the list. */
void top_draw(struct top *top, struct top_view *view, struct buf *out);
/* A key that chooses a column to sort by, reverses, scrolls, or asks for help; false: it means nothing here. */
bool top_key(struct top_view *view, int key);
/* The column of this name ("rate", "quota"); false: there is none. */
bool top_find_column(struct str name, size_t *out);

/* --- gathering */

struct top_source {
	const struct config *config;
	struct store *store;           /* NULL: it cannot be looked at */
	struct top_look *looks;        /* what was looked up so far */
	size_t look_count;
	int64_t mono_us, messages, charges, charge_us, answers, answer_us;      /* of the sample before */
};

bool top_source_init(struct top_source *source, const struct config *config, struct store *store);
void top_source_clear(struct top_source *source);
/* One sample. What the store says of a tenant may be some seconds old: looking takes at most a fraction of the interval. */
void top_gather(struct top_source *source, struct arena *arena, struct top *top);
void top_clear(struct top *top);

/* One object a tenant, into an open array. */
void top_write_json(const struct top *top, struct json *json);

#endif
