/*
 * Who the master is, as Sentinels say.
 *
 * When it is lost, or not known yet, Sentinels are asked in turn until one names a server that answers. While all is well one
 * of them is asked every second whether it still is: one that was replaced while it was cut off, or by an admin's order, goes
 * on answering like a master for ten seconds and more, and what is counted there is lost when it is told at last.
 * Then only the name that comes with a later epoch than all before counts: a Sentinel that was cut off itself knows an older one.
 * The one that leads a failover says the new epoch first, and the old name with it until all replicas have followed.
 */
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "policy/store_redis_call.h"
#include "policy/store_redis_drive.h"

#define LOST_PAUSE_US (200 * INT64_C(1000))     /* between two Sentinels, while there is no master */
#define WELL_PAUSE_US (5 * US_PER_S)            /* while there is one: looking up a name stops the thread */
#define WATCH_EVERY_US US_PER_S

/* What was said before a connection broke may have been the reason: it is asked again. */
static bool is_lost(const struct redis_link *link)
{
	const struct redis_node *node = &link->nodes[0];

	for (int i = 0; link->map.count && node->is_open && i < REDIS_POOL; i++)
		if (node->conns[i].phase == CONN_DOWN && node->conns[i].down_us >= link->master_us)
			return true;
	return link->map.count == 0;
}

/* --- answers */

struct named {
	struct redis_address address;
	int64_t epoch;                 /* -1: not told */
	bool is_passing;               /* the epoch is its successor's already */
};

static struct str text_of(const redisReply *reply)
{
	return reply->type == REDIS_REPLY_STRING ? str_of(reply->str, (size_t)reply->len) : STR_EMPTY;
}

/* Of names and values in turn; empty when there is none. */
static struct str field(const redisReply *reply, struct str name)
{
	for (size_t i = 0; i + 1 < reply->elements; i += 2)
		if (str_eq(text_of(reply->element[i]), name))
			return text_of(reply->element[i + 1]);
	return STR_EMPTY;
}

/* The answer to get-master-addr-by-name is two words, that to MASTER many names with values. */
static bool read_named(const redisReply *reply, struct named *out)
{
	struct str host, port, flags;
	char text[300];

	if (!reply || reply->type != REDIS_REPLY_ARRAY || reply->elements < 2)
		return false;
	bool is_pair = reply->elements == 2;

	host = is_pair ? text_of(reply->element[0]) : field(reply, STR("ip"));
	port = is_pair ? text_of(reply->element[1]) : field(reply, STR("port"));
	if (is_pair || !num_parse_i64(field(reply, STR("config-epoch")), &out->epoch))
		out->epoch = -1;
	flags = is_pair ? STR_EMPTY : field(reply, STR("flags"));
	out->is_passing = str_find(flags, STR("failover_in_progress")) < flags.len;
	snprintf(text, sizeof text, str_find_byte(host, ':') < host.len ? "[" STR_FMT "]:" STR_FMT : STR_FMT ":" STR_FMT,
		 STR_ARG(host), STR_ARG(port));
	return host.len && port.len && redis_address_parse(str_from_c(text), &out->address, NULL);
}

/* There is one node, wherever it is now. */
static void follow(struct redis_link *link, const struct redis_address *address)
{
	pthread_mutex_lock(&link->mutex);
	bool has_moved = link->map.count == 0 || strcmp(link->map.nodes[0].text, address->text) != 0;

	link->map.nodes[0] = *address;
	link->map.is_used[0] = true;
	link->map.count = 1;
	pthread_mutex_unlock(&link->mutex);
	link->master_us = clock_mono_us();
	if (has_moved && link->nodes[0].is_open) {
		redis_link_leave_node(link, &link->nodes[0], "the master is another one now");
		redis_link_open_node(link, 0);
		log_info("store: redis: the master of %s is %s", link->master, address->text);
	}
}

static void heed(struct redis_link *link, const struct named *named)
{
	link->watch_us = clock_mono_us() + WATCH_EVERY_US;
	if (named->is_passing)
		return;
	if (named->epoch < 0 || named->epoch > link->epoch)
		follow(link, &named->address);
	if (named->epoch > link->epoch)
		link->epoch = named->epoch;
}

/* One that answers, and not what was asked, is left. */
static void sentinel_answered(void *arg, struct redis_conn *conn, struct redis_call *call, redisReply *reply)
{
	struct redis_link *link = arg;
	bool is_error = reply && reply->type == REDIS_REPLY_ERROR;
	struct named named;

	if (read_named(reply, &named)) {
		heed(link, &named);
	} else if (reply) {
		conn->has_served = false;       /* or its reason would be forgotten */
		redis_conn_fail(conn, clock_mono_us(), sentinel_answered, link, "sentinel %s%s%.200s", conn->address.text,
				is_error ? ": " : " knows no master ", is_error ? reply->str : link->master);
	}
	if (reply)
		freeReplyObject(reply);
	redis_call_free(call);
}

/* --- questions */

static void connect_next(struct redis_link *link, int64_t now_us)
{
	struct redis_conn *asker = &link->asker;
	char why[sizeof asker->why];

	snprintf(why, sizeof why, "%s", asker->why);
	if (asker->was_refused)
		redis_link_greet_anew(link);
	link->tried_us = now_us;
	link->asked = (link->asked + 1) % link->seed_count;
	redis_conn_clear(asker);
	redis_conn_init(asker, &link->seeds[link->asked], &link->sentinel_greeting);
	asker->tls = link->tls;
	redis_conn_open(asker, now_us);
	if (!asker->why[0])
		snprintf(asker->why, sizeof asker->why, "%s", why);
}

/* Of a master that is lost, its successor is told before the others have all followed it; that has no epoch yet. */
static void ask(struct redis_link *link, int64_t now_us)
{
	const struct str words[] = { STR("SENTINEL"), is_lost(link) ? STR("get-master-addr-by-name") : STR("MASTER"),
				     str_from_c(link->master) };
	struct redis_call *call = redis_call_new(&(struct redis_words){ .script = SCRIPT_NONE, .words = words, .count = 3 });

	if (call)
		redis_conn_send(&link->asker, call);
	link->asker.deadline_us = now_us + link->timeout_us;
}

void redis_sentinel_keep(struct redis_link *link, int64_t now_us)
{
	struct redis_conn *asker = &link->asker;
	bool lost = is_lost(link);

	if (lost && asker->has_served && asker->under_way == 0)
		redis_conn_clear(asker);                /* what this one knew was no help: the next of them */
	if (asker->phase == CONN_DOWN && now_us - link->tried_us >= (lost ? LOST_PAUSE_US : WELL_PAUSE_US))
		connect_next(link, now_us);
	if (asker->phase == CONN_READY && asker->under_way == 0 && (lost || now_us >= link->watch_us))
		ask(link, now_us);
}

void redis_sentinel_drive(struct redis_link *link, short revents, int64_t now_us)
{
	struct redis_conn *asker = &link->asker;

	redis_conn_drive(asker, revents, now_us, sentinel_answered, link);
	if (asker->phase == CONN_READY && asker->under_way && now_us > asker->deadline_us)
		redis_conn_fail(asker, now_us, sentinel_answered, link, "sentinel %s does not answer",
				asker->address.text);
}

bool redis_sentinel_is_quiet(const struct redis_link *link)
{
	return link->asker.phase == CONN_DOWN || (link->asker.phase == CONN_READY && link->asker.under_way == 0);
}
