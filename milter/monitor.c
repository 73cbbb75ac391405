#include "milter/monitor.h"

#include <inttypes.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/json.h"
#include "config/base/metrics.h"
#include "config/base/num.h"
#include "milter/macros.h"
#include "milter/peers.h"
#include "milter/strike.h"

#define PAGE_MAX ((size_t)1 << 20)

struct monitor {
	struct gate *gate;
	struct MHD_Daemon *daemon;
	struct peers peers;
};

static pthread_mutex_t reload_lock = PTHREAD_MUTEX_INITIALIZER;
static char reload_error[ERR_TEXT_MAX];
static int64_t started_us;

void monitor_note_reload(struct str error)
{
	struct str kept = str_slice(error, 0, sizeof reload_error - 1);

	pthread_mutex_lock(&reload_lock);
	memcpy(reload_error, kept.ptr, kept.len);
	reload_error[kept.len] = '\0';
	metrics_add(kept.len ? METRIC_RELOAD_FAILURES : METRIC_RELOADS, 1);
	pthread_mutex_unlock(&reload_lock);
}

static void member_time(struct json *json, const char *key, int64_t t_us)
{
	char text[JST_TIME_LEN + 1];

	jst_format_time(t_us, text);
	json_member_str(json, key, str_from_c(text));
}

static void write_config(struct json *json)
{
	struct config *config = config_acquire();
	char error[ERR_TEXT_MAX], print[16 + 1];
	int64_t refused;

	pthread_mutex_lock(&reload_lock);
	memcpy(error, reload_error, sizeof error);
	refused = metrics_read(METRIC_RELOAD_FAILURES);
	pthread_mutex_unlock(&reload_lock);
	json_key(json, "config");
	json_object_open(json);
	json_member_str(json, "path", config->path);
	json_member_i64(json, "generation", (int64_t)config->generation);
	member_time(json, "loaded", config->loaded_us);
	snprintf(print, sizeof print, "%016" PRIx64, config->fingerprint);
	json_member_str(json, "fingerprint", str_from_c(print));
	json_member_i64(json, "tenants", (int64_t)config->tenant_count);
	json_member_i64(json, "refused", refused);
	json_member_str(json, "last_error", str_from_c(error));
	json_object_close(json);
	config_release(config);
}

static void write_messages(struct json *json)
{
	static const struct { const char *name; enum metric_id id; } rows[] = {
		{ "accepted", METRIC_MESSAGES_ACCEPTED }, { "deferred", METRIC_MESSAGES_DEFERRED },
		{ "rejected", METRIC_MESSAGES_REJECTED }, { "held", METRIC_MESSAGES_HELD },
		{ "aborted", METRIC_MESSAGES_ABORTED },   { "recipients_accepted", METRIC_RECIPIENTS_ACCEPTED },
	};

	json_key(json, "messages");
	json_object_open(json);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		json_member_i64(json, rows[i].name, metrics_read(rows[i].id));
	json_object_close(json);
}

static void write_log(struct json *json, const struct record_writer_state *state)
{
	json_key(json, "relay_log");
	json_object_open(json);
	json_member_str(json, "file", str_from_c(state->file));
	json_member_i64(json, "seq", state->seq);
	json_member_i64(json, "records", state->records);
	json_member_i64(json, "groups", state->groups);
	json_member_i64(json, "bytes", state->bytes);
	json_member_i64(json, "failures", state->failures);
	json_member_i64(json, "alarms", metrics_read(METRIC_ALARMS_ACTIVE));
	if (metrics_read(METRIC_VERIFIED))
		member_time(json, "verified", metrics_read(METRIC_VERIFIED) * US_PER_S);
	json_member_i64(json, "sync_us_last", state->sync_us_last);
	json_member_i64(json, "sync_us_max", state->sync_us_max);
	if (state->last_checkpoint_us)
		member_time(json, "last_checkpoint", state->last_checkpoint_us);
	json_member_i64(json, "free_percent", state->free_percent);
	json_member_bool(json, "is_low", state->is_low);
	json_member_bool(json, "is_full", state->is_full);
	json_object_close(json);
}

static void write_maillog(struct json *json)
{
	struct config *config = config_acquire();

	if (config_follows_maillog(config)) {
		json_key(json, "maillog");
		json_object_open(json);
		json_member_str_opt(json, "path", config->maillog_path);
		json_member_str_opt(json, "journal", config->maillog_journal);
		json_member_i64(json, "lines", metrics_read(METRIC_MAILLOG_LINES));
		json_member_i64(json, "outcomes", metrics_read(METRIC_MAILLOG_OUTCOMES));
		json_member_i64(json, "strangers", metrics_read(METRIC_MAILLOG_STRANGERS));
		json_member_i64(json, "behind_octets", metrics_read(METRIC_MAILLOG_BEHIND));
		json_member_i64(json, "lag_s", metrics_read(METRIC_MAILLOG_LAG));
		json_object_close(json);
	}
	config_release(config);
}

static void write_store(struct json *json, const struct store *store)
{
	json_key(json, "store");
	json_object_open(json);
	json_member_str(json, "backend", str_from_c(store->ops->name));
	json_member_bool(json, "is_local", atomic_load(&store->is_local));
	json_member_i64(json, "failures", metrics_read(METRIC_STORE_FAILURES));
	json_member_i64(json, "charges", metrics_read(METRIC_CHARGE_TIME));
	json_member_i64(json, "charge_us", metrics_sum(METRIC_CHARGE_TIME));
	json_object_close(json);
}

/* Class relay has been open since the start. */
static void read_log(struct monitor *monitor, struct record_writer_state *out)
{
	struct err err;

	record_writer_state(gate_writer(monitor->gate, CLASS_RELAY, &err), out);
}

static void write_status(struct monitor *monitor, struct buf *out)
{
	struct record_writer_state log;
	struct traffic_sum everybody;
	struct json json;

	read_log(monitor, &log);
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "program", STR("sekisho-milter"));
	json_member_str(&json, "version", STR(PACKAGE_VERSION));
	json_member_str(&json, "node", str_from_c(monitor->gate->node));
	json_member_i64(&json, "pid", getpid());
	member_time(&json, "started", started_us);
	member_time(&json, "now", clock_now_us());
	write_config(&json);
	json_member_i64(&json, "sessions", metrics_read(METRIC_SESSIONS));
	json_member_i64(&json, "sessions_total", metrics_read(METRIC_SESSIONS_TOTAL));
	write_messages(&json);
	traffic_read(monitor->gate->traffic, &everybody, 1);
	traffic_write_counts(&json, "minute", everybody.minute);
	json_key(&json, "answers");
	json_object_open(&json);
	json_member_i64(&json, "count", metrics_read(METRIC_EOM_TIME));
	json_member_i64(&json, "us", metrics_sum(METRIC_EOM_TIME));
	json_object_close(&json);
	write_store(&json, monitor->gate->policy.store);
	write_log(&json, &log);
	write_maillog(&json);
	strike_write_status(&json);
	json_key(&json, "macros");
	macros_write(&json);
	json_key(&json, "clock");
	json_object_open(&json);
	json_member_str(&json, "state", str_from_c(log.clock));
	json_member_i64(&json, "max_error_us", log.clock_error_us);
	json_object_close(&json);
	json_object_close(&json);
	buf_add_byte(out, '\n');
}

static void write_tenants(struct monitor *monitor, struct buf *out)
{
	struct traffic_sum *sums = calloc(MONITOR_TENANTS_MAX + 1, sizeof *sums);
	size_t count = sums ? traffic_read(monitor->gate->traffic, sums, MONITOR_TENANTS_MAX + 1) : 0;
	struct json json;

	out->failed |= !sums;
	json_init(&json, out);
	json_object_open(&json);
	json_member_str(&json, "program", STR("sekisho-milter"));
	json_key(&json, "tenants");
	json_array_open(&json);
	for (size_t i = 1; i < count; i++) {
		json_object_open(&json);
		json_member_str(&json, "name", str_from_c(sums[i].name));
		traffic_write_counts(&json, "minute", sums[i].minute);
		traffic_write_counts(&json, "total", sums[i].total);
		member_time(&json, "last", sums[i].last_us);
		json_object_close(&json);
	}
	json_array_close(&json);
	json_object_close(&json);
	buf_add_byte(out, '\n');
	free(sums);
}

static void write_metrics(struct monitor *monitor, struct buf *out)
{
	struct record_writer_state log;

	read_log(monitor, &log);
	metrics_set(METRIC_LOG_FREE_PERCENT, log.free_percent);
	metrics_set(METRIC_CLOCK_ERROR_US, log.clock_error_us);
	metrics_set(METRIC_STORE_LOCAL, atomic_load(&monitor->gate->policy.store->is_local));
	metrics_write(out);
}

/* Healthy: the relay log can be written. Without it no message passes. */
static void write_health(struct monitor *monitor, struct buf *out)
{
	struct record_writer_state log;

	read_log(monitor, &log);
	buf_add_c(out, log.is_full ? "relay log: disk full\n" : "ok\n");
}

static const struct page {
	const char *path, *type;
	void (*write)(struct monitor *monitor, struct buf *out);
} pages[] = {
	{ "/metrics", "text/plain; version=0.0.4; charset=utf-8", write_metrics },
	{ "/status", "application/json", write_status },
	{ "/tenants", "application/json", write_tenants },
	{ "/health", "text/plain; charset=utf-8", write_health },
};

static enum MHD_Result respond(struct MHD_Connection *peer, unsigned status, struct str body, const char *type)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.ptr, MHD_RESPMEM_MUST_COPY);

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Cache-Control", "no-store");

	enum MHD_Result result = MHD_queue_response(peer, status, response);

	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result respond_page(struct monitor *monitor, struct MHD_Connection *peer, const struct page *page)
{
	struct buf body;
	struct err err;
	struct str text;

	buf_init(&body, PAGE_MAX);
	page->write(monitor, &body);

	bool ok = buf_done(&body, &text, &err);
	bool is_sick = page->write == write_health && !str_eq(buf_view(&body), STR("ok\n"));
	enum MHD_Result result = respond(peer, !ok || is_sick ? 503 : 200, ok ? text : str_from_c(err.text),
					 page->type);

	buf_clear(&body);
	return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *peer, const char *path, const char *method,
				  const char *version, const char *upload, size_t *upload_size, void **state)
{
	static char seen;
	struct monitor *monitor = arg;

	(void)version;
	(void)upload;
	if (!*state) {                          /* first call: headers only; answer at the second */
		*state = &seen;
		return MHD_YES;
	}
	if (*upload_size) {                     /* a body nobody asked for */
		*upload_size = 0;
		return MHD_YES;
	}
	peers_heard(&monitor->peers, MHD_get_connection_info(peer, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
	if (!str_eq(str_from_c(method), STR("GET")) && !str_eq(str_from_c(method), STR("HEAD")))
		return respond(peer, 405, STR("only GET\n"), "text/plain");
	for (size_t i = 0; i < sizeof pages / sizeof *pages; i++)
		if (str_eq(str_from_c(path), str_from_c(pages[i].path)))
			return respond_page(monitor, peer, &pages[i]);
	return respond(peer, 404, STR("/metrics, /status, /tenants or /health\n"), "text/plain");
}

static void on_peer(void *arg, struct MHD_Connection *peer, void **seat, enum MHD_ConnectionNotificationCode what)
{
	struct monitor *monitor = arg;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*seat = peers_enter(&monitor->peers, MHD_get_connection_info(peer, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	else
		peers_leave(&monitor->peers, *seat);
}

#define SENT_AWAY_MAX MONITOR_PEERS_MAX    /* and have not left yet */

bool monitor_open(struct gate *gate, const struct config *config, struct monitor **out, struct err *err)
{
	struct sockaddr_storage address;
	socklen_t address_len;

	started_us = clock_now_us();
	*out = NULL;
	if (config->metrics_listen.len == 0)
		return true;
	if (!net_parse_listen(config->metrics_listen, &address, &address_len))
		return err_set(err, ERR_CONFIG, "metrics.listen: " STR_FMT " is no ADDRESS:PORT", STR_ARG(config->metrics_listen));

	struct monitor *monitor = calloc(1, sizeof *monitor);

	if (!monitor)
		return err_memory(err);
	monitor->gate = gate;
	peers_init(&monitor->peers, MONITOR_PEERS_MAX);

	/* Not by select, which knows no descriptor from 1 024 on: there may be more sessions than that. */
	monitor->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL, on_request, monitor,
		MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_NOTIFY_CONNECTION, on_peer, monitor,
		MHD_OPTION_CONNECTION_LIMIT, MONITOR_PEERS_MAX + SENT_AWAY_MAX, MHD_OPTION_CONNECTION_TIMEOUT, 10u,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)16384, MHD_OPTION_END);
	if (!monitor->daemon) {
		peers_clear(&monitor->peers);
		free(monitor);
		return err_set(err, ERR_CONFIG, "metrics.listen: cannot listen on " STR_FMT " (is another program there?)",
			       STR_ARG(config->metrics_listen));
	}
	*out = monitor;
	return true;
}

void monitor_close(struct monitor *monitor)
{
	if (!monitor)
		return;
	MHD_stop_daemon(monitor->daemon);
	peers_clear(&monitor->peers);
	free(monitor);
}
