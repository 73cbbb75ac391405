#include "milter/traffic.h"

#include <pthread.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"

#define BUCKETS 4096
#define NO_ROW UINT32_MAX

struct row {
	char name[TRAFFIC_NAME_MAX + 1];
	uint32_t next;                 /* of the same bucket */
	uint32_t newer, older;         /* used after this one, and before */
	int64_t slot;                  /* the running one: seconds / TRAFFIC_SLOT_S */
	int64_t last_us;
	int64_t total[TRAFFIC_KINDS];
	uint32_t slots[TRAFFIC_SLOTS][TRAFFIC_KINDS];
};

struct traffic {
	pthread_mutex_t lock;
	struct row all;
	struct row rows[TRAFFIC_TENANTS_MAX];
	uint32_t count;
	uint32_t newest, oldest;
	uint32_t buckets[BUCKETS];
};

const char *traffic_kind_name(enum traffic_kind kind)
{
	static const char *const names[TRAFFIC_KINDS] = {
		[TRAFFIC_ACCEPTED] = "accepted", [TRAFFIC_DEFERRED] = "deferred", [TRAFFIC_REJECTED] = "rejected",
		[TRAFFIC_HELD] = "held", [TRAFFIC_RECIPIENTS] = "recipients",
	};

	return names[kind];
}

void traffic_write_counts(struct json *json, const char *key, const int64_t counts[TRAFFIC_KINDS])
{
	json_key(json, key);
	json_object_open(json);
	for (size_t i = 0; i < TRAFFIC_KINDS; i++)
		json_member_i64(json, traffic_kind_name((enum traffic_kind)i), counts[i]);
	json_object_close(json);
}

struct traffic *traffic_new(void)
{
	struct traffic *t = calloc(1, sizeof *t);

	if (!t)
		return NULL;
	pthread_mutex_init(&t->lock, NULL);
	t->newest = t->oldest = NO_ROW;
	for (size_t i = 0; i < BUCKETS; i++)
		t->buckets[i] = NO_ROW;
	return t;
}

void traffic_free(struct traffic *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t);
}

static int64_t slot_now(void)
{
	return clock_now_us() / (TRAFFIC_SLOT_S * US_PER_S);
}

/* Slots that the row slept through are empty. */
static void wind(struct row *row, int64_t slot)
{
	int64_t from = slot - row->slot >= TRAFFIC_SLOTS ? slot - TRAFFIC_SLOTS + 1 : row->slot + 1;

	for (int64_t i = from; i <= slot; i++)
		memset(row->slots[i % TRAFFIC_SLOTS], 0, sizeof *row->slots);
	row->slot = slot;
}

static void add(struct row *row, int64_t slot, enum traffic_kind verdict, int64_t recipients)
{
	uint32_t *now;

	wind(row, slot);
	now = row->slots[slot % TRAFFIC_SLOTS];
	now[verdict]++;
	row->total[verdict]++;
	now[TRAFFIC_RECIPIENTS] += (uint32_t)recipients;
	row->total[TRAFFIC_RECIPIENTS] += recipients;
	row->last_us = clock_now_us();
}

static uint32_t *bucket_of(struct traffic *t, struct str name)
{
	return &t->buckets[str_hash(name) % BUCKETS];
}

static uint32_t find(struct traffic *t, struct str name)
{
	uint32_t at = *bucket_of(t, name);

	while (at != NO_ROW && !str_eq(str_from_c(t->rows[at].name), name))
		at = t->rows[at].next;
	return at;
}

/* --- who rested longest, known without looking: of a hundred thousand tenants each message may be another's */

static void leave_order(struct traffic *t, uint32_t at)
{
	const struct row *row = &t->rows[at];

	*(row->newer == NO_ROW ? &t->newest : &t->rows[row->newer].older) = row->older;
	*(row->older == NO_ROW ? &t->oldest : &t->rows[row->older].newer) = row->newer;
}

static void join_order(struct traffic *t, uint32_t at)
{
	t->rows[at].newer = NO_ROW;
	t->rows[at].older = t->newest;
	*(t->newest == NO_ROW ? &t->oldest : &t->rows[t->newest].newer) = at;
	t->newest = at;
}

/* The row that has rested longest, out of its bucket. */
static uint32_t retire(struct traffic *t)
{
	uint32_t oldest = t->oldest, *link = bucket_of(t, str_from_c(t->rows[oldest].name));

	while (*link != oldest)
		link = &t->rows[*link].next;
	*link = t->rows[oldest].next;
	leave_order(t, oldest);
	return oldest;
}

static uint32_t begin(struct traffic *t, struct str name, int64_t slot)
{
	uint32_t at = t->count < TRAFFIC_TENANTS_MAX ? t->count++ : retire(t), *bucket = bucket_of(t, name);
	struct row *row = &t->rows[at];

	*row = (struct row){ .slot = slot, .next = *bucket };
	memcpy(row->name, name.ptr, name.len);
	*bucket = at;
	return at;
}

/* As the one that was used last. */
static struct row *use(struct traffic *t, struct str name, int64_t slot)
{
	uint32_t at = find(t, name);

	if (at == NO_ROW)
		at = begin(t, name, slot);
	else
		leave_order(t, at);
	join_order(t, at);
	return &t->rows[at];
}

void traffic_note(struct traffic *t, struct str tenant, enum traffic_kind verdict, int64_t recipients)
{
	int64_t slot;

	if (!t)
		return;
	tenant = str_slice(tenant, 0, TRAFFIC_NAME_MAX);
	recipients = verdict == TRAFFIC_ACCEPTED || verdict == TRAFFIC_HELD ? recipients : 0;
	pthread_mutex_lock(&t->lock);
	slot = slot_now();
	add(&t->all, slot, verdict, recipients);
	if (tenant.len)
		add(use(t, tenant, slot), slot, verdict, recipients);
	pthread_mutex_unlock(&t->lock);
}

static void sum(struct row *row, int64_t slot, struct traffic_sum *out)
{
	wind(row, slot);
	*out = (struct traffic_sum){ .last_us = row->last_us };
	memcpy(out->name, row->name, sizeof out->name);
	memcpy(out->total, row->total, sizeof out->total);
	for (size_t i = 0; i < TRAFFIC_SLOTS; i++)
		for (size_t kind = 0; kind < TRAFFIC_KINDS; kind++)
			out->minute[kind] += row->slots[i][kind];
}

static int64_t messages(const struct traffic_sum *sum)
{
	return sum->minute[TRAFFIC_ACCEPTED] + sum->minute[TRAFFIC_DEFERRED] + sum->minute[TRAFFIC_REJECTED] +
	       sum->minute[TRAFFIC_HELD];
}

static int busiest_first(const void *a, const void *b)
{
	const struct traffic_sum *x = a, *y = b;
	int64_t m = messages(x), n = messages(y);

	if (m != n)
		return m > n ? -1 : 1;
	return (x->last_us < y->last_us) - (x->last_us > y->last_us);
}

size_t traffic_read(struct traffic *t, struct traffic_sum *out, size_t max)
{
	struct traffic_sum *sums = calloc(TRAFFIC_TENANTS_MAX, sizeof *sums);
	size_t count = 0;
	int64_t slot;

	pthread_mutex_lock(&t->lock);
	slot = slot_now();
	sum(&t->all, slot, &out[0]);
	for (; sums && count < t->count; count++)
		sum(&t->rows[count], slot, &sums[count]);
	pthread_mutex_unlock(&t->lock);
	if (count) {
		qsort(sums, count, sizeof *sums, busiest_first);
		count = count < max - 1 ? count : max - 1;
		memcpy(out + 1, sums, count * sizeof *sums);
	}
	free(sums);
	return count + 1;
}
