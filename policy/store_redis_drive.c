#include "policy/store_redis_drive.h"

#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/log.h"
#include "policy/store.h"
#include "policy/store_redis_call.h"

#define FAULTS_MAX 3                   /* unanswered calls in a row, then the node is left */
#define REDIRECTS_MAX 5
#define MAP_EVERY_US (30 * US_PER_S)
#define AGAIN_PAUSE_US (20 * INT64_C(1000))
#define REFUSED_PAUSE_US US_PER_S
#define MAP_PAUSE_US (200 * INT64_C(1000))
#define TICK_MS 50                     /* while something is not as it should be */

static struct redis_node *node_of_conn(struct redis_link *link, const struct redis_conn *conn)
{
	for (int i = 0; i < link->map.count; i++)
		if (conn >= link->nodes[i].conns && conn < link->nodes[i].conns + REDIS_POOL)
			return &link->nodes[i];
	return NULL;
}

static bool is_ready(const struct redis_node *node)
{
	for (int i = 0; i < REDIS_POOL; i++)
		if (node->conns[i].phase == CONN_READY)
			return true;
	return false;
}

/* Tried, and not to be had; as opposed to not tried yet. */
static const char *why_down(const struct redis_node *node)
{
	const char *why = NULL;

	for (int i = 0; i < REDIS_POOL; i++) {
		if (node->conns[i].phase == CONN_READY)
			return NULL;
		if (node->conns[i].why[0])
			why = node->conns[i].why;
	}
	return why;
}

/* --- calls that end */

static void wait_for_server(struct redis_link *link, struct redis_call *call)
{
	call->next = NULL;
	*link->waiting_last = call;
	link->waiting_last = &call->next;
}

/* Its outcome is unknown: what undoes it goes out with the next chance. */
static void send_undo(struct redis_link *link, struct redis_call *call)
{
	struct redis_call *undo = call->undo;

	call->undo = NULL;
	if (!undo || link->patient >= PATIENT_MAX) {
		redis_call_free(undo);
		return;
	}
	undo->is_patient = true;
	link->patient++;
	wait_for_server(link, undo);
}

/* Takes over `reply`. Whoever waited may be gone. */
static void finish(struct redis_link *link, struct redis_call *call, redisReply *reply, bool was_sent)
{
	bool is_ours;

	if (call == link->map_call)             /* however it ended: the next one may be asked */
		link->map_call = NULL;
	pthread_mutex_lock(&link->mutex);
	link->patient -= call->is_patient;
	is_ours = call->is_abandoned || call->is_patient;
	if (was_sent && (call->is_abandoned || (!reply && !call->is_patient)))
		send_undo(link, call);
	call->reply = reply;
	call->is_done = true;
	if (!is_ours)
		pthread_cond_signal(&call->done);
	pthread_mutex_unlock(&link->mutex);
	if (is_ours)
		redis_call_free(call);
}

static void finish_failed(struct redis_link *link, struct redis_call *call, const char *where, const char *why,
			  bool was_sent)
{
	err_set(&call->err, ERR_BUSY, "redis %s: %s", where, why);
	finish(link, call, NULL, was_sent);
}

/* --- answers */

static bool starts(const redisReply *reply, const char *word)
{
	return str_starts(str_of(reply->str, (size_t)reply->len), str_from_c(word));
}

/* An answer that says where else to ask, or how. True: the call goes out again. */
static bool ask_again(struct redis_link *link, struct redis_conn *conn, struct redis_call *call,
		      const redisReply *reply)
{
	if (reply->type != REDIS_REPLY_ERROR)
		return false;
	if (starts(reply, "CLUSTERDOWN"))
		link->map_us = 0;
	/* Its slot is on the move, and keys that do not exist yet are nowhere: until that is over, or nobody waits. */
	if (starts(reply, "TRYAGAIN")) {
		call->not_before_us = clock_mono_us() + AGAIN_PAUSE_US;
		call->is_pinned = call->is_asking = false;
		return true;
	}
	if (++call->redirects > REDIRECTS_MAX)
		return false;
	if (starts(reply, "NOSCRIPT"))
		return redis_call_spell_out(call);
	if (starts(reply, "READONLY")) {        /* was a master once; may take a while to be one again */
		conn->has_served = false;
		redis_link_leave_node(link, node_of_conn(link, conn), "READONLY: it is no master any more");
		return true;
	}
	if (!starts(reply, "MOVED ") && !starts(reply, "ASK "))
		return false;
	pthread_mutex_lock(&link->mutex);
	int node = redis_map_redirect(&link->map, str_of(reply->str, (size_t)reply->len), &conn->address);

	pthread_mutex_unlock(&link->mutex);
	call->is_asking = starts(reply, "ASK ");
	call->is_pinned = call->is_asking;
	if (node >= 0)
		atomic_store(&call->node, node);
	if (!call->is_asking)
		link->map_us = 0;
	return node >= 0;
}

/* A node of the map is away: another may have its slots any moment, and no answer will say so. */
static bool has_lost_node(const struct redis_link *link)
{
	for (int i = 0; i < link->map.count; i++)
		if (link->map.is_used[i] && link->nodes[i].is_open && !is_ready(&link->nodes[i]))
			return true;
	return false;
}

static void learn_map(struct redis_link *link, const struct redis_conn *conn, const redisReply *reply)
{
	pthread_mutex_lock(&link->mutex);
	bool ok = reply && redis_map_learn(&link->map, reply, &conn->address);

	pthread_mutex_unlock(&link->mutex);
	link->map_us = clock_mono_us() + (ok && !has_lost_node(link) ? MAP_EVERY_US : MAP_PAUSE_US);
}

/* It says no for now: full, no disk, no replicas, still loading. */
static bool refuses_writes(const redisReply *reply)
{
	static const char *const words[] = { "OOM", "MISCONF", "NOREPLICAS", "LOADING", "MASTERDOWN", "BUSY", "CLUSTERDOWN" };

	for (size_t i = 0; reply->type == REDIS_REPLY_ERROR && i < sizeof words / sizeof *words; i++)
		if (starts(reply, words[i]))
			return true;
	return false;
}

static bool is_abandoned(struct redis_link *link, const struct redis_call *call)
{
	pthread_mutex_lock(&link->mutex);
	bool abandoned = call->is_abandoned && !call->is_patient;

	pthread_mutex_unlock(&link->mutex);
	return abandoned;
}

static void answered(void *arg, struct redis_conn *conn, struct redis_call *call, redisReply *reply)
{
	struct redis_link *link = arg;
	struct redis_node *node = node_of_conn(link, conn);

	if (call == link->map_call) {
		learn_map(link, conn, reply);
		finish(link, call, reply, true);
		return;
	}
	if (!reply && call->is_patient) {
		wait_for_server(link, call);
		return;
	}
	if (call->is_patient && refuses_writes(reply)) {
		if (starts(reply, "CLUSTERDOWN"))
			link->map_us = 0;
		freeReplyObject(reply);
		call->not_before_us = clock_mono_us() + REFUSED_PAUSE_US;
		call->is_pinned = call->is_asking = false;
		wait_for_server(link, call);
		return;
	}
	if (!reply) {
		call->was_short = conn->was_short;
		finish_failed(link, call, conn->address.text, conn->why, true);
		return;
	}
	/* One that comes when nobody waits for it any more is as good as none. */
	if (node && !is_abandoned(link, call))
		atomic_store(&node->faults, 0);
	if (ask_again(link, conn, call, reply)) {
		freeReplyObject(reply);
		wait_for_server(link, call);
		return;
	}
	finish(link, call, reply, true);
}

/* --- sending */

static struct redis_conn *least_busy(struct redis_node *node)
{
	struct redis_conn *best = NULL;

	for (int i = 0; i < REDIS_POOL; i++)
		if (node->conns[i].phase == CONN_READY && (!best || node->conns[i].under_way < best->under_way))
			best = &node->conns[i];
	return best;
}

/* -1: nobody is known to answer for it. */
static int pick_node(const struct redis_link *link, const struct redis_call *call)
{
	int pinned = atomic_load(&call->node);

	if (call->is_pinned)
		return pinned;
	if (link->mode != REDIS_CLUSTER)
		return link->map.count ? 0 : -1;
	if (call->slot >= 0)
		return link->map.node_of[call->slot] == REDIS_NO_NODE ? -1 : link->map.node_of[call->slot];
	for (int i = 0; i < link->map.count; i++)
		if (link->map.is_used[i] && is_ready(&link->nodes[i]))
			return i;
	return -1;
}

/* Why a call without a node has none; NULL: it is still being found out. */
static const char *why_nowhere(const struct redis_link *link)
{
	const char *why = link->mode == REDIS_SENTINEL && link->asker.why[0] ? link->asker.why : NULL;

	for (int i = 0; link->mode == REDIS_CLUSTER && i < link->map.count; i++) {
		const struct redis_node *node = &link->nodes[i];

		if (!link->map.is_used[i])
			continue;
		if (node->is_open && is_ready(node))
			return link->map_us > 0 && !link->map_call ? "no node of the cluster has this key's slot" : NULL;
		if (!node->is_open || !why_down(node))
			return NULL;            /* this one may answer yet */
		why = why_down(node);
	}
	return why;
}

/* Nobody waits for it any more and it was never sent: then nothing need be undone. */
static bool is_given_up(struct redis_link *link, const struct redis_call *call)
{
	return is_abandoned(link, call) || (call->is_patient && clock_mono_us() - call->made_us > STORE_CHARGE_TTL_US);
}

static void send_or_keep(struct redis_link *link, struct redis_call *call)
{
	int number = pick_node(link, call);
	struct redis_node *node = number >= 0 && link->nodes[number].is_open ? &link->nodes[number] : NULL;
	struct redis_conn *conn = node ? least_busy(node) : NULL;
	const char *why = node ? why_down(node) : why_nowhere(link);

	if (is_given_up(link, call)) {
		finish(link, call, NULL, false);
	} else if (clock_mono_us() < call->not_before_us) {
		wait_for_server(link, call);
	} else if (conn) {
		atomic_store(&call->node, number);
		redis_conn_send(conn, call);
	} else if (why && !call->is_patient) {
		finish_failed(link, call, node ? link->map.nodes[number].text : link->seeds[0].text, why, false);
	} else {
		wait_for_server(link, call);
	}
}

static void send_all(struct redis_link *link)
{
	struct redis_call *call, *next;

	pthread_mutex_lock(&link->mutex);
	*link->waiting_last = link->queue;
	if (link->queue)
		link->waiting_last = link->queue_last;
	link->queue = NULL;
	link->queue_last = &link->queue;
	pthread_mutex_unlock(&link->mutex);

	call = link->waiting;
	link->waiting = NULL;
	link->waiting_last = &link->waiting;
	for (; call; call = next) {
		next = call->next;
		send_or_keep(link, call);
	}
}

/* --- servers that come and go */

void redis_link_leave_node(struct redis_link *link, struct redis_node *node, const char *why)
{
	int64_t now_us = clock_mono_us();

	for (int i = 0; node && i < REDIS_POOL; i++)
		if (node->conns[i].phase != CONN_DOWN)
			redis_conn_fail(&node->conns[i], now_us, answered, link, "%s", why);
}

void redis_link_open_node(struct redis_link *link, int number)
{
	struct redis_node *node = &link->nodes[number];

	for (int i = 0; i < REDIS_POOL; i++) {
		redis_conn_init(&node->conns[i], &link->map.nodes[number], &link->greeting);
		node->conns[i].tls = link->tls;
	}
	atomic_store(&node->faults, 0);
	node->is_open = true;
}

/* Both ways once, however often it is tried between them. */
static void tell(struct redis_link *link, int number)
{
	struct redis_node *node = &link->nodes[number];
	bool ready = is_ready(node);
	const char *why = why_down(node);

	if (ready && !node->is_ready && node->was_told)
		log_info("store: redis %s: answers again", link->map.nodes[number].text);
	if (ready)
		node->was_told = false;
	node->is_ready = ready;
	if (why && !node->was_told) {
		log_warn("store: redis %s: %s", link->map.nodes[number].text, why);
		node->was_told = true;
	}
}

static void keep_node(struct redis_link *link, int number, int64_t now_us)
{
	struct redis_node *node = &link->nodes[number];

	if (node->is_open && strcmp(node->conns[0].address.text, link->map.nodes[number].text) != 0) {
		redis_link_leave_node(link, node, "its place is another server's now");
		node->is_open = node->was_told = false;
	}
	if (!node->is_open)
		redis_link_open_node(link, number);
	if (atomic_load(&node->faults) >= FAULTS_MAX) {
		atomic_store(&node->faults, 0);
		redis_link_leave_node(link, node, "alive perhaps, but it does not answer");
	}
	if (!link->map.is_used[number]) {
		redis_link_leave_node(link, node, "not part of the cluster any more");
		return;
	}
	for (int i = 0; i < REDIS_POOL; i++)
		if (node->conns[i].phase == CONN_DOWN && now_us >= node->conns[i].retry_us &&
		    (link->mode != REDIS_SENTINEL || link->master_us > node->conns[i].down_us)) {
			if (node->conns[i].was_refused)
				redis_link_greet_anew(link);
			redis_conn_open(&node->conns[i], now_us);
		}
	if (node->is_ready && !is_ready(node))
		link->map_us = 0;
	tell(link, number);
}

/* --- Cluster */

static void ask_for_map(struct redis_link *link, int64_t now_us)
{
	const struct str words[] = { STR("CLUSTER"), STR("SLOTS") };

	if (link->mode != REDIS_CLUSTER || link->map_call || now_us < link->map_us)
		return;
	link->map_call = redis_call_new(&(struct redis_words){ .script = SCRIPT_NONE, .words = words, .count = 2 });
	if (!link->map_call)
		return;
	link->map_call->slot = -1;
	link->map_call->is_patient = true;
	pthread_mutex_lock(&link->mutex);
	link->patient++;
	pthread_mutex_unlock(&link->mutex);
	wait_for_server(link, link->map_call);
}

/* When all that were in the map are lost, the configured nodes may know better. */
static void remember_seeds(struct redis_link *link)
{
	for (int i = 0; i < link->map.count; i++)
		if (link->map.is_used[i] && (!link->nodes[i].is_open || !why_down(&link->nodes[i])))
			return;
	pthread_mutex_lock(&link->mutex);
	for (int i = 0; i < link->seed_count; i++)
		redis_map_add(&link->map, &link->seeds[i]);
	pthread_mutex_unlock(&link->mutex);
}

/* --- the thread */

static void keep(struct redis_link *link, int64_t now_us)
{
	if (link->mode == REDIS_SENTINEL)
		redis_sentinel_keep(link, now_us);
	else
		remember_seeds(link);
	for (int i = 0; i < link->map.count; i++)
		keep_node(link, i, now_us);
	ask_for_map(link, now_us);
}

/* The first `nodes` of the map: those that `fds` knows, if there are any. */
static void drive_all(struct redis_link *link, const struct pollfd *fds, int nodes)
{
	int64_t now_us = clock_mono_us();

	for (int i = 0, at = 2; i < nodes; i++)
		for (int j = 0; j < REDIS_POOL; j++, at++)
			if (link->nodes[i].is_open)
				redis_conn_drive(&link->nodes[i].conns[j], fds ? fds[at].revents : 0, now_us, answered,
						 link);
	redis_sentinel_drive(link, fds ? fds[1].revents : 0, now_us);
}

static bool fill_polls(const struct redis_link *link, struct pollfd *fds, nfds_t *out_count)
{
	bool is_all_well = redis_sentinel_is_quiet(link) && !link->waiting;
	nfds_t at = 2;

	fds[0] = (struct pollfd){ .fd = link->wake, .events = POLLIN };
	fds[1] = (struct pollfd){ .fd = link->asker.fd, .events = redis_conn_events(&link->asker) };
	for (int i = 0; i < link->map.count; i++)
		for (int j = 0; j < REDIS_POOL; j++, at++) {
			const struct redis_conn *conn = &link->nodes[i].conns[j];
			bool is_open = link->nodes[i].is_open;

			fds[at] = (struct pollfd){ .fd = is_open ? conn->fd : -1,
						   .events = is_open ? redis_conn_events(conn) : 0 };
			is_all_well &= !link->map.is_used[i] || (is_open && conn->phase == CONN_READY);
		}
	*out_count = at;
	return is_all_well;
}

static bool is_closing(struct redis_link *link)
{
	pthread_mutex_lock(&link->mutex);
	bool closing = link->is_closing;

	pthread_mutex_unlock(&link->mutex);
	return closing;
}

void *redis_link_drive(void *arg)
{
	struct redis_link *link = arg;
	struct pollfd fds[2 + REDIS_NODES_MAX * REDIS_POOL];

	while (!is_closing(link)) {
		nfds_t count;
		uint64_t woken;

		keep(link, clock_mono_us());
		send_all(link);
		drive_all(link, NULL, link->map.count);         /* writes at once what poll would only allow */

		bool is_all_well = fill_polls(link, fds, &count);
		int nodes = link->map.count;

		poll(fds, count, is_all_well ? 1000 : TICK_MS);
		if (fds[0].revents && read(link->wake, &woken, sizeof woken) < 0 && errno != EAGAIN)
			log_error("store: redis: eventfd: %s", strerrordesc_np(errno));
		drive_all(link, fds, nodes);
	}
	return NULL;
}
