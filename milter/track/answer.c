#include "milter/track/answer.h"

#include "config/base/clock.h"
#include "config/base/log.h"
#include "config/base/memory.h"
#include "config/base/num.h"
#include "milter/track/agents.h"
#include "milter/track/page.h"
#include "policy/suppress.h"

#define BURST_US (2 * US_PER_S)
#define PAGE_MAX ((size_t)64 << 10)

/* One white pixel that is transparent, in 43 octets. */
static const char pixel[43] = "GIF89a\1\0\1\0\x80\0\0\0\0\0\xff\xff\xff!\xf9\4\1\0\0\0\0,\0\0\0\0\1\0\1\0\0\2\1D\0;";

struct asking {
	struct tracker *tracker;
	const struct config *config;
	const struct track_request *request;
	struct arena *arena;
	struct track_answer *out;
	struct token token;
	bool lacks_keys;               /* they could not be read now */
};

void tracker_init(struct tracker *tracker, struct store *store, struct token_ring *tokens)
{
	*tracker = (struct tracker){ .store = store, .tokens = tokens, .lock = PTHREAD_MUTEX_INITIALIZER };
	deny_cache_init(&tracker->denied);
}

void tracker_clear(struct tracker *tracker)
{
	deny_cache_clear(&tracker->denied);
	pthread_mutex_destroy(&tracker->lock);
}

/* --- answers */

static void answer_page(struct asking *a, unsigned status, enum page page, struct str recipient)
{
	const struct track_request *r = a->request;
	enum page_language language = str_eq(r->lang, STR("ja")) ? PAGE_JA : str_eq(r->lang, STR("en")) ? PAGE_EN :
				      page_language_of(r->accept_language);
	struct buf text;

	buf_init(&text, PAGE_MAX);
	page_write(page, language, recipient, &text);
	a->out->status = status;
	a->out->type = "text/html; charset=utf-8";
	if (text.failed || !arena_copy(a->arena, buf_view(&text), &a->out->body)) {
		a->out->status = 503;
		a->out->body = STR("<!DOCTYPE html><title>503</title>");
	}
	buf_clear(&text);
}

void track_answer_pixel(struct track_answer *out)
{
	*out = (struct track_answer){ .status = 200, .type = "image/gif", .body = { pixel, sizeof pixel } };
}

static void refuse_method(struct asking *a, const char *allow)
{
	answer_page(a, 405, PAGE_WRONG, STR_EMPTY);
	a->out->allow = allow;
}

/* --- what is known of the request */

static bool open_with(struct asking *a, enum token_purpose purpose, struct str text, bool *out_misses_key)
{
	struct holding *keys = token_ring_acquire(a->tracker->tokens);
	bool ok = keys && token_open(token_ring_keys(keys), purpose, token_host(a->request->host), text, a->arena, &a->token);

	*out_misses_key = keys && token_misses_key(token_ring_keys(keys), text);
	token_ring_release(a->tracker->tokens, keys);
	return ok;
}

/* Who rotates keys and tells the milter first makes links that are followed before this program is told. */
static void look_for_keys(struct asking *a)
{
	struct err err;
	bool is_new;

	if (!token_ring_refresh(a->tracker->tokens, a->config->token_key_file, &is_new, &err)) {
		log_error("a link names a key that is not known, and the key file has changed: %s", err.text);
		a->lacks_keys = err.kind != ERR_CONFIG;
	} else if (is_new)
		log_info("a link names a key that was not known, and the key file has changed: its keys are in force");
}

static bool open_token(struct asking *a, enum token_purpose purpose, struct str text)
{
	bool misses_key;

	if (open_with(a, purpose, text, &misses_key))
		return true;
	if (misses_key)
		look_for_keys(a);
	return misses_key && open_with(a, purpose, text, &misses_key);
}

/* Tokens are ours, but a key may have been lost: nothing that is not plainly a place on the web leaves this program. */
static bool is_destination(struct str url)
{
	if (!str_starts_nocase(url, STR("http://")) && !str_starts_nocase(url, STR("https://")))
		return false;
	for (size_t i = 0; i < url.len; i++)
		if (url.ptr[i] <= ' ' || url.ptr[i] >= 0x7f)
			return false;
	return true;
}

static bool is_denied(struct asking *a)
{
	struct str list, message, host;
	struct err err;

	if (!hit_readable(a->token.message, a->arena, &message) || !deny_host_key(a->arena, a->token.url, &host))
		err_memory(&err);
	else if (deny_recall(&a->tracker->denied, a->tracker->store, a->token.tenant, a->arena, &list, &err))
		return deny_stops(list, message, host);
	log_error("denied links of tenant " STR_FMT ": %s; the link is followed", STR_ARG(a->token.tenant), err.text);
	return false;
}

/* A day is the finest that a token says: it is good to the end of its last one. */
static bool has_expired(const struct asking *a)
{
	int64_t days = a->config->tracking_expire_us / DAY_US;

	return days && jst_day(clock_now_us()) - a->token.day > days;
}

/* Another link of the same message, for the same reader, this soon: somebody tries them all. Where the reader is not
 * known the whole address stands for him, however little of it is recorded. */
static bool is_burst(struct tracker *tracker, const struct track_request *request, const struct hit *hit)
{
	struct str address = str_of((const char *)request->client.octets, request->has_client ? sizeof request->client.octets : 0);
	uint64_t whose = str_hash(hit->message) * 31 + str_hash(hit->reader.len ? hit->reader : address);
	struct track_click *last = &tracker->clicks[whose % TRACK_CLICKS];

	pthread_mutex_lock(&tracker->lock);
	bool is = last->whose == whose && last->link != hit->link && hit->time_us - last->time_us < BURST_US;

	*last = (struct track_click){ .whose = whose, .link = hit->link, .time_us = hit->time_us };
	pthread_mutex_unlock(&tracker->lock);
	return is;
}

/* As much of an address as the operator wants to keep. */
static bool keep_client(struct asking *a, struct str *out)
{
	struct net_addr addr = a->request->client;
	bool is_v4 = memcmp(addr.octets, "\0\0\0\0\0\0\0\0\0\0\xff\xff", 12) == 0;
	char text[INET6_ADDRSTRLEN];

	*out = STR_EMPTY;
	if (!a->request->has_client || a->config->tracking_client == CLIENT_NONE)
		return true;
	if (a->config->tracking_client == CLIENT_TRUNCATED)
		memset(addr.octets + (is_v4 ? 15 : 6), 0, is_v4 ? 1 : 10);
	net_format_addr(&addr, text);
	return arena_copy(a->arena, str_from_c(text), out);
}

static void count(struct asking *a, enum hit_kind kind)
{
	const struct track_request *r = a->request;
	struct hit hit = { .kind = kind,
			   .time_us = clock_now_us(),
			   .tenant = a->token.tenant,
			   .link = a->token.link,
			   .url = a->token.url };
	bool is_address = kind == HIT_UNSUBSCRIBE;

	if (r->method == TRACK_HEAD)
		return;
	/* A tenant that is gone has nobody left to count for. */
	if (!config_find_tenant(a->config, hit.tenant))
		return;
	if (is_address)
		hit.recipient = a->token.recipient;
	if (!hit_readable(a->token.message, a->arena, &hit.message) || !keep_client(a, &hit.client) ||
	    !arena_copy(a->arena, str_slice(r->user_agent, 0, 256), &hit.agent) ||
	    !(is_address ? hit_reader(hit.tenant, hit.recipient, a->arena, &hit.reader) :
			   hit_reader_of_tag(a->token.recipient, a->arena, &hit.reader)))
		return;
	hit.flags |= agents_is_machine(r->user_agent) ? HIT_FLAG_AGENT : 0;
	hit.flags |= r->has_client && agents_is_machine_network(&r->client) ? HIT_FLAG_NETWORK : 0;
	hit.flags |= r->is_prefetch ? HIT_FLAG_PREFETCH : 0;
	hit.flags |= kind == HIT_CLICK && is_burst(a->tracker, r, &hit) ? HIT_FLAG_BURST : 0;
	a->out->hit = hit;
	a->out->is_counted = true;
}

/* --- the three purposes */

static void answer_open(struct asking *a, struct str text)
{
	if (a->request->method > TRACK_HEAD) {
		refuse_method(a, "GET, HEAD");
		return;
	}
	track_answer_pixel(a->out);
	if (open_token(a, TOKEN_OPEN, text) && !has_expired(a) && !is_denied(a))
		count(a, HIT_OPEN);
}

static void answer_click(struct asking *a, struct str text)
{
	if (a->request->method > TRACK_HEAD) {
		refuse_method(a, "GET, HEAD");
	} else if (!open_token(a, TOKEN_CLICK, text) || !is_destination(a->token.url)) {
		answer_page(a, 404, PAGE_UNKNOWN, STR_EMPTY);
	} else if (has_expired(a)) {
		answer_page(a, 410, PAGE_EXPIRED, STR_EMPTY);
	} else if (is_denied(a)) {
		answer_page(a, 410, PAGE_DENIED, STR_EMPTY);
	} else {
		a->out->status = 302;
		a->out->location = a->token.url;
		count(a, HIT_CLICK);
	}
}

/* RFC 8058 3.1: the body says so, in either form of a form; a name in the longer one may do without quotes. */
static bool says_one_click(struct str body)
{
	struct str name = str_from(body, str_find(body, STR("List-Unsubscribe")));

	return str_find(name, STR("One-Click")) < name.len;
}

/* Mail providers ask twice, and pages are loaded again. */
static bool is_unsubscribed(struct asking *a)
{
	struct suppression entry;
	struct err err;
	bool found;

	return suppress_find(a->tracker->store, a->token.tenant, a->token.recipient, a->arena, &entry, &found, &err) && found &&
	       entry.source == SUPPRESS_UNSUBSCRIBE && entry.scope.len == 0;
}

static void unsubscribe(struct asking *a)
{
	const struct suppression entry = {
		.recipient = a->token.recipient,
		.source = SUPPRESS_UNSUBSCRIBE,
		.reason = STR("one-click"),
		.by = STR("sekisho-track"),
		.since_us = clock_now_us(),
	};
	bool is_again = is_unsubscribed(a);
	struct err err;

	if (suppress_add(a->tracker->store, a->token.tenant, &entry, &err)) {
		answer_page(a, 200, PAGE_DONE, a->token.recipient);
		if (!is_again)
			count(a, HIT_UNSUBSCRIBE);
		return;
	}
	log_error("unsubscription from tenant " STR_FMT ": %s", STR_ARG(a->token.tenant), err.text);
	answer_page(a, 503, PAGE_LATER, STR_EMPTY);
}

static void answer_unsubscribe(struct asking *a, struct str text)
{
	if (a->request->method == TRACK_OTHER)
		refuse_method(a, "GET, HEAD, POST");
	else if (!open_token(a, TOKEN_UNSUBSCRIBE, text) || !a->token.recipient.len)
		answer_page(a, 404, PAGE_UNKNOWN, STR_EMPTY);
	else if (a->request->method != TRACK_POST)
		answer_page(a, 200, PAGE_ASK, a->token.recipient);
	else if (!says_one_click(a->request->body))
		answer_page(a, 400, PAGE_WRONG, STR_EMPTY);
	else
		unsubscribe(a);
}

static void answer(struct asking *a)
{
	struct str path = a->request->path;

	if (a->request->is_doubtful) {
		answer_page(a, 400, PAGE_WRONG, STR_EMPTY);
		a->out->closes = true;
	} else if (str_starts(path, STR("/o/"))) {
		answer_open(a, str_from(path, 3));
	} else if (str_starts(path, STR("/c/"))) {
		answer_click(a, str_from(path, 3));
	} else if (str_starts(path, STR("/u/"))) {
		answer_unsubscribe(a, str_from(path, 3));
	} else if (a->request->method > TRACK_HEAD) {
		refuse_method(a, "GET, HEAD");
	} else if (str_eq(path, STR("/robots.txt"))) {
		a->out->status = 200;
		a->out->type = "text/plain; charset=utf-8";
		a->out->body = STR("User-agent: *\nDisallow: /\n");
	} else {
		answer_page(a, 404, PAGE_UNKNOWN, STR_EMPTY);
	}
}

void track_answer(struct tracker *tracker, const struct config *config, const struct track_request *request,
		  struct arena *arena, struct track_answer *out)
{
	struct asking a = { .tracker = tracker, .config = config, .request = request, .arena = arena, .out = out };
	unsigned long shortages = memory_shortages();

	*out = (struct track_answer){ .location = STR_EMPTY };
	answer(&a);
	if (!a.lacks_keys && memory_shortages() == shortages)
		return;
	/* What had no memory or no keys to be read with is no bad request. */
	if (out->status >= 400) {
		bool asks_again = request->method == TRACK_POST && str_starts(request->path, STR("/u/"));

		out->allow = NULL;
		answer_page(&a, 503, asks_again ? PAGE_LATER : PAGE_SHORT, STR_EMPTY);
	}
	out->is_lost = out->status < 400 && !out->is_counted && request->method != TRACK_HEAD;
}
