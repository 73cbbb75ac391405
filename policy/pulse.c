#include "policy/pulse.h"

#include <pthread.h>
#include <stdlib.h>

#include "config/base/clock.h"

#define BUCKETS 4096u
#define SEEN (1u << 16)                /* clients that the store knows, about */
#define NAME_MAX_OCTETS 512            /* of a sender or login; a longer one is nobody's address */

struct entry {
	struct entry *next;
	int64_t recipients, at_us;
	enum member_kind kind;
	char client[INET6_ADDRSTRLEN]; /* empty: none */
	struct str tenant, name;       /* behind the struct */
};

struct pulse {
	pthread_mutex_t lock;
	struct entry *buckets[BUCKETS];
	size_t count;
	uint64_t seen[SEEN];
};

struct pulse *pulse_new(void)
{
	struct pulse *pulse = calloc(1, sizeof *pulse);

	if (pulse)
		pthread_mutex_init(&pulse->lock, NULL);
	return pulse;
}

static void free_list(struct entry *list)
{
	while (list) {
		struct entry *next = list->next;

		free(list);
		list = next;
	}
}

void pulse_free(struct pulse *pulse)
{
	if (!pulse)
		return;
	for (size_t i = 0; i < BUCKETS; i++)
		free_list(pulse->buckets[i]);
	pthread_mutex_destroy(&pulse->lock);
	free(pulse);
}

/* --- noting */

static struct entry *entry_new(const struct entry *like)
{
	struct entry *e = malloc(sizeof *e + like->tenant.len + like->name.len);

	if (!e)
		return NULL;

	char *text = (char *)(e + 1);

	*e = *like;
	memcpy(text, like->tenant.ptr, like->tenant.len);
	e->tenant = str_of(text, like->tenant.len);
	for (size_t i = 0; i < like->name.len; i++)
		text[like->tenant.len + i] = ascii_lower(like->name.ptr[i]);
	e->name = str_of(text + like->tenant.len, like->name.len);
	return e;
}

static bool is_same(const struct entry *a, const struct entry *b)
{
	return a->kind == b->kind && str_eq(a->tenant, b->tenant) && str_eq_nocase(a->name, b->name) &&
	       strcmp(a->client, b->client) == 0;
}

static uint64_t hash_of(const struct entry *e)
{
	uint64_t hash = str_hash(e->tenant) * 31 + (uint64_t)e->kind;

	for (size_t i = 0; i < e->name.len; i++)
		hash = hash * 31 + (uint8_t)ascii_lower(e->name.ptr[i]);
	return hash * 31 + str_hash(str_from_c(e->client));
}

/* With the lock. Where the one like `what` stands, or would. */
static struct entry **place_of(struct pulse *pulse, const struct entry *what)
{
	struct entry **at = &pulse->buckets[hash_of(what) % BUCKETS];

	while (*at && !is_same(*at, what))
		at = &(*at)->next;
	return at;
}

/* With the lock. */
static void note(struct pulse *pulse, const struct entry *what)
{
	struct entry **at = place_of(pulse, what), *e;

	if (*at) {
		(*at)->recipients += what->recipients;
		return;
	}
	if (pulse->count == PULSE_MAX || what->name.len > NAME_MAX_OCTETS || !(e = entry_new(what)))
		return;
	e->next = NULL;
	*at = e;
	pulse->count++;
}

static void note_member(struct pulse *pulse, const struct tenant *tenant, enum member_kind kind, struct str name,
			int64_t recipients)
{
	if (guard_watches(tenant, kind) && (kind == MEMBER_ALL || name.len))
		note(pulse, &(struct entry){ .kind = kind, .tenant = tenant->name, .name = name, .recipients = recipients,
					     .at_us = clock_now_us() });
}

/* An IPv6 customer has a network, not an address. */
static void client_text(const struct net_addr *client, char out[INET6_ADDRSTRLEN])
{
	static const unsigned char mapped[12] = { [10] = 0xff, [11] = 0xff };
	struct net_addr network = *client;

	if (memcmp(network.octets, mapped, sizeof mapped) != 0)
		memset(network.octets + 8, 0, 8);
	net_format_addr(&network, out);
}

void pulse_note_passed(struct pulse *pulse, const struct tenant *tenant, struct str sender, struct str login,
		       const struct net_addr *client, int64_t recipients)
{
	struct entry used = { .kind = MEMBER_LOGIN, .tenant = tenant->name, .name = login };

	if (!pulse)
		return;
	pthread_mutex_lock(&pulse->lock);
	if (tenant->guard_volume != LIMIT_NONE) {
		note_member(pulse, tenant, MEMBER_ALL, STR_EMPTY, recipients);
		note_member(pulse, tenant, MEMBER_SENDER, sender, recipients);
	}
	if (guard_watches(tenant, MEMBER_LOGIN) && login.len && client) {
		client_text(client, used.client);
		note(pulse, &used);
	}
	pthread_mutex_unlock(&pulse->lock);
}

void pulse_note_failed(struct pulse *pulse, const struct tenant *tenant, struct str sender)
{
	if (!pulse)
		return;
	pthread_mutex_lock(&pulse->lock);
	note_member(pulse, tenant, MEMBER_ALL, STR_EMPTY, 0);
	note_member(pulse, tenant, MEMBER_SENDER, sender, 0);
	pthread_mutex_unlock(&pulse->lock);
}

/* --- visiting */

/* All that was noted, as one list. */
static struct entry *take_all(struct pulse *pulse)
{
	struct entry *list = NULL;

	pthread_mutex_lock(&pulse->lock);
	for (size_t i = 0; i < BUCKETS; i++)
		while (pulse->buckets[i]) {
			struct entry *e = pulse->buckets[i];

			pulse->buckets[i] = e->next;
			e->next = list;
			list = e;
		}
	pulse->count = 0;
	pthread_mutex_unlock(&pulse->lock);
	return list;
}

/* Takes over the list. */
static void put_back(struct pulse *pulse, struct entry *list)
{
	pthread_mutex_lock(&pulse->lock);
	for (struct entry *e = list, *next; e; e = next) {
		struct entry **at = place_of(pulse, e);

		next = e->next;
		if (*at)
			(*at)->recipients += e->recipients;
		if (*at || pulse->count == PULSE_MAX) {
			free(e);
			continue;
		}
		e->next = NULL;
		*at = e;
		pulse->count++;
	}
	pthread_mutex_unlock(&pulse->lock);
}

/* Of today; most logins come from the same few addresses again and again. */
static bool is_seen(struct pulse *pulse, const struct entry *e)
{
	uint64_t id = (hash_of(e) * 0x9e3779b97f4a7c15u + (uint64_t)jst_day(clock_now_us())) | 1;
	uint64_t *place = &pulse->seen[id / 2 % SEEN];

	if (*place == id)
		return true;
	*place = id;
	return false;
}

/* *out_looks: something changed that its guard may mind. */
static bool count(struct pulse *pulse, struct store *st, const struct tenant *tenant, struct entry *e, bool *out_looks,
		  struct err *err)
{
	const struct member member = { .kind = e->kind, .name = e->name };

	*out_looks = true;
	if (e->kind == MEMBER_LOGIN) {
		*out_looks = !is_seen(pulse, e);
		return !*out_looks || guard_count_client(st, tenant, e->name, str_from_c(e->client), err);
	}
	if (e->recipients && !guard_count_passed(st, tenant, member, e->recipients, e->at_us, err))
		return false;
	e->recipients = 0;
	return true;
}

bool pulse_visit(struct pulse *pulse, struct store *st, const struct config *config, pulse_fn *fn, void *arg, struct err *err)
{
	struct entry *list = take_all(pulse);

	while (list) {
		struct entry *e = list;
		const struct tenant *tenant = config_find_tenant(config, e->tenant);
		bool looks;

		if (tenant && !(count(pulse, st, tenant, e, &looks, err) &&
				(!looks || fn(arg, tenant, (struct member){ .kind = e->kind, .name = e->name }))))
			break;
		list = e->next;
		free(e);
	}
	if (!list)
		return true;
	memset(pulse->seen, 0, sizeof pulse->seen);    /* what was not counted or looked at was not seen */
	put_back(pulse, list);
	return false;
}
