#include "policy/store_redis_link.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "config/base/num.h"
#include "policy/store_redis_call.h"
#include "policy/store_redis_drive.h"
#include "policy/store_redis_tls.h"

/* --- those who wait */

static void hand_over(struct redis_link *link, struct redis_call *call)
{
	uint64_t one = 1;
	bool was_empty = !link->queue;

	*link->queue_last = call;
	link->queue_last = &call->next;
	if (was_empty && write(link->wake, &one, sizeof one) < 0)
		log_error("store: redis: eventfd: %s", strerrordesc_np(errno));
}

static struct timespec deadline(int64_t at_us)
{
	return (struct timespec){ .tv_sec = at_us / US_PER_S, .tv_nsec = at_us % US_PER_S * 1000 };
}

/* The thread waits for a name to be looked up: who came before waited in vain, and others need not. */
static bool is_stuck(const struct redis_link *link, int64_t now_us)
{
	return link->queue && now_us - link->queue->made_us > link->timeout_us;
}

/* True: it is done, and ours again. */
static bool wait_until_done(struct redis_link *link, struct redis_call *call)
{
	struct timespec until = deadline(call->made_us + link->timeout_us);

	pthread_mutex_lock(&link->mutex);
	if (is_stuck(link, call->made_us)) {
		err_set(&call->err, ERR_BUSY, "redis: still looking for its address");
		pthread_mutex_unlock(&link->mutex);
		return true;
	}
	hand_over(link, call);
	while (!call->is_done && pthread_cond_timedwait(&call->done, &link->mutex, &until) != ETIMEDOUT)
		;
	bool is_done = call->is_done;
	int node = atomic_load(&call->node);

	call->is_abandoned = !is_done;
	if (!is_done && node >= 0)
		atomic_fetch_add(&link->nodes[node].faults, 1);
	pthread_mutex_unlock(&link->mutex);
	return is_done;
}

static bool judge_reply(const redisReply *reply, struct err *err)
{
	if (reply->type != REDIS_REPLY_ERROR)
		return true;
	return err_set(err, str_starts(str_of(reply->str, (size_t)reply->len), STR("OOM")) ? ERR_FULL : ERR_BUSY,
		       "redis: %.500s", reply->str);
}

bool redis_link_call(struct redis_link *link, const struct redis_words *words, int node, redisReply **out,
		     struct err *err)
{
	struct redis_call *call = redis_call_new(words);

	if (!call)
		return err_memory(err);
	call->is_pinned = node >= 0;
	atomic_store(&call->node, node);
	if (!wait_until_done(link, call))
		return err_set(err, ERR_BUSY, "redis: no answer within %lld ms", (long long)(link->timeout_us / 1000));

	bool ok = call->reply && judge_reply(call->reply, err);

	if (call->was_short)                    /* in another thread, which asked for us */
		memory_ran_out();
	if (!call->reply && err)
		*err = call->err;
	if (ok) {
		*out = call->reply;
		call->reply = NULL;
	}
	redis_call_free(call);
	return ok;
}

bool redis_link_later(struct redis_link *link, const struct redis_words *words, struct err *err)
{
	struct redis_call *call = redis_call_new(words);

	if (!call)
		return err_memory(err);
	pthread_mutex_lock(&link->mutex);
	bool has_room = link->patient < PATIENT_MAX;

	call->is_patient = has_room;
	link->patient += has_room;
	if (has_room)
		hand_over(link, call);
	pthread_mutex_unlock(&link->mutex);
	if (has_room)
		return true;
	redis_call_free(call);
	return err_set(err, ERR_BUSY, "redis: away, and %d refunds wait for it already", PATIENT_MAX);
}

int redis_link_nodes(struct redis_link *link)
{
	pthread_mutex_lock(&link->mutex);
	int count = link->map.count;

	pthread_mutex_unlock(&link->mutex);
	return count;
}

bool redis_link_node_is_used(struct redis_link *link, int node)
{
	pthread_mutex_lock(&link->mutex);
	bool is_used = node < link->map.count && link->map.is_used[node];

	pthread_mutex_unlock(&link->mutex);
	return is_used;
}

/* --- open, close */

#define CONNECT_US (500 * INT64_C(1000))       /* connecting and greeting together, unless the network is known to be slow */

static bool put_password(const char *user, const char *path, struct buf *out, size_t *count, struct err *err)
{
	struct str words[3] = { STR("AUTH"), str_from_c(user) };
	size_t words_count = user[0] ? 3 : 2;
	struct buf secret;

	if (!path[0])
		return !user[0] || err_set(err, ERR_CONFIG, "redis: a user needs a password_file");
	buf_init(&secret, 4096);

	bool ok = io_read_secret(path, &secret, err);

	words[words_count - 1] = str_trim(buf_view(&secret));
	if (ok)
		redis_put_words(out, words, words_count);
	++*count;
	if (secret.ptr)
		explicit_bzero(secret.ptr, secret.size);
	buf_clear(&secret);
	return ok;
}

/* Password, database, and the scripts: what a server has been told once per connection it need not be told per message.
 */
static bool put_greeting(const struct redis_link *link, struct buf *out, size_t *count, struct err *err)
{
	char number[24];

	if (!put_password(link->user, link->password_file, out, count, err))
		return false;
	if (link->database) {
		snprintf(number, sizeof number, "%lld", (long long)link->database);
		redis_put_words(out, (struct str[]){ STR("SELECT"), str_from_c(number) }, 2);
		++*count;
	}
	for (int i = 0; i < SCRIPT_COUNT_OF; i++, ++*count)
		redis_put_words(out, (struct str[]){ STR("SCRIPT"), STR("LOAD"), redis_script_text((enum redis_script)i) }, 3);
	return !out->failed || err_memory(err);
}

static void forget_greeting(struct buf *greeting)
{
	if (greeting->ptr)
		explicit_bzero(greeting->ptr, greeting->size);
	buf_clear(greeting);
}

static bool put_greeting_of_sentinel(const struct redis_link *link, struct buf *out, size_t *count, struct err *err)
{
	return put_password("", link->sentinel_password_file, out, count, err) && (!out->failed || err_memory(err));
}

typedef bool put_fn(const struct redis_link *link, struct buf *out, size_t *count, struct err *err);

/* `kept` holds the octets of `greeting`. */
static bool make_greeting(const struct redis_link *link, put_fn *put, struct buf *kept, struct redis_greeting *greeting,
			  struct err *err)
{
	struct buf bytes;
	size_t count = 0;

	buf_init(&bytes, (size_t)1 << 20);
	if (!put(link, &bytes, &count, err)) {
		forget_greeting(&bytes);
		return false;
	}
	forget_greeting(kept);
	*kept = bytes;
	greeting->bytes = buf_view(kept);
	greeting->count = count;
	return true;
}

static bool make_greetings(struct redis_link *link, struct err *err)
{
	return make_greeting(link, put_greeting, &link->greeting_bytes, &link->greeting, err) &&
	       make_greeting(link, put_greeting_of_sentinel, &link->sentinel_bytes, &link->sentinel_greeting, err);
}

void redis_link_greet_anew(struct redis_link *link)
{
	make_greetings(link, NULL);
}

static bool fits(struct str s, char *out, size_t size, const char *what, struct err *err)
{
	return snprintf(out, size, STR_FMT, STR_ARG(s)) < (int)size ||
	       err_set(err, ERR_CONFIG, "redis: the %s is too long", what);
}

static bool take_settings(struct redis_link *link, const struct config *config, struct err *err)
{
	link->mode = config->redis_mode;
	link->timeout_us = config->store_timeout_us > 0 ? config->store_timeout_us : 250000;
	link->greeting.patience_us = link->sentinel_greeting.patience_us = 2 * link->timeout_us > CONNECT_US ? 2 * link->timeout_us : CONNECT_US;
	link->database = config->redis_database;
	if (!fits(config->redis_master, link->master, sizeof link->master, "master's name", err) ||
	    !fits(config->redis_user, link->user, sizeof link->user, "user's name", err) ||
	    !fits(config->redis_password_file, link->password_file, sizeof link->password_file, "password_file's path", err) ||
	    !fits(config->redis_sentinel_password_file, link->sentinel_password_file, sizeof link->sentinel_password_file,
		  "sentinel_password_file's path", err))
		return false;
	if (config->redis_addresses.count == 0 || config->redis_addresses.count > REDIS_NODES_MAX)
		return err_set(err, ERR_CONFIG, "redis: %zu addresses (1 to %d are possible)",
			       config->redis_addresses.count, REDIS_NODES_MAX);
	for (size_t i = 0; i < config->redis_addresses.count; i++)
		if (!redis_address_parse(config->redis_addresses.items[i], &link->seeds[link->seed_count++], err))
			return false;
	if (config->redis_tls &&
	    !redis_tls_new(config->redis_ca_file, config->redis_cert_file, config->redis_key_file, &link->tls, err))
		return false;
	return make_greetings(link, err);
}

static bool start_thread(struct redis_link *link, struct err *err)
{
	sigset_t all, before;

	link->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (link->wake < 0)
		return err_errno(err, ERR_BUSY, "redis: eventfd");
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	errno = pthread_create(&link->thread, NULL, redis_link_drive, link);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	link->has_thread = errno == 0;
	return link->has_thread || err_errno(err, ERR_BUSY, "redis: thread");
}

bool redis_link_open(const struct config *config, struct redis_link **out, struct err *err)
{
	struct redis_link *link = calloc(1, sizeof *link);

	if (!link)
		return err_memory(err);
	link->wake = -1;
	link->queue_last = &link->queue;
	link->waiting_last = &link->waiting;
	pthread_mutex_init(&link->mutex, NULL);
	redis_map_init(&link->map);
	redis_conn_init(&link->asker, &(struct redis_address){ 0 }, &link->sentinel_greeting);
	if (!take_settings(link, config, err) || !start_thread(link, err)) {
		redis_link_close(link);
		return false;
	}
	*out = link;
	return true;
}

static void free_calls(struct redis_call *call)
{
	for (struct redis_call *next; call; call = next) {
		next = call->next;
		redis_call_free(call);
	}
}

void redis_link_close(struct redis_link *link)
{
	uint64_t one = 1;

	if (!link)
		return;
	pthread_mutex_lock(&link->mutex);
	link->is_closing = true;
	pthread_mutex_unlock(&link->mutex);
	if (link->has_thread && write(link->wake, &one, sizeof one) == sizeof one)
		pthread_join(link->thread, NULL);

	/* Nobody waits any more, so all calls that are left are ours. */
	for (int i = 0; i < link->map.count; i++)
		for (int j = 0; link->nodes[i].is_open && j < REDIS_POOL; j++) {
			free_calls(link->nodes[i].conns[j].first);
			redis_conn_clear(&link->nodes[i].conns[j]);
		}
	free_calls(link->asker.first);
	redis_conn_clear(&link->asker);
	free_calls(link->waiting);
	free_calls(link->queue);
	if (link->wake >= 0)
		close(link->wake);
	redis_tls_free(link->tls);
	forget_greeting(&link->greeting_bytes);
	forget_greeting(&link->sentinel_bytes);
	pthread_mutex_destroy(&link->mutex);
	free(link);
}
