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

/* True: it is done, and ours again. */
static bool wait_until_done(struct redis_link *link, struct redis_call *call)
{
	struct timespec until = deadline(call->made_us + link->timeout_us);

	pthread_mutex_lock(&link->mutex);
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

static bool put_password(struct redis_link *link, const struct config *config, struct err *err)
{
	struct str words[3] = { STR("AUTH"), config->redis_user };
	size_t count = config->redis_user.len ? 3 : 2;
	char path[4096];
	struct buf secret;

	if (config->redis_password_file.len == 0)
		return config->redis_user.len == 0 || err_set(err, ERR_CONFIG, "redis: a user needs a password_file");
	buf_init(&secret, 4096);
	snprintf(path, sizeof path, STR_FMT, STR_ARG(config->redis_password_file));

	bool ok = io_read_secret(path, &secret, err);

	words[count - 1] = str_trim(buf_view(&secret));
	if (ok)
		redis_put_words(&link->greeting_bytes, words, count);
	link->greeting.count++;
	if (secret.ptr)
		explicit_bzero(secret.ptr, secret.size);
	buf_clear(&secret);
	return ok;
}

/* Password, database, and the scripts: what a server has been told once per connection it need not be told per message.
 */
static bool make_greeting(struct redis_link *link, const struct config *config, struct err *err)
{
	char number[24];

	buf_init(&link->greeting_bytes, (size_t)1 << 20);
	if (!put_password(link, config, err))
		return false;
	if (config->redis_database) {
		snprintf(number, sizeof number, "%lld", (long long)config->redis_database);
		redis_put_words(&link->greeting_bytes, (struct str[]){ STR("SELECT"), str_from_c(number) }, 2);
		link->greeting.count++;
	}
	for (int i = 0; i < SCRIPT_COUNT_OF; i++, link->greeting.count++)
		redis_put_words(&link->greeting_bytes,
				(struct str[]){ STR("SCRIPT"), STR("LOAD"), redis_script_text((enum redis_script)i) },
				3);
	return buf_done(&link->greeting_bytes, &link->greeting.bytes, err);
}

static bool take_settings(struct redis_link *link, const struct config *config, struct err *err)
{
	link->mode = config->redis_mode;
	link->timeout_us = config->store_timeout_us > 0 ? config->store_timeout_us : 250000;
	snprintf(link->master, sizeof link->master, STR_FMT, STR_ARG(config->redis_master));
	if (config->redis_addresses.count == 0 || config->redis_addresses.count > REDIS_NODES_MAX)
		return err_set(err, ERR_CONFIG, "redis: %zu addresses (1 to %d are possible)",
			       config->redis_addresses.count, REDIS_NODES_MAX);
	for (size_t i = 0; i < config->redis_addresses.count; i++)
		if (!redis_address_parse(config->redis_addresses.items[i], &link->seeds[link->seed_count++], err))
			return false;
	if (config->redis_tls &&
	    !redis_tls_new(config->redis_ca_file, config->redis_cert_file, config->redis_key_file, &link->tls, err))
		return false;
	return make_greeting(link, config, err);
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
	redis_conn_init(&link->asker, &(struct redis_address){ 0 }, &link->silence);
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
	if (link->greeting_bytes.ptr)
		explicit_bzero(link->greeting_bytes.ptr, link->greeting_bytes.size);
	buf_clear(&link->greeting_bytes);
	pthread_mutex_destroy(&link->mutex);
	free(link);
}
