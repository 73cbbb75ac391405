#include "milter/gate.h"

#include <assert.h>
#include <stdio.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "milter/erasure_order.h"
#include "milter/session.h"

#define LOG_QUEUE_MAX ((size_t)32 << 20)

static bool class_open(const struct gate *gate, struct gate_class *class, struct err *err)
{
	struct record_writer_config writer = gate->writer;
	char dir[sizeof gate->log_dir + sizeof class->name + 1];

	snprintf(dir, sizeof dir, "%s/%s", gate->log_dir, class->name);
	writer.dir = str_from_c(dir);
	writer.is_sealed = gate->is_sealed && !str_eq(str_from_c(class->name), CLASS_OPS);
	return io_make_dirs(dir, 0750, err) && record_writer_open(&writer, &class->writer, err);
}

static struct record_writer *find_or_open(struct gate *gate, struct str name, struct err *err)
{
	struct gate_class *class = gate->classes;

	for (; class < gate->classes + gate->class_count; class++)
		if (str_eq(str_from_c(class->name), name))
			return class->writer;
	assert(name.len < sizeof class->name);  /* the configuration's, or ours */
	if (gate->class_count == GATE_CLASSES_MAX) {
		err_set(err, ERR_CONFIG, "%d classes are open since the start, the most there can be; restart sekisho-milter",
			GATE_CLASSES_MAX);
		return NULL;
	}
	snprintf(class->name, sizeof class->name, STR_FMT, STR_ARG(name));
	if (!class_open(gate, class, err))
		return NULL;
	gate->class_count++;
	return class->writer;
}

struct record_writer *gate_writer(struct gate *gate, struct str class_name, struct err *err)
{
	pthread_mutex_lock(&gate->lock);
	struct record_writer *writer = find_or_open(gate, class_name, err);
	pthread_mutex_unlock(&gate->lock);

	if (!writer)
		err_wrap(err, "relay log class " STR_FMT, STR_ARG(class_name));
	return writer;
}

static bool keep_path(struct str path, char room[PATH_MAX], struct err *err)
{
	if (path.len >= PATH_MAX)
		return err_set(err, ERR_CONFIG, "a path in relay_log is too long");
	memcpy(room, path.ptr, path.len);
	return true;
}

/* Every class that the configuration names, those of earlier days too: what nobody writes any more has its time as well. */
static bool start_purger(struct gate *gate, const struct config *config, struct err *err)
{
	struct purge_class classes[CONFIG_CLASSES_MAX];
	char dirs[CONFIG_CLASSES_MAX][sizeof gate->log_dir + sizeof gate->classes->name];

	for (size_t i = 0; i < config->class_count; i++) {
		const struct record_class *class = &config->classes[i];

		snprintf(dirs[i], sizeof dirs[i], "%s/" STR_FMT, gate->log_dir, STR_ARG(class->name));
		classes[i] = (struct purge_class){ gate->writer, class->keep };
		classes[i].config.dir = str_from_c(dirs[i]);
	}
	return purger_start(classes, config->class_count, &gate->purger, err);
}

/* sekisho-track writes opens and clicks into a class of its own, and has no key to sign it with. */
static bool open_actions(struct gate *gate, const struct config *config, struct err *err)
{
	return !config->needs_rewrite || gate_writer(gate, CLASS_ACTION, err);
}

/* Classes that were written to before: each is signed every hour, and under a new name from the start, whether or not somebody writes
 * to it. One that cannot be opened is those tenants' who have it, when they send. */
static void open_present(struct gate *gate, const struct config *config)
{
	char dir[sizeof gate->log_dir + CONFIG_NAME_MAX + 2];
	struct err err;

	for (size_t i = 0; i < config->class_count; i++) {
		snprintf(dir, sizeof dir, "%s/" STR_FMT, gate->log_dir, STR_ARG(config->classes[i].name));
		if (access(dir, F_OK) == 0 && !gate_writer(gate, config->classes[i].name, &err))
			log_error("%s", err.text);
	}
}

static bool has_same_classes(const struct config *a, const struct config *b)
{
	if (a->class_count != b->class_count)
		return false;
	for (size_t i = 0; i < a->class_count; i++)
		if (!str_eq(a->classes[i].name, b->classes[i].name) || a->classes[i].keep.days != b->classes[i].keep.days ||
		    a->classes[i].keep.is_years != b->classes[i].keep.is_years)
			return false;
	return true;
}

void gate_follow(struct gate *gate, const struct config *old, const struct config *new)
{
	struct err err;

	if (!open_actions(gate, new, &err))
		log_error("%s", err.text);
	open_present(gate, new);
	if (has_same_classes(old, new))
		return;
	purger_stop(gate->purger);
	gate->purger = NULL;
	if (!start_purger(gate, new, &err))
		log_error("nothing is purged before the next start: %s", err.text);
}

/* In ops: what the store did that limits depend on, so that an auditor knows when counts were not shared. */
static void record_store(struct gate *gate, const char *mode, const char *why)
{
	struct buf detail;
	struct json json;

	buf_init(&detail, 4096);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str_opt(&json, "mode", str_from_c(mode));
	json_member_str_opt(&json, "why", str_from_c(why));
	json_object_close(&json);
	gate_record(gate, STR("store"), STR_EMPTY, &detail);
	buf_clear(&detail);
}

static void store_changed(void *arg, bool is_local, const char *why)
{
	record_store(arg, is_local ? "local" : "shared", why);
}

static bool keep_names(struct gate *gate, const struct config *config, struct err *err)
{
	snprintf(gate->node, sizeof gate->node, STR_FMT, STR_ARG(config->node));
	letterbox_name(gate->own_sender);
	gate->policy.node = str_from_c(gate->node);
	gate->policy.own_sender = str_from_c(gate->own_sender);
	return keep_path(config->log_dir, gate->log_dir, err) && keep_path(config->log_key_file, gate->log_key_file, err) &&
	       keep_path(config->log_keyring, gate->log_keyring, err);
}

static bool open_memory(struct gate *gate, const struct config *config, struct err *err)
{
	gate->traffic = traffic_new();
	gate->pulse = pulse_new();
	gate->warned = warned_new();
	if (config_follows_maillog(config))
		gate->queue_ids = maillog_map_new();
	return (gate->traffic && gate->pulse && gate->warned && (gate->queue_ids || !config_follows_maillog(config))) || err_memory(err);
}

static bool open_log(struct gate *gate, const struct config *config, struct err *err)
{
	gate->is_sealed = config->log_is_sealed;
	gate->writer = (struct record_writer_config){
		.node = str_from_c(gate->node),
		.key_file = str_from_c(gate->log_key_file),
		.keyring = str_from_c(gate->log_keyring),
		.checkpoint_busy_us = config->checkpoint_busy_us,
		.checkpoint_idle_us = config->checkpoint_idle_us,
		.preallocate = config->preallocate,
		.disk_warn_percent = config->disk_warn_percent,
		.queue_max = LOG_QUEUE_MAX,
	};
	if (!gate_writer(gate, CLASS_RELAY, err) || !gate_writer(gate, CLASS_OPS, err) || !open_actions(gate, config, err))
		return false;
	open_present(gate, config);
	return true;
}

bool gate_open(struct gate *gate, const struct config *config, struct err *err)
{
	*gate = (struct gate){ .lock = PTHREAD_MUTEX_INITIALIZER, .submit.socket = -1 };
	gate->inside.next = gate->inside.prev = &gate->inside;
	token_ring_init(&gate->tokens);
	if ((rulebook_open(&gate->rules, config->bounce_rules_file, err) || err_wrap(err, "bounce rules")) &&
	    keep_names(gate, config, err) && (!config->needs_keys || token_ring_load(&gate->tokens, config->token_key_file, err)) &&
	    (store_open(config, &gate->policy.store, err) || err_wrap(err, "store")) && open_memory(gate, config, err) &&
	    open_log(gate, config, err) && start_purger(gate, config, err) && submit_open(&gate->submit, config, err) &&
	    eraser_start(gate, &gate->eraser, err)) {
		gate->policy.store->on_local_arg = gate;
		atomic_store(&gate->policy.store->on_local, store_changed);
		if (gate->policy.store->notice[0])
			record_store(gate, "", gate->policy.store->notice);
		return true;
	}
	gate_close(gate);
	return false;
}

void gate_close(struct gate *gate)
{
	while (gate->inside.next != &gate->inside)
		session_free(gate->inside.next->session);
	purger_stop(gate->purger);
	eraser_stop(gate->eraser);
	store_close(gate->policy.store);        /* before the log: until then it may have something to record */
	for (size_t i = 0; i < gate->class_count; i++)
		record_writer_close(gate->classes[i].writer);
	maillog_map_free(gate->queue_ids);
	pulse_free(gate->pulse);
	warned_free(gate->warned);
	rulebook_close(&gate->rules);
	traffic_free(gate->traffic);
	submit_close(&gate->submit);
	token_ring_clear(&gate->tokens);
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

bool gate_is_behind(struct gate *gate)
{
	struct record_writer_state state;
	bool is_behind = false;

	pthread_mutex_lock(&gate->lock);
	size_t count = gate->class_count;

	pthread_mutex_unlock(&gate->lock);
	for (size_t i = 0; i < count && !is_behind; i++) {
		record_writer_state(gate->classes[i].writer, &state);
		is_behind = state.is_behind;
	}
	return is_behind;
}

void gate_record(struct gate *gate, struct str event, struct str tenant, const struct buf *detail)
{
	struct record_event record = { .event = event, .tenant = tenant, .host = str_from_c(gate->node) };
	struct err err;
	struct record_writer *ops = gate_writer(gate, CLASS_OPS, &err);

	if (!ops || (detail && !buf_done(detail, &record.detail, &err)) || !record_append(ops, &record, RECORD_QUEUED, NULL, &err))
		log_error("ops record " STR_FMT ": %s", STR_ARG(event), err.text);
}
