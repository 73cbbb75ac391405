#include "milter/track/endpoint.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#include "milter/peers.h"

#define ANSWER_MEMORY ((size_t)256 << 10)
#define POOL_MAX 4
#define SENT_AWAY_MAX ENDPOINT_PEERS_MAX   /* and have not left yet */

struct endpoint {
	struct MHD_Daemon *daemon;
	struct peers peers;
	struct tracker *tracker;
	struct ledger *ledger;
	struct MHD_Response *pixel;    /* made once: most answers are this one */
};

/* One request on its way in. */
struct call {
	struct buf body;
};

static struct str field(struct MHD_Connection *peer, const char *name)
{
	return str_from_c(MHD_lookup_connection_value(peer, MHD_HEADER_KIND, name));
}

/* Fields of which it matters how often they are there. */
enum { FIELD_HOST, FIELD_LENGTH, FIELD_CODING, FIELD_FORWARDED, FIELD_COUNT };

struct fields {
	struct str last[FIELD_COUNT];
	size_t count[FIELD_COUNT];
	bool has_odd_name;             /* "Content-Length : 5", which others may read as Content-Length (RFC 9112 5.1) */
};

static enum MHD_Result take_field(void *arg, enum MHD_ValueKind kind, const char *name, const char *value)
{
	static const struct str names[FIELD_COUNT] = {
		STR_INIT("Host"), STR_INIT("Content-Length"), STR_INIT("Transfer-Encoding"), STR_INIT("X-Forwarded-For"),
	};
	struct fields *fields = arg;

	(void)kind;
	fields->has_odd_name |= strpbrk(name, " \t") != NULL;
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (str_eq_nocase(str_from_c(name), names[i])) {
			fields->last[i] = str_from_c(value);
			fields->count[i]++;
		}
	return MHD_YES;
}

static struct fields fields_of(struct MHD_Connection *peer)
{
	struct fields fields = { .has_odd_name = false };

	MHD_get_connection_values(peer, MHD_HEADER_KIND, take_field, &fields);
	return fields;
}

/* Whom it asks, or where it ends, a proxy in front of us may have read otherwise (RFC 9112 3.2, 6.3 and 11.2). */
static bool is_doubtful(const struct fields *fields)
{
	return fields->has_odd_name || fields->count[FIELD_HOST] > 1 ||
	       fields->count[FIELD_LENGTH] + fields->count[FIELD_CODING] > 1;
}

/* "http://HOST/c/TOKEN" as a target has a word in it that the field Host has not (RFC 9112 3.2.2). */
static void cut_target(struct str *path, struct str *host)
{
	struct str scheme, rest;

	if (!str_cut(*path, ':', &scheme, &rest) || !str_starts(rest, STR("//")) ||
	    !(str_eq_nocase(scheme, STR("http")) || str_eq_nocase(scheme, STR("https"))))
		return;
	rest = str_from(rest, 2);
	*host = str_slice(rest, 0, str_find_byte(rest, '/'));
	*path = str_from(rest, host->len);
}

static bool says(struct MHD_Connection *peer, const char *name, struct str word)
{
	struct str value = field(peer, name);

	for (size_t at = 0; at + word.len <= value.len; at++)
		if (str_eq_nocase(str_slice(value, at, word.len), word))
			return true;
	return false;
}

static bool is_prefetch(struct MHD_Connection *peer)
{
	return says(peer, "Sec-Purpose", STR("prefetch")) || says(peer, "Purpose", STR("prefetch")) ||
	       says(peer, "Purpose", STR("preview")) || says(peer, "X-Purpose", STR("preview")) ||
	       says(peer, "X-Moz", STR("prefetch"));
}

static enum track_method method_of(struct str method)
{
	static const struct { struct str name; enum track_method method; } rows[] = {
		{ STR_INIT("GET"), TRACK_GET }, { STR_INIT("HEAD"), TRACK_HEAD }, { STR_INIT("POST"), TRACK_POST },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_eq(method, rows[i].name))
			return rows[i].method;
	return TRACK_OTHER;
}

/* A proxy's word for it, where a proxy asks: the last in the last of such fields; and so on while that is a proxy too. */
static bool client_of(struct MHD_Connection *peer, const struct net_list *proxies, struct str forwarded, struct net_addr *out)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(peer, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
	struct str word;

	if (!info || !net_addr_from_sockaddr(info->client_addr, out))
		return false;
	while (forwarded.len && net_list_covers(proxies, out)) {
		if (!str_cut_last(forwarded, ',', &forwarded, &word)) {
			word = forwarded;
			forwarded = STR_EMPTY;
		}
		if (!net_parse_addr(str_trim(word), out))
			return false;
	}
	return true;
}

/* NULL: there is none. */
static bool add_field(struct MHD_Response *response, const char *name, const char *value)
{
	return !value || MHD_add_response_header(response, name, value) == MHD_YES;
}

/* What browsers, caches and search engines shall not do with any answer of ours. */
static bool add_fields(struct MHD_Response *response, const struct track_answer *answer)
{
	static const struct { const char *name, *value; } rows[] = {
		{ "Cache-Control", "no-store, private" },
		{ "Referrer-Policy", "no-referrer" },
		{ "X-Robots-Tag", "noindex, nofollow" },
		{ "X-Content-Type-Options", "nosniff" },
		{ "Content-Security-Policy",
		  "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'; "
		  "frame-ancestors 'none'" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (!add_field(response, rows[i].name, rows[i].value))
			return false;

	bool is_page = answer->type && str_starts(str_from_c(answer->type), STR("text/html"));

	return add_field(response, "Content-Type", answer->type) && add_field(response, "Allow", answer->allow) &&
	       add_field(response, "Connection", answer->closes ? "close" : NULL) &&
	       add_field(response, "Vary", is_page ? "Accept-Language" : NULL);
}

static bool is_pixel(const struct track_answer *answer)
{
	return answer->status == 200 && str_starts(str_from_c(answer->type), STR("image/"));
}

static struct MHD_Response *response_new(const struct track_answer *answer, enum MHD_ResponseMemoryMode mode)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(answer->body.len, (void *)(uintptr_t)answer->body.ptr, mode);

	if (!response || add_fields(response, answer))
		return response;
	MHD_destroy_response(response);
	return NULL;
}

static enum MHD_Result respond(struct endpoint *endpoint, struct MHD_Connection *peer,
			       const struct track_answer *answer, struct arena *arena)
{
	struct MHD_Response *response;
	struct str location;

	if (is_pixel(answer))
		return MHD_queue_response(peer, answer->status, endpoint->pixel);
	response = response_new(answer, MHD_RESPMEM_MUST_COPY);
	if (!response)
		return MHD_NO;

	bool ok = !answer->location.len ||
		  (arena_copy(arena, answer->location, &location) &&
		   add_field(response, "Location", location.ptr));
	enum MHD_Result result = ok ? MHD_queue_response(peer, answer->status, response) : MHD_NO;

	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result answer_call(struct endpoint *endpoint, struct MHD_Connection *peer, const char *path,
				   const char *method, const struct call *call)
{
	struct config *config = config_acquire();
	struct fields fields = fields_of(peer);
	struct track_request request = {
		.method = method_of(str_from_c(method)),
		.path = str_from_c(path),
		.is_doubtful = is_doubtful(&fields),
		.host = fields.last[FIELD_HOST],
		.lang = str_from_c(MHD_lookup_connection_value(peer, MHD_GET_ARGUMENT_KIND, "lang")),
		.accept_language = field(peer, "Accept-Language"),
		.user_agent = field(peer, "User-Agent"),
		.is_prefetch = is_prefetch(peer),
		.body = call->body.len ? buf_view(&call->body) : STR_EMPTY,
	};
	struct track_answer answer;
	struct arena arena;

	cut_target(&request.path, &request.host);
	request.has_client = client_of(peer, &config->tracking_proxies, fields.last[FIELD_FORWARDED], &request.client);
	arena_init(&arena, ANSWER_MEMORY);
	track_answer(endpoint->tracker, config, &request, &arena, &answer);

	enum MHD_Result result = respond(endpoint, peer, &answer, &arena);

	if (result == MHD_YES && answer.is_counted)
		ledger_add(endpoint->ledger, &answer.hit);
	if (result == MHD_YES && answer.is_lost)
		ledger_lose(endpoint->ledger);
	arena_clear(&arena);
	config_release(config);
	return result;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *peer, const char *path, const char *method,
				  const char *version, const char *upload, size_t *upload_size, void **state)
{
	struct endpoint *endpoint = arg;
	struct call *call = *state;

	(void)version;
	if (!call) {                            /* the fields are here, the body is not */
		call = *state = calloc(1, sizeof *call);
		if (call)
			buf_init(&call->body, ENDPOINT_BODY_MAX);
		return call ? MHD_YES : MHD_NO;
	}
	if (*upload_size) {
		buf_add(&call->body, str_slice(str_of(upload, *upload_size), 0, ENDPOINT_BODY_MAX - call->body.len));
		*upload_size = 0;
		return call->body.failed ? MHD_NO : MHD_YES;    /* NO: hung up on, and may come again */
	}
	peers_heard(&endpoint->peers,
		    MHD_get_connection_info(peer, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context);
	return answer_call(endpoint, peer, path, method, call);
}

static void on_peer(void *arg, struct MHD_Connection *peer, void **seat, enum MHD_ConnectionNotificationCode what)
{
	struct endpoint *endpoint = arg;

	if (what == MHD_CONNECTION_NOTIFY_STARTED)
		*seat = peers_enter(&endpoint->peers, MHD_get_connection_info(peer, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd);
	else
		peers_leave(&endpoint->peers, *seat);
}

static void on_end(void *arg, struct MHD_Connection *peer, void **state, enum MHD_RequestTerminationCode why)
{
	struct call *call = *state;

	(void)arg;
	(void)peer;
	(void)why;
	if (!call)
		return;
	buf_clear(&call->body);
	free(call);
	*state = NULL;
}

/* A path ends where its text ends, not at "%00": what holds one stays as it came, and is nothing of ours. */
static size_t unescape(void *arg, struct MHD_Connection *peer, char *text)
{
	(void)arg;
	(void)peer;
	return strstr(text, "%00") ? strlen(text) : MHD_http_unescape(text);
}

bool endpoint_open(const struct config *config, struct tracker *tracker, struct ledger *ledger, struct endpoint **out,
		   struct err *err)
{
	struct sockaddr_storage address;
	struct track_answer pixel;
	struct endpoint *endpoint;
	socklen_t address_len;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (!net_parse_listen(config->tracking_listen, &address, &address_len))
		return err_set(err, ERR_CONFIG, "tracking.listen: " STR_FMT " is no ADDRESS:PORT",
			       STR_ARG(config->tracking_listen));
	endpoint = calloc(1, sizeof *endpoint);
	if (!endpoint)
		return err_memory(err);
	track_answer_pixel(&pixel);
	*endpoint = (struct endpoint){
		.tracker = tracker, .ledger = ledger, .pixel = response_new(&pixel, MHD_RESPMEM_PERSISTENT),
	};
	if (!endpoint->pixel) {
		free(endpoint);
		return err_memory(err);
	}
	peers_init(&endpoint->peers, ENDPOINT_PEERS_MAX);
	endpoint->daemon = MHD_start_daemon(
		MHD_USE_EPOLL_INTERNAL_THREAD | (address.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0), 0, NULL, NULL,
		on_request, endpoint, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address, MHD_OPTION_NOTIFY_COMPLETED,
		on_end, NULL, MHD_OPTION_NOTIFY_CONNECTION, on_peer, endpoint, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL,
		MHD_OPTION_THREAD_POOL_SIZE, cores < 1 ? 1u : cores > POOL_MAX ? POOL_MAX : (unsigned)cores,
		MHD_OPTION_CONNECTION_LIMIT, ENDPOINT_PEERS_MAX + SENT_AWAY_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		ENDPOINT_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, ENDPOINT_MEMORY, MHD_OPTION_END);
	if (!endpoint->daemon) {
		peers_clear(&endpoint->peers);
		MHD_destroy_response(endpoint->pixel);
		free(endpoint);
		return err_set(err, ERR_CONFIG,
			       "tracking.listen: cannot listen on " STR_FMT " (is another program there?)",
			       STR_ARG(config->tracking_listen));
	}
	*out = endpoint;
	return true;
}

void endpoint_close(struct endpoint *endpoint)
{
	if (!endpoint)
		return;
	MHD_stop_daemon(endpoint->daemon);
	peers_clear(&endpoint->peers);
	MHD_destroy_response(endpoint->pixel);
	free(endpoint);
}
