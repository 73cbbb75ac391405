#include "milter/gate.h"

#include <stdio.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/log.h"
#include "milter/session.h"

#define LOG_QUEUE_MAX ((size_t)64 << 20)

static bool writer_open(const struct config *config, struct str class_name, struct record_writer **out, struct err *err)
{
	char dir[4096];

	if (snprintf(dir, sizeof dir, STR_FMT "/" STR_FMT, STR_ARG(config->log_dir), STR_ARG(class_name)) >= (int)sizeof dir)
		return err_set(err, ERR_CONFIG, "relay_log.dir is too long");
	if (!io_make_dirs(dir, 0750, err))
		return false;

	struct record_writer_config writer = {
		.dir = str_from_c(dir),
		.node = config->node,
		.key_file = config->log_key_file,
		.checkpoint_busy_us = config->checkpoint_busy_us,
		.checkpoint_idle_us = config->checkpoint_idle_us,
		.preallocate = config->preallocate,
		.disk_warn_percent = config->disk_warn_percent,
		.queue_max = LOG_QUEUE_MAX,
	};

	return record_writer_open(&writer, out, err) || err_wrap(err, "relay log class " STR_FMT, STR_ARG(class_name));
}

bool gate_open(struct gate *gate, const struct config *config, struct err *err)
{
	*gate = (struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER };
	gate->inside.next = gate->inside.prev = &gate->inside;
	snprintf(gate->node, sizeof gate->node, STR_FMT, STR_ARG(config->node));
	if (!store_open(config, &gate->policy.store, err))
		return err_wrap(err, "store");
	gate->policy.node = str_from_c(gate->node);
	if (!writer_open(config, STR("relay"), &gate->relay, err) || !writer_open(config, STR("ops"), &gate->ops, err)) {
		gate_close(gate);
		return false;
	}
	return true;
}

void gate_close(struct gate *gate)
{
	while (gate->inside.next != &gate->inside)
		session_free(gate->inside.next->session);
	record_writer_close(gate->relay);
	record_writer_close(gate->ops);
	store_close(gate->policy.store);
	pthread_mutex_destroy(&gate->lock);
}

void gate_enter(struct gate *gate, struct gate_link *link, struct session *session)
{
	link->session = session;
	pthread_mutex_lock(&gate->lock);
	link->next = &gate->inside;
	link->prev = gate->inside.prev;
	link->prev->next = link;
	link->next->prev = link;
	pthread_mutex_unlock(&gate->lock);
}

void gate_leave(struct gate *gate, struct gate_link *link)
{
	pthread_mutex_lock(&gate->lock);
	link->prev->next = link->next;
	link->next->prev = link->prev;
	pthread_mutex_unlock(&gate->lock);
}

void gate_record(struct gate *gate, struct str event, struct str detail)
{
	struct record_event record = { .event = event, .host = str_from_c(gate->node), .detail = detail };
	struct err err;

	if (!record_append(gate->ops, &record, RECORD_QUEUED, NULL, &err))
		log_error("ops record %.*s: %s", STR_ARG(event), err.text);
}
