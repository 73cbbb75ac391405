#include "milter/track/ledger.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/log.h"

#define DETAIL_MAX 16384
#define WORK_MAX ((size_t)16 << 20)
#define GATHER_MS 100
#define COMPLAINT_US (10 * US_PER_S)

/* A hit and, behind it, the octets of its strings. */
struct waiting {
	struct waiting *next;
	struct hit hit;
	char octets[];
};

struct ledger {
	struct store *store;
	struct record_writer *log;
	char node[256];
	pthread_mutex_t lock;          /* over the queue */
	pthread_cond_t wake;
	pthread_t thread;
	struct waiting *first, *last;
	size_t count;
	int64_t lost, complained_us;
	bool is_closing;
};

/* --- the record */

static void write_detail(const struct hit *hit, struct buf *out)
{
	static const enum hit_flag flags[] = { HIT_FLAG_AGENT, HIT_FLAG_NETWORK, HIT_FLAG_PREFETCH, HIT_FLAG_BURST };
	struct json json;

	json_init(&json, out);
	json_object_open(&json);
	json_member_str_opt(&json, "reader", hit->reader);
	json_member_i64_opt(&json, "link", hit->link);
	json_member_str_opt(&json, "url", hit->url);
	json_member_str_opt(&json, "agent", hit->agent);
	if (hit->flags) {
		json_key(&json, "flags");
		json_array_open(&json);
		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
			if (hit->flags & flags[i])
				json_str(&json, str_from_c(hit_flag_name(flags[i])));
		json_array_close(&json);
	}
	json_object_close(&json);
}

static bool record(struct ledger *ledger, const struct hit *hit, struct err *err)
{
	struct buf detail;

	buf_init(&detail, DETAIL_MAX);
	write_detail(hit, &detail);

	struct record_event event = {
		.event = hit_event(hit->kind),
		.tenant = hit->tenant,
		.message = hit->message,
		.host = str_from_c(ledger->node),
		.client = hit->client,
		.rcpt = hit->recipient,
	};
	bool ok = buf_done(&detail, &event.detail, err) && record_append(ledger->log, &event, RECORD_QUEUED, NULL, err);

	buf_clear(&detail);
	return ok;
}

/* --- the thread */

static void complain(struct ledger *ledger, const char *what, const struct err *err)
{
	int64_t now_us = clock_mono_us();

	if (now_us - ledger->complained_us < COMPLAINT_US)
		return;
	ledger->complained_us = now_us;
	log_error("%s: %s", what, err->text);
}

/* What one look at the store has told about readers; for one batch. */
#define KNOWN 4096
struct known {
	uint64_t whose;
	bool is_set, is_forgotten;
};

static bool is_forgotten(struct ledger *ledger, const struct hit *hit, struct known *known, struct arena *arena,
			 bool *out)
{
	uint64_t whose = str_hash(hit->tenant) * 31 + str_hash(hit->reader);
	struct known *mine = &known[whose % KNOWN];
	struct err err;

	if (!mine->is_set || mine->whose != whose) {
		if (!hit_is_forgotten(ledger->store, hit->tenant, hit->reader, arena, &mine->is_forgotten, &err)) {
			complain(ledger, "a hit is neither counted nor recorded", &err);
			return false;
		}
		mine->whose = whose;
		mine->is_set = true;
	}
	*out = mine->is_forgotten;
	return true;
}

/* Nobody who asked to be forgotten leaves a trace, but that they unsubscribed: that they asked for. */
static size_t choose(struct ledger *ledger, struct waiting **at, const struct hit *hits[], struct arena *arena)
{
	struct known known[KNOWN] = { { .is_set = false } };
	size_t count = 0;

	for (size_t i = 0; *at && i < HIT_BATCH_MAX; i++, *at = (*at)->next) {
		const struct hit *hit = &(*at)->hit;
		bool is_out = false;

		if (hit->kind == HIT_UNSUBSCRIBE || (is_forgotten(ledger, hit, known, arena, &is_out) && !is_out))
			hits[count++] = hit;
	}
	return count;
}

/* Records and counts a batch; what follows it is left in *at. */
static void write_down(struct ledger *ledger, struct waiting **at, struct arena *arena)
{
	struct config *config = config_acquire();
	const struct hit *hits[HIT_BATCH_MAX];
	size_t count = choose(ledger, at, hits, arena);
	struct err err;

	for (size_t i = 0; i < count; i++)
		if (!record(ledger, hits[i], &err))
			complain(ledger, "record of a hit", &err);
	if (!hit_count(ledger->store, hits, count, hit_ttl_us(config), arena, &err))
		complain(ledger, "count of hits", &err);
	config_release(config);
	arena_reset(arena);
}

static void free_all(struct waiting *waiting)
{
	for (struct waiting *next; waiting; waiting = next) {
		next = waiting->next;
		free(waiting);
	}
}

/* Nobody waits for the ledger: hits gather for a moment, and cost less together. */
static void gather(struct ledger *ledger)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_MS * 1000000L;
	until.tv_sec += until.tv_nsec / 1000000000L;
	until.tv_nsec %= 1000000000L;
	while (!ledger->is_closing && pthread_cond_timedwait(&ledger->wake, &ledger->lock, &until) == 0)
		;
}

static struct waiting *take_all(struct ledger *ledger)
{
	struct waiting *first;

	pthread_mutex_lock(&ledger->lock);
	while (!ledger->first && !ledger->is_closing)
		pthread_cond_wait(&ledger->wake, &ledger->lock);
	gather(ledger);
	first = ledger->first;
	ledger->first = ledger->last = NULL;
	ledger->count = 0;
	if (ledger->lost)
		log_error("%lld hits were not counted: store or disk are too slow, or memory is short", (long long)ledger->lost);
	ledger->lost = 0;
	pthread_mutex_unlock(&ledger->lock);
	return first;
}

static void *write_main(void *arg)
{
	struct ledger *ledger = arg;
	struct waiting *all;
	struct arena arena;

	arena_init(&arena, WORK_MAX);
	while ((all = take_all(ledger))) {
		for (struct waiting *at = all; at;)
			write_down(ledger, &at, &arena);
		free_all(all);
	}
	arena_clear(&arena);
	return NULL;
}

/* --- the queue */

static void move_str(struct str *s, char **at)
{
	if (s->len)
		memcpy(*at, s->ptr, s->len);
	s->ptr = *at;
	*at += s->len;
}

static struct waiting *copy_hit(const struct hit *hit)
{
	size_t octets = hit->tenant.len + hit->message.len + hit->reader.len + hit->recipient.len + hit->url.len +
			hit->client.len + hit->agent.len;
	struct waiting *waiting = malloc(sizeof *waiting + octets);
	char *at;

	if (!waiting)
		return NULL;
	waiting->next = NULL;
	waiting->hit = *hit;
	at = waiting->octets;

	struct str *const strs[] = { &waiting->hit.tenant,    &waiting->hit.message, &waiting->hit.reader,
				     &waiting->hit.recipient, &waiting->hit.url,     &waiting->hit.client,
				     &waiting->hit.agent };

	for (size_t i = 0; i < sizeof strs / sizeof *strs; i++)
		move_str(strs[i], &at);
	return waiting;
}

void ledger_add(struct ledger *ledger, const struct hit *hit)
{
	struct waiting *waiting = copy_hit(hit);

	pthread_mutex_lock(&ledger->lock);
	if (!waiting || ledger->count >= LEDGER_WAITING_MAX) {
		ledger->lost++;
		free(waiting);
	} else {
		*(ledger->last ? &ledger->last->next : &ledger->first) = waiting;
		ledger->last = waiting;
		if (ledger->count++ == 0)
			pthread_cond_signal(&ledger->wake);
	}
	pthread_mutex_unlock(&ledger->lock);
}

void ledger_lose(struct ledger *ledger)
{
	pthread_mutex_lock(&ledger->lock);
	ledger->lost++;
	pthread_mutex_unlock(&ledger->lock);
}

static bool open_log(struct ledger *ledger, const struct config *config, struct err *err)
{
	char dir[PATH_MAX];
	const struct record_writer_config writer = {
		.dir = { dir, (size_t)snprintf(dir, sizeof dir, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir),
					       STR_ARG(CLASS_ACTION)) },
		.node = str_from_c(ledger->node),
		.keyring = config->log_keyring,
		.is_sealed = config_seals(config, CLASS_ACTION),
		.preallocate = config->preallocate,
		.disk_warn_percent = config->disk_warn_percent,
	};

	return io_make_dirs(dir, 0750, err) && record_writer_open(&writer, &ledger->log, err);
}

bool ledger_open(const struct config *config, struct store *store, struct ledger **out, struct err *err)
{
	struct ledger *ledger = calloc(1, sizeof *ledger);
	pthread_condattr_t attr;
	int why;

	if (!ledger)
		return err_memory(err);
	ledger->store = store;
	pthread_mutex_init(&ledger->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&ledger->wake, &attr);
	pthread_condattr_destroy(&attr);
	snprintf(ledger->node, sizeof ledger->node, STR_FMT, STR_ARG(config->node));
	if (!open_log(ledger, config, err)) {
		free(ledger);
		return err_wrap(err, "relay log class " STR_FMT, STR_ARG(CLASS_ACTION));
	}
	why = pthread_create(&ledger->thread, NULL, write_main, ledger);
	if (why != 0) {
		record_writer_close(ledger->log);
		free(ledger);
		return err_set(err, ERR_BUSY, "thread: %s", strerrordesc_np(why));
	}
	*out = ledger;
	return true;
}

void ledger_close(struct ledger *ledger)
{
	if (!ledger)
		return;
	pthread_mutex_lock(&ledger->lock);
	ledger->is_closing = true;
	pthread_cond_signal(&ledger->wake);
	pthread_mutex_unlock(&ledger->lock);
	pthread_join(ledger->thread, NULL);
	record_writer_close(ledger->log);
	pthread_cond_destroy(&ledger->wake);
	pthread_mutex_destroy(&ledger->lock);
	free(ledger);
}
