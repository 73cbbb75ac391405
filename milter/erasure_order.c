#include "milter/erasure_order.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/task.h"
#include "config/erase_rule.h"
#include "milter/record/note.h"

#define LOOK_US (60 * US_PER_S)
#define START_US US_PER_S
#define AGAIN_US HOUR_US
#define LEAD_US HOUR_US                /* a rule of hours is kept by being early */
#define SUFFIX ".order"
#define ORDERS_MAX 10000

static bool dir_of(const struct config *config, char out[PATH_MAX - 200], struct err *err)
{
	return snprintf(out, PATH_MAX - 200, STR_FMT "/" ERASURE_DIR, STR_ARG(config->state_dir)) < PATH_MAX - 200 ||
	       err_set(err, ERR_CONFIG, "state_dir is too long");
}

static bool path_of(const struct config *config, struct str tenant, char out[PATH_MAX], struct err *err)
{
	char dir[PATH_MAX - 200];

	if (!dir_of(config, dir, err))
		return false;
	if (!entry_is_name(tenant) || tenant.len > 100)
		return err_set(err, ERR_INPUT, "that is no name of a tenant");
	snprintf(out, PATH_MAX, "%s/" STR_FMT SUFFIX, dir, STR_ARG(tenant));
	return true;
}

/* --- writing */

bool erasure_order_write(const struct config *config, const struct erasure_order *order, const struct sign_key *key, struct err *err)
{
	char path[PATH_MAX], dir[PATH_MAX - 200], name[512], ended[JST_TIME_LEN + 1], due[JST_TIME_LEN + 1];
	struct buf text;
	struct str all;

	if (!path_of(config, order->tenant, path, err) || !dir_of(config, dir, err))
		return false;
	jst_format_time(order->ended_us, ended);
	jst_format_time(order->due_us, due);
	snprintf(name, sizeof name, "sekisho:" STR_FMT "/order", STR_ARG(config->node));
	buf_init(&text, CERTIFICATE_MAX);
	buf_printf(&text, "Order of erasure / 消去予約\nrelay " STR_FMT "\ntenant " STR_FMT "\nended %s\nrule " STR_FMT "\ndue %s\n",
		   STR_ARG(config->node), STR_ARG(order->tenant), ended, STR_ARG(order->rule), due);
	if (order->reason.len)
		buf_printf(&text, "reason " STR_FMT "\n", STR_ARG(order->reason));
	bool ok = note_sign(&text, str_from_c(name), key, err) && buf_done(&text, &all, err) && io_make_dirs(dir, 0750, err) &&
		  io_replace_file(path, all, 0640, err);

	buf_clear(&text);
	return ok;
}

bool erasure_order_cancel(const struct config *config, struct str tenant, bool *out_found, struct err *err)
{
	char path[PATH_MAX];

	if (!path_of(config, tenant, path, err))
		return false;
	*out_found = io_calls.unlink(path) == 0;
	if (!*out_found)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", path);
	return io_sync_dir_of(path, err);
}

/* --- reading */

static bool load_publics(const struct config *config, struct sign_publics *out)
{
	char path[PATH_MAX];

	return erasure_public(config, path) && sign_publics_load(path, out, NULL);
}

static bool take_order(const char *path, const struct sign_publics *publics, struct arena *arena, struct erasure_order *out,
		       struct err *err)
{
	struct str text, name, ended, due, rest;
	struct buf file;

	buf_init(&file, CERTIFICATE_MAX);
	bool ok = io_read_file(path, &file, err) && (arena_copy(arena, buf_view(&file), &text) || err_memory(err));

	buf_clear(&file);
	if (!ok)
		return false;
	rest = text;
	*out = (struct erasure_order){ .reason = STR_EMPTY };
	out->is_good = note_open(text, publics, &rest, &name, NULL) && str_ends(name, STR("/order")) &&
		       str_starts(rest, STR("Order of erasure ")) && certificate_find(rest, STR("tenant"), &out->tenant) &&
		       certificate_find(rest, STR("rule"), &out->rule) && certificate_find(rest, STR("ended"), &ended) &&
		       certificate_find(rest, STR("due"), &due) && jst_parse_time(ended, &out->ended_us) &&
		       jst_parse_time(due, &out->due_us);
	certificate_find(rest, STR("reason"), &out->reason);
	return arena_copy(arena, str_from_c(path), &out->file) || err_memory(err);
}

bool erasure_orders_read(const struct config *config, struct arena *arena, struct erasure_order **out, size_t *out_count,
			 struct err *err)
{
	struct sign_publics publics = { .count = 0 };
	struct erasure_order *orders = arena_array(arena, ORDERS_MAX, sizeof *orders);
	char dir[PATH_MAX - 200], path[PATH_MAX];
	struct dirent *entry;
	bool ok = true;

	*out = orders;
	*out_count = 0;
	if (!orders)
		return err_memory(err);
	if (!dir_of(config, dir, err))
		return false;
	DIR *list = opendir(dir);

	if (!list)
		return errno == ENOENT || err_errno(err, ERR_BUSY, "%s", dir);
	load_publics(config, &publics);
	for (errno = 0; ok && *out_count < ORDERS_MAX && (entry = readdir(list)) != NULL; errno = 0) {
		if (!str_ends(str_from_c(entry->d_name), STR(SUFFIX)) ||
		    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name) >= (int)sizeof path)
			continue;
		ok = take_order(path, &publics, arena, &orders[*out_count], err);
		*out_count += ok;
	}
	ok = ok && (errno == 0 || err_errno(err, ERR_BUSY, "%s", dir));
	closedir(list);
	return ok;
}

bool erasure_order_is_due(const struct erasure_order *order, int64_t now_us)
{
	struct erase_rule rule;
	bool is_early = erase_rule_parse(order->rule, &rule) && rule.kind == ERASE_HOURS;

	return order->is_good && now_us >= order->due_us - (is_early ? LEAD_US : 0);
}

/* --- the daemon's thread */

struct eraser {
	struct gate *gate;
	struct task task;
	int64_t told_us;               /* the thread's own: when what hinders was last said */
};

static void record_done(struct eraser *eraser, const struct erasure_order *order, const struct erased *erased)
{
	struct buf detail;
	struct json json;

	buf_init(&detail, 4096);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "tenant", order->tenant);
	json_member_str(&json, "rule", order->rule);
	json_member_i64(&json, "records", erased->records);
	json_member_i64(&json, "entries", erased->entries);
	json_object_close(&json);
	gate_record(eraser->gate, STR("tenant-erased"), STR_EMPTY, &detail);
	buf_clear(&detail);
}

static bool carry_out(struct eraser *eraser, const struct config *config, const struct erasure_order *order, struct err *err)
{
	struct erasure erasure = { .config = config, .stores = { eraser->gate->policy.store }, .tenant = order->tenant,
				   .reason = order->reason };
	struct sign_key *key = NULL;
	struct erased erased;
	struct buf certificate;
	bool found;

	if (!erasure_key(config, STR_EMPTY, &key, err))
		return false;
	erasure.key = key;
	buf_init(&certificate, CERTIFICATE_MAX);
	bool ok = erasure_run(&erasure, &erased, &certificate, err) &&
		  erasure_order_cancel(config, order->tenant, &found, err);

	if (ok) {
		record_done(eraser, order, &erased);
		log_info("tenant " STR_FMT " is erased, by rule " STR_FMT ": %" PRId64 " records", STR_ARG(order->tenant),
			 STR_ARG(order->rule), erased.records);
	}
	sign_key_free(key);
	buf_clear(&certificate);
	return ok;
}

/* What hinders is said once an hour. */
static void look_at_order(struct eraser *eraser, const struct config *config, const struct erasure_order *order, bool *out_told)
{
	bool is_telling = eraser->told_us == 0 || clock_mono_us() - eraser->told_us >= AGAIN_US;
	struct err err;

	if (!order->is_good) {
		if (is_telling)
			log_error(STR_FMT ": not signed with the operator's key: passed over", STR_ARG(order->file));
	} else if (!erasure_order_is_due(order, clock_now_us())) {
		return;
	} else if (config_find_tenant(config, order->tenant)) {
		if (is_telling)
			log_error("tenant " STR_FMT " is to be erased and still in the configuration: remove it there and reload",
				  STR_ARG(order->tenant));
	} else if (carry_out(eraser, config, order, &err)) {
		return;
	} else if (is_telling) {
		log_error("erasure of tenant " STR_FMT ": %s", STR_ARG(order->tenant), err.text);
	}
	*out_told |= is_telling;
}

/* False: no configuration is in force yet. */
static bool look(struct eraser *eraser)
{
	struct config *config = config_acquire();
	struct erasure_order *orders;
	struct arena arena;
	struct err err;
	size_t count = 0;
	bool told = false;

	if (!config)
		return false;
	arena_init(&arena, (size_t)64 << 20);
	if (!erasure_orders_read(config, &arena, &orders, &count, &err))
		log_error("orders of erasure: %s", err.text);
	for (size_t i = 0; i < count; i++)
		look_at_order(eraser, config, &orders[i], &told);
	if (told)
		eraser->told_us = clock_mono_us();
	arena_clear(&arena);
	config_release(config);
	return true;
}

static void run_eraser(void *arg)
{
	struct eraser *eraser = arg;

	while (task_wait(&eraser->task, look(eraser) ? LOOK_US : START_US))
		;
}

bool eraser_start(struct gate *gate, struct eraser **out, struct err *err)
{
	struct eraser *eraser = calloc(1, sizeof *eraser);

	if (!eraser)
		return err_memory(err);
	eraser->gate = gate;
	if (!task_start(&eraser->task, "erasures", run_eraser, eraser, err)) {
		free(eraser);
		return false;
	}
	*out = eraser;
	return true;
}

void eraser_stop(struct eraser *eraser)
{
	if (!eraser)
		return;
	task_stop(&eraser->task);
	free(eraser);
}
