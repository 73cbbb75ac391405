/* milter/track: what the endpoint says to whom, and what it counts; a real store in a directory of its own. */
#include "t/lib/configured.h"
#include "t/lib/shortage.h"
#include "t/lib/store_fake.h"
#include "t/lib/unit.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "milter/track/agents.h"
#include "milter/track/answer.h"
#include "milter/track/deny.h"
#include "milter/track/page.h"
#include "policy/suppress.h"

#define HOST STR("track.acme.example")
#define DESTINATION STR("https://example.org/a?b=1&c=%E3%81%82#d")
#define BROWSER STR("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0")

static struct config *config;
static struct token_ring ring;
static struct tracker tracker;
static struct arena arena;

static void open_tracker(void)
{
	static int runs;
	char key[4096], keys[300];
	struct store *store;
	struct err err;

	memset(keys, 0, sizeof keys);
	snprintf(keys, sizeof keys, "7 ");
	for (size_t i = 0; i < 2 * TOKEN_KEY_LEN; i++)
		keys[2 + i] = "0123456789abcdef"[i * 5 % 16];
	snprintf(key, sizeof key, "%s", unit_file("tokens", str_from_c(keys)));
	config = configured("sekisho.yaml",
			    "node: n\nstate_dir: %s/state%d\ntracking: {key_file: %s}\n"
			    "tenants: {acme: {match: [{auth: a}], tracking: {host: track.acme.example, opens: true}}}\n",
			    unit_dir(), (int)getpid() + runs++, key);
	token_ring_init(&ring);
	ck_assert_msg(token_ring_load(&ring, config->token_key_file, &err), "%s", err.text);
	ck_assert_msg(store_open(config, &store, &err), "%s", err.text);
	tracker_init(&tracker, store, &ring);
	arena_init(&arena, 16 << 20);
}

static void close_tracker(void)
{
	tracker_clear(&tracker);
	store_close(tracker.store);
	token_ring_clear(&ring);
	config_free(config);
	arena_clear(&arena);
	clock_set(0);
}

/* "/c/TOKEN" */
static struct str path_sealed(const struct token *token, struct str host)
{
	struct holding *keys = token_ring_acquire(&ring);
	struct token_sealer *sealer;
	struct buf text;
	struct str out;
	struct err err;

	buf_init(&text, TOKEN_MAX);
	buf_printf(&text, "/%c/", (char)token->purpose);
	ck_assert(token_sealer_new(token_ring_keys(keys), &sealer, &err) && token_seal(sealer, token, host, &text, &err));
	ck_assert(arena_copy(&arena, buf_view(&text), &out));
	token_sealer_free(sealer);
	token_ring_release(&ring, keys);
	buf_clear(&text);
	return out;
}

static struct str link_of(enum token_purpose purpose, const char *tenant, struct str url, struct str host)
{
	const struct token token = {
		.purpose = purpose, .tenant = str_from_c(tenant), .message = STR("spring"), .link = purpose == TOKEN_CLICK ? 3 : 0,
		.recipient = purpose == TOKEN_UNSUBSCRIBE ? STR("Reader@example.net") : STR("\1\2\3\4\5\6\7\10"), .url = url,
	};

	return path_sealed(&token, host);
}

static struct str link_to(const char *recipient, int link)
{
	const struct token token = { .purpose = TOKEN_CLICK, .tenant = STR("acme"), .message = STR("m"), .url = DESTINATION,
				     .recipient = str_from_c(recipient), .link = (uint16_t)link };

	return path_sealed(&token, HOST);
}

static struct track_answer ask(enum track_method method, struct str path, struct str host, struct str body)
{
	struct track_request request = { .method = method, .path = path, .host = host, .user_agent = BROWSER, .body = body,
					 .accept_language = STR("en") };
	struct track_answer answer;

	request.has_client = net_parse_addr(STR("198.51.100.77"), &request.client);
	track_answer(&tracker, config, &request, &arena, &answer);
	return answer;
}

enum what { CLICK, OPEN, UNSUBSCRIBE, OTHER_TENANT, SCRIPT, ROBOTS, NOTHING };

static struct str path_of(enum what what)
{
	switch (what) {
	case CLICK: return link_of(TOKEN_CLICK, "acme", DESTINATION, HOST);
	case OPEN: return link_of(TOKEN_OPEN, "acme", STR_EMPTY, HOST);
	case UNSUBSCRIBE: return link_of(TOKEN_UNSUBSCRIBE, "acme", STR_EMPTY, HOST);
	case OTHER_TENANT: return link_of(TOKEN_CLICK, "gone", DESTINATION, HOST);
	case SCRIPT: return link_of(TOKEN_CLICK, "acme", STR("javascript:alert(1)"), HOST);
	case ROBOTS: return STR("/robots.txt");
	case NOTHING: break;
	}
	return STR("/");
}

#define ONE_CLICK STR_INIT("List-Unsubscribe=One-Click")
#define MULTIPART STR_INIT("--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\nOne-Click\r\n--b--\r\n")
static const struct {
	const char *name;
	enum what what;
	enum track_method method;
	struct str host, body;
	unsigned status;
	bool leads, counts;
} rows[] = {
	{ "click", CLICK, TRACK_GET, STR_INIT("track.acme.example"), STR_INIT(""), 302, true, true },
	{ "click, port and case in the host", CLICK, TRACK_GET, STR_INIT("Track.Acme.Example:443"), STR_INIT(""), 302, true, true },
	{ "click, HEAD", CLICK, TRACK_HEAD, STR_INIT("track.acme.example"), STR_INIT(""), 302, true, false },
	{ "click, POST", CLICK, TRACK_POST, STR_INIT("track.acme.example"), STR_INIT(""), 405, false, false },
	{ "click, another's host", CLICK, TRACK_GET, STR_INIT("track.evil.example"), STR_INIT(""), 404, false, false },
	{ "click, no host", CLICK, TRACK_GET, STR_INIT(""), STR_INIT(""), 404, false, false },
	{ "click of a tenant that is gone", OTHER_TENANT, TRACK_GET, STR_INIT("track.acme.example"), STR_INIT(""), 302, true, false },
	{ "click to a script", SCRIPT, TRACK_GET, STR_INIT("track.acme.example"), STR_INIT(""), 404, false, false },
	{ "open", OPEN, TRACK_GET, STR_INIT("track.acme.example"), STR_INIT(""), 200, false, true },
	{ "open, HEAD", OPEN, TRACK_HEAD, STR_INIT("track.acme.example"), STR_INIT(""), 200, false, false },
	{ "open, another's host", OPEN, TRACK_GET, STR_INIT("track.evil.example"), STR_INIT(""), 200, false, false },
	{ "unsubscribe asks", UNSUBSCRIBE, TRACK_GET, STR_INIT("track.acme.example"), STR_INIT(""), 200, false, false },
	{ "unsubscribe, HEAD", UNSUBSCRIBE, TRACK_HEAD, STR_INIT("track.acme.example"), STR_INIT(""), 200, false, false },
	{ "unsubscribe", UNSUBSCRIBE, TRACK_POST, STR_INIT("track.acme.example"), ONE_CLICK, 200, false, true },
	{ "unsubscribe, multipart", UNSUBSCRIBE, TRACK_POST, STR_INIT("track.acme.example"), MULTIPART, 200, false, true },
	{ "unsubscribe, multipart, a name without quotes", UNSUBSCRIBE, TRACK_POST, STR_INIT("track.acme.example"),
	  STR_INIT("--b\r\nContent-Disposition: form-data; name=List-Unsubscribe\r\n\r\nOne-Click\r\n--b--\r\n"), 200, false, true },
	{ "unsubscribe, empty body", UNSUBSCRIBE, TRACK_POST, STR_INIT("track.acme.example"), STR_INIT(""), 400, false, false },
	{ "unsubscribe, another's host", UNSUBSCRIBE, TRACK_POST, STR_INIT("track.evil.example"), ONE_CLICK, 404, false, false },
	{ "unsubscribe, PUT", UNSUBSCRIBE, TRACK_OTHER, STR_INIT("track.acme.example"), ONE_CLICK, 405, false, false },
	{ "robots", ROBOTS, TRACK_GET, STR_INIT("any"), STR_INIT(""), 200, false, false },
	{ "nothing", NOTHING, TRACK_GET, STR_INIT("any"), STR_INIT(""), 404, false, false },
	{ "nothing, POST", NOTHING, TRACK_POST, STR_INIT("any"), STR_INIT(""), 405, false, false },
};
START_TEST(answers)
{
	struct track_answer answer = ask(rows[_i].method, path_of(rows[_i].what), rows[_i].host, rows[_i].body);
	struct suppression entry;
	struct err err;
	bool found;

	ck_assert_msg(answer.status == rows[_i].status, "%s: %u", rows[_i].name, answer.status);
	ck_assert_msg(str_eq(answer.location, rows[_i].leads ? DESTINATION : STR_EMPTY), "%s: " STR_FMT, rows[_i].name,
		      STR_ARG(answer.location));
	ck_assert_msg(answer.is_counted == rows[_i].counts, "%s", rows[_i].name);
	ck_assert(answer.is_counted == false || (str_eq(answer.hit.message, STR("spring")) && answer.hit.flags == 0));
	ck_assert(suppress_find(tracker.store, STR("acme"), STR("reader@example.net"), &arena, &entry, &found, &err));
	ck_assert_msg(found == (rows[_i].counts && rows[_i].what == UNSUBSCRIBE), "%s: suppressed", rows[_i].name);
}
END_TEST

/* A mail provider that asks twice, a page that is loaded again: one unsubscription. Once it was undone, the next one counts. */
START_TEST(unsubscribed_once)
{
	static const bool counts[] = { true, false, true };
	struct err err;
	bool was;

	for (size_t i = 0; i < 3; i++) {
		struct track_answer answer = ask(TRACK_POST, path_of(UNSUBSCRIBE), HOST, STR("List-Unsubscribe=One-Click"));

		ck_assert_uint_eq(answer.status, 200);
		ck_assert_msg(answer.is_counted == counts[i], "time %zu", i);
		if (i == 1)
			ck_assert(suppress_remove(tracker.store, STR("acme"), STR("reader@example.net"), &was, &err) && was);
	}
}
END_TEST

/* One character changed, taken away or put in, anywhere: nobody is led, nothing counts, nobody is unsubscribed. */
START_TEST(forgeries)
{
	static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_%=.";
	struct str good[] = { path_of(CLICK), path_of(OPEN), path_of(UNSUBSCRIBE) };
	struct arena keep = arena;
	uint64_t seed = 12345;

	arena_init(&arena, 1 << 20);
	for (int i = 0; i < 1000000; i++) {
		struct str from = good[i % 3];
		char text[512];
		size_t at, kind;

		ck_assert_uint_lt(from.len, sizeof text - 1);
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		memcpy(text, from.ptr, from.len);
		at = 3 + (size_t)(seed >> 33) % (from.len - 3);
		kind = (seed >> 20) % 4;
		if (kind == 3) {
			at = 1;                 /* another purpose */
			text[1] = "cou"[((size_t)(strchr("cou", text[1]) - "cou") + 1) % 3];
		} else if (kind == 2) {
			from.len = at;
		} else {
			text[at] = alphabet[(seed >> 50) % (sizeof alphabet - 1)];
		}
		if (kind < 2 && text[at] == from.ptr[at])
			continue;

		struct track_answer answer = ask(i % 2 ? TRACK_GET : TRACK_POST, str_of(text, from.len), HOST,
						 STR("List-Unsubscribe=One-Click"));

		ck_assert_msg(answer.location.len == 0 && !answer.is_counted, "%.*s", (int)from.len, text);
		ck_assert(answer.status != 200 || str_eq(str_from_c(answer.type), STR("image/gif")));
		arena_reset(&arena);
	}
	arena_clear(&arena);
	arena = keep;
}
END_TEST

static const struct { const char *name; struct deny_entry entry; unsigned click, open; } denials[] = {
	{ "tenant", { DENY_TENANT, STR_INIT("") }, 410, 0 },
	{ "message", { DENY_MESSAGE, STR_INIT("spring") }, 410, 0 },
	{ "another message", { DENY_MESSAGE, STR_INIT("summer") }, 302, 1 },
	{ "host", { DENY_HOST, STR_INIT("EXAMPLE.org") }, 410, 1 },
	{ "a host that ends alike", { DENY_HOST, STR_INIT("ample.org") }, 302, 1 },
};
/* As a second does it. */
static void forget_denials(void)
{
	deny_cache_clear(&tracker.denied);
	deny_cache_init(&tracker.denied);
}

START_TEST(denied)
{
	struct err err;
	bool was;

	ck_assert_msg(deny_add(tracker.store, STR("acme"), &denials[_i].entry, &was, &err) && !was, "%s", err.text);
	ck_assert(deny_add(tracker.store, STR("acme"), &denials[_i].entry, &was, &err) && was);

	forget_denials();
	struct track_answer click = ask(TRACK_GET, path_of(CLICK), HOST, STR_EMPTY);

	ck_assert_msg(click.status == denials[_i].click, "%s: %u", denials[_i].name, click.status);
	ck_assert_int_eq(click.is_counted, click.status == 302);
	ck_assert_int_eq(ask(TRACK_GET, path_of(OPEN), HOST, STR_EMPTY).is_counted, denials[_i].open);
	ck_assert_uint_eq(ask(TRACK_GET, path_of(CLICK), HOST, STR_EMPTY).status, click.status);
	ck_assert(deny_remove(tracker.store, STR("acme"), &denials[_i].entry, &was, &err) && was);
	forget_denials();
	ck_assert_uint_eq(ask(TRACK_GET, path_of(CLICK), HOST, STR_EMPTY).status, 302);
}
END_TEST

/* A link has many ways to write the host that is denied. */
START_TEST(denied_however_written)
{
	static const struct { struct str host, url; } hosts[] = {
		{ STR_INIT("bad.example"), STR_INIT("https://u:p@BAD.example.:8443/x") },
		{ STR_INIT("Bad.Example."), STR_INIT("http://b%61d.example?x") },
		{ STR_INIT("xn--wgv71a119e.jp"), STR_INIT("http://%E6%97%A5%E6%9C%AC%E8%AA%9E.jp/") },
		{ STR_INIT("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e.jp"), STR_INIT("http://xn--wgv71a119e.jp/") },
		{ STR_INIT("[2001:DB8::1]"), STR_INIT("http://[2001:db8::1]:80/") },
		{ STR_INIT("https://bad.example/login?x=1"), STR_INIT("http://bad.example/y") },
		{ STR_INIT("bad.example:8080"), STR_INIT("https://bad.example:8080/") },
		{ STR_INIT("//bad.example/?u=http://good.example/"), STR_INIT("https://bad.example") },
		{ STR_INIT("bad.example/?u=http://good.example/"), STR_INIT("http://bad.example?u=http://good.example/") },
		{ STR_INIT("ftp://bad.example"), STR_INIT("http://bad.example/") },
	};
	struct deny_entry entry = { .kind = DENY_HOST };
	struct err err;
	bool was;

	ck_assert(deny_host_key(&arena, hosts[_i].host, &entry.name));
	ck_assert_msg(deny_add(tracker.store, STR("acme"), &entry, &was, &err), "%s", err.text);
	forget_denials();
	ck_assert_uint_eq(ask(TRACK_GET, link_of(TOKEN_CLICK, "acme", hosts[_i].url, HOST), HOST, STR_EMPTY).status, 410);
	ck_assert(deny_remove(tracker.store, STR("acme"), &entry, &was, &err) && was);
	forget_denials();
}
END_TEST

START_TEST(no_host)
{
	static const struct str words[] = {
		STR_INIT("*.bad.example"), STR_INIT("2001:db8::1"), STR_INIT("https://"), STR_INIT("bad example"),
	};
	struct deny_entry entry = { .kind = DENY_HOST };
	struct err err;
	bool was;

	ck_assert(deny_host_key(&arena, words[_i], &entry.name));
	ck_assert(!deny_add(tracker.store, STR("acme"), &entry, &was, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
}
END_TEST

/* Tokens here were made on day 0. */
START_TEST(expired)
{
	static const struct { int64_t expire_days, day; unsigned click; bool opens; } steps[] = {
		{ 0, 20000, 302, true }, { 30, 30, 302, true }, { 30, 31, 410, false }, { 30, 20000, 410, false },
	};
	struct config mine = *config, *before = config;

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		mine.tracking_expire_us = steps[i].expire_days * DAY_US;
		clock_set(jst_day_start_us(steps[i].day));
		config = &mine;

		struct track_answer click = ask(TRACK_GET, path_of(CLICK), HOST, STR_EMPTY);
		bool opens = ask(TRACK_GET, path_of(OPEN), HOST, STR_EMPTY).is_counted;
		unsigned asked = ask(TRACK_GET, path_of(UNSUBSCRIBE), HOST, STR_EMPTY).status;

		config = before;
		ck_assert_msg(click.status == steps[i].click && click.is_counted == (click.status == 302), "step %zu: %u", i,
			      click.status);
		ck_assert_uint_eq(click.location.len, click.status == 302 ? DESTINATION.len : 0);
		ck_assert_int_eq(opens, steps[i].opens);
		ck_assert_uint_eq(asked, 200);
	}
}
END_TEST

/* Keys of one digit, and no more to seal with than the file has. */
static void write_keys(const char *text_of_8)
{
	char text[2 * (2 * TOKEN_KEY_LEN + 16)];
	struct err err;

	snprintf(text, sizeof text, "7 %0*d\n", 2 * TOKEN_KEY_LEN, 5);
	if (text_of_8)
		snprintf(text + strlen(text), sizeof text - strlen(text), "8 %0*d%s\n", 2 * TOKEN_KEY_LEN, 6, text_of_8);
	unit_file("tokens", str_from_c(text));
	token_ring_load(&ring, config->token_key_file, &err);
}

static bool says(struct str body, const char *what)
{
	return str_find(body, str_from_c(what)) < body.len;
}

static int open_nothing(const char *path, int flags, mode_t mode)
{
	(void)path;
	(void)flags;
	(void)mode;
	errno = EMFILE;
	return -1;
}

/* A key that the endpoint was not told of, because the milter was first: its links are followed. A broken file changes nothing. */
START_TEST(new_key)
{
	const struct io_calls before = io_calls;
	struct track_answer answer;
	struct str first, second;
	struct token_ring asked;
	struct err err;

	write_keys(NULL);
	token_ring_init(&asked);
	ck_assert_msg(token_ring_load(&asked, config->token_key_file, &err), "%s", err.text);
	tracker.tokens = &asked;
	first = path_of(CLICK);
	write_keys("");
	second = path_of(CLICK);
	ck_assert(!str_eq(first, second));
	write_keys(" and more");
	ck_assert_uint_eq(ask(TRACK_GET, second, HOST, STR_EMPTY).status, 404);
	ck_assert_uint_eq(ask(TRACK_GET, first, HOST, STR_EMPTY).status, 302);
	write_keys("");
	io_calls.open = open_nothing;                  /* for a while; the file does not change meanwhile */
	answer = ask(TRACK_GET, second, HOST, STR_EMPTY);
	ck_assert_uint_eq(answer.status, 503);
	ck_assert(!says(answer.body, "<form"));        /* it would be answered with 405 */
	io_calls = before;
	ck_assert_uint_eq(ask(TRACK_GET, second, HOST, STR_EMPTY).status, 302);
	ck_assert_uint_eq(ask(TRACK_GET, first, HOST, STR_EMPTY).status, 302);
	token_ring_clear(&asked);
}
END_TEST

/* Whichever allocation fails: who asks hears what is so, in a page that fits, and a hit is counted or said to be lost. */
START_TEST(short_of_memory)
{
	static const struct { enum what what; enum track_method method; unsigned status; struct str body; } asked[] = {
		{ CLICK, TRACK_GET, 302, STR_INIT("") },      { OPEN, TRACK_GET, 200, STR_INIT("") },
		{ UNSUBSCRIBE, TRACK_GET, 200, STR_INIT("") }, { UNSUBSCRIBE, TRACK_POST, 200, ONE_CLICK },
	};
	bool is_hit = asked[_i].what != UNSUBSCRIBE, is_met = true;
	char text[TOKEN_MAX + 8];
	struct str path = path_of(asked[_i].what);

	memcpy(text, path.ptr, path.len);
	path = str_of(text, path.len);
	for (int n = 1; is_met; n++) {
		arena_clear(&arena);
		arena_init(&arena, 256 << 10);
		shortage_begin(n);

		struct track_answer answer = ask(asked[_i].method, path, HOST, asked[_i].body);
		bool is_page = answer.type && str_eq(str_from_c(answer.type), STR("text/html; charset=utf-8"));

		is_met = shortage_end();
		ck_assert_msg(answer.status == asked[_i].status || (is_met && answer.status == 503 && asked[_i].what != OPEN),
			      "allocation %d: %u", n, answer.status);
		ck_assert_msg(!is_hit || answer.status == 503 || answer.is_counted || answer.is_lost, "allocation %d is told nowhere", n);
		ck_assert(!is_page || answer.status == 503 || says(answer.body, "</html>"));
		ck_assert_msg(answer.status != 503 || says(answer.body, "<form") <= (asked[_i].method == TRACK_POST), STR_FMT,
			      STR_ARG(answer.body));
	}
}
END_TEST

static int64_t counted(const char *name)
{
	struct str key, value;
	bool found;
	int64_t n = 0;
	struct err err;

	ck_assert(arena_printf(&arena, &key, "sekisho:{acme}:hits:%s", name));
	ck_assert_msg(tracker.store->ops->get(tracker.store, key, &arena, &value, &found, &err), "%s", err.text);
	ck_assert(!found || num_parse_i64(value, &n));
	return n;
}

START_TEST(counts)
{
	struct hit hit = { .kind = HIT_CLICK, .time_us = INT64_C(1790000000) * US_PER_S, .tenant = STR("acme"), .message = STR("spring"),
			   .reader = STR("0102030405060708"), .link = 3, .url = DESTINATION };
	struct err err;
	bool forgotten;
	size_t removed;

	for (int i = 0; i < 4; i++) {
		hit.flags = i == 0 ? HIT_FLAG_BURST : 0;        /* scanners come first; then the reader, six times */
		ck_assert_msg(hit_count(tracker.store, (const struct hit *[]){ &hit, &hit }, 2, DAY_US, &arena, &err), "%s",
			      err.text);
	}
	ck_assert_int_eq(counted("message:spring:clicks"), 8);
	ck_assert_int_eq(counted("message:spring:clicks.flagged"), 2);
	ck_assert_int_eq(counted("message:spring:clicks.unique"), 1);
	ck_assert_int_eq(counted("message:spring:link:3"), 8);
	ck_assert_int_eq(counted("message:spring:link:3.flagged"), 2);
	ck_assert_int_eq(counted("day:2026-09-21:clicks"), 8);
	ck_assert(hit_forget(tracker.store, STR("acme"), hit.reader, &removed, &err));
	ck_assert_uint_eq(removed, 1);
	ck_assert_int_eq(counted("reader:0102030405060708:spring:clicks"), 0);
	ck_assert(hit_is_forgotten(tracker.store, STR("acme"), hit.reader, &arena, &forgotten, &err) && forgotten);
	ck_assert(hit_is_forgotten(tracker.store, STR("acme"), STR("0102030405060709"), &arena, &forgotten, &err) && !forgotten);
	clock_set(clock_now_us() + 3000 * DAY_US);     /* links do not die, nor does this */
	ck_assert(hit_is_forgotten(tracker.store, STR("acme"), hit.reader, &arena, &forgotten, &err) && forgotten);
}
END_TEST

/* Who hears that he is forgotten is, whatever was refused on the way. */
START_TEST(forgets_whole)
{
	const struct hit hits[] = {
		{ .kind = HIT_OPEN, .time_us = INT64_C(1790000000) * US_PER_S, .tenant = STR("acme"), .message = STR("spring"),
		  .reader = STR("0102030405060708") },
		{ .kind = HIT_OPEN, .time_us = INT64_C(1790000000) * US_PER_S, .tenant = STR("acme"), .message = STR("summer"),
		  .reader = STR("0102030405060708") },
	};
	bool is_met = true;
	struct err err;
	size_t removed;

	for (int n = 1; is_met; n++) {
		ck_assert(hit_count(tracker.store, (const struct hit *[]){ &hits[0], &hits[1] }, 2, DAY_US, &arena, &err));
		ck_assert_int_gt(counted("reader:0102030405060708:spring:opens"), 0);
		shortage_begin(n);

		bool ok = hit_forget(tracker.store, STR("acme"), hits[0].reader, &removed, &err);

		is_met = shortage_end();
		ck_assert(ok || is_met);
		ck_assert_msg(!ok || (counted("reader:0102030405060708:spring:opens") == 0 &&
				      counted("reader:0102030405060708:summer:opens") == 0), "allocation %d", n);
	}
}
END_TEST

/* Messages that share a name: link 1 of one is not that of another. */
START_TEST(counts_no_links_of_many_messages)
{
	const struct hit hit = { .kind = HIT_CLICK, .time_us = INT64_C(1790000000) * US_PER_S, .tenant = STR("acme"),
				 .message = STR("anonymous"), .link = 3, .url = DESTINATION };
	struct err err;

	ck_assert_msg(hit_count(tracker.store, (const struct hit *[]){ &hit }, 1, DAY_US, &arena, &err), "%s", err.text);
	ck_assert_int_eq(counted("message:anonymous:clicks"), 1);
	ck_assert_int_eq(counted("message:anonymous:link:3"), 0);
}
END_TEST

static int noted;

static bool note(struct store *st, struct str key, struct str value, int64_t ttl_us, struct err *err)
{
	noted += str_eq(key, STR("sekisho:{acme}:hits:message:spring:url:3")) && str_eq(value, DESTINATION) && ttl_us == DAY_US;
	(void)st;
	(void)err;
	return true;
}

/* A disk is not waited for once a link. */
START_TEST(notes_where_a_link_leads)
{
	const struct hit hit = { .kind = HIT_CLICK, .time_us = INT64_C(1790000000) * US_PER_S, .tenant = STR("acme"),
				 .message = STR("spring"), .link = 3, .url = DESTINATION };
	static struct store_fake fake;
	struct store_ops ops;

	store_fake_init(&fake);
	ops = *fake.store.ops;
	ops.note = note;
	fake.store.ops = &ops;
	fake.failing = FAKE_PUT;
	noted = 0;
	ck_assert(hit_count(&fake.store, (const struct hit *[]){ &hit, &hit }, 2, DAY_US, &arena, NULL));
	ck_assert_int_eq(noted, 1);
	store_fake_clear(&fake);
}
END_TEST

/* Redis is away, and this relay counts alone: what can only be noted there costs no count. */
START_TEST(counts_without_notes)
{
	const struct hit hit = { .kind = HIT_CLICK, .time_us = INT64_C(1790000000) * US_PER_S, .tenant = STR("acme"),
				 .message = STR("spring"), .link = 3, .url = DESTINATION };
	static struct store_fake fake;
	struct err err;

	store_fake_init(&fake);
	fake.failing = FAKE_PUT;
	ck_assert(!hit_count(&fake.store, (const struct hit *[]){ &hit, &hit }, 2, DAY_US, &arena, &err));
	ck_assert_int_eq(err.kind, ERR_BUSY);
	ck_assert_ptr_nonnull(store_fake_find(&fake, "sekisho:{acme}:hits:day:2026-09-21:clicks"));
	ck_assert_int_eq(store_fake_find(&fake, "sekisho:{acme}:hits:message:spring:clicks")->total, 2);
	store_fake_clear(&fake);
}
END_TEST

/* Several links of one message within two seconds; one link twice; the same an hour later. */
START_TEST(bursts)
{
	static const struct { int link; int64_t at_s; bool is_burst; } steps[] = {
		{ 1, 0, false }, { 2, 1, true }, { 2, 2, false }, { 3, 10, false }, { 1, 11, true }, { 1, 3600, false },
	};

	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		clock_set((INT64_C(1790000000) + steps[i].at_s) * US_PER_S);

		struct hit hit = ask(TRACK_GET, link_to("12345678", steps[i].link), HOST, STR_EMPTY).hit;

		ck_assert_msg((hit.flags == HIT_FLAG_BURST) == steps[i].is_burst, "step %zu", i);
	}
}
END_TEST

/* One tag in some three thousand is made of letters alone; `track forget` knows him by his digits all the same. */
START_TEST(reader_of_letters)
{
	ck_assert_str_is(ask(TRACK_GET, link_to("+pv.wPa:", 1), HOST, STR_EMPTY).hit.reader, STR("2b70762e7750613a"));
}
END_TEST

/* Who they are is not known, for the message had several recipients: then where they are says it, however much of that is kept. */
START_TEST(bursts_of_several)
{
	static const struct { const char *client; uint16_t link; bool is_burst; } steps[] = {
		{ "198.51.100.77", 1, false }, { "198.51.100.78", 2, false }, { "198.51.100.78", 3, true }, { "203.0.113.9", 1, false },
	};
	static const enum client_address kept[] = { CLIENT_TRUNCATED, CLIENT_FULL, CLIENT_NONE };
	struct track_request request = { .method = TRACK_GET, .host = HOST, .user_agent = BROWSER, .has_client = true };
	struct config mine = *config;

	mine.tracking_client = kept[_i];
	clock_set(INT64_C(1790000000) * US_PER_S);
	for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct track_answer answer;

		request.path = link_to("", steps[i].link);
		ck_assert(net_parse_addr(str_from_c(steps[i].client), &request.client));
		track_answer(&tracker, &mine, &request, &arena, &answer);
		ck_assert_msg(answer.is_counted && (answer.hit.flags == HIT_FLAG_BURST) == steps[i].is_burst, "step %zu", i);
	}
}
END_TEST

static const struct { struct str agent; bool is_machine; } agent_rows[] = {
	{ STR_INIT(""), true },
	{ STR_INIT("Mozilla/5.0"), true },
	{ STR_INIT("Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)"), true },
	{ STR_INIT("python-requests/2.31"), true },
	{ STR_INIT("facebookexternalhit/1.1"), true },
	{ STR_INIT("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"), false },
	{ STR_INIT("Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148"), false },
	{ STR_INIT("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36 Edg/126.0.0.0"), false },
};
START_TEST(agents)
{
	ck_assert_msg(agents_is_machine(agent_rows[_i].agent) == agent_rows[_i].is_machine, STR_FMT, STR_ARG(agent_rows[_i].agent));
}
END_TEST

static const struct { const char *text; bool is_machine; } network_rows[] = {
	{ "66.249.84.1", true }, { "40.107.3.4", true }, { "2a01:111:f400:1::1", true }, { "198.51.100.1", false }, { "2001:db8::1", false },
};
START_TEST(networks)
{
	struct net_addr addr;

	ck_assert(net_parse_addr(str_from_c(network_rows[_i].text), &addr));
	ck_assert_msg(agents_is_machine_network(&addr) == network_rows[_i].is_machine, "%s", network_rows[_i].text);
}
END_TEST

static const struct { const char *field; enum page_language want; } language_rows[] = {
	{ "", PAGE_JA },          { "ja", PAGE_JA },           { "en-US,en;q=0.9,ja;q=0.8", PAGE_EN }, { "en;q=0.5, ja-JP;q=0.7", PAGE_JA },
	{ "de, fr;q=0.5", PAGE_EN }, { "ja;q=0, en;q=0.1", PAGE_EN }, { "jam, javanese", PAGE_EN },     { "JA", PAGE_JA },
	{ ";;;,,=q;", PAGE_EN },  { "ja;q=x", PAGE_EN },
};
START_TEST(languages)
{
	ck_assert_msg(page_language_of(str_from_c(language_rows[_i].field)) == language_rows[_i].want, "%s", language_rows[_i].field);
}
END_TEST

/* What an address holds cannot become markup. */
START_TEST(page_is_escaped)
{
	struct buf page;

	buf_init(&page, 1 << 20);
	page_write(PAGE_ASK, PAGE_EN, STR("\"<script>&\"\xff\n@x.example"), &page);
	ck_assert_uint_eq(str_find(buf_view(&page), STR("<script")), page.len);
	ck_assert_uint_lt(str_find(buf_view(&page), STR("&quot;&lt;script>&amp;&quot;\xef\xbf\xbd\xef\xbf\xbd@x.example")), page.len);
	buf_clear(&page);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("track");
	TCase *tc = tcase_create("track");

	unit_dir();
	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 900);            /* a million forgeries, on a busy machine under ThreadSanitizer */
	tcase_add_checked_fixture(tc, open_tracker, close_tracker);
	unit_add_rows(tc, answers, rows);
	tcase_add_test(tc, unsubscribed_once);
	tcase_add_test(tc, forgeries);
	unit_add_rows(tc, denied, denials);
	tcase_add_loop_test(tc, denied_however_written, 0, 10);
	tcase_add_loop_test(tc, no_host, 0, 4);
	tcase_add_test(tc, expired);
	tcase_add_test(tc, new_key);
	tcase_add_loop_test(tc, short_of_memory, 0, 4);
	tcase_add_test(tc, counts);
	tcase_add_test(tc, counts_no_links_of_many_messages);
	tcase_add_test(tc, forgets_whole);
	tcase_add_test(tc, notes_where_a_link_leads);
	tcase_add_test(tc, counts_without_notes);
	tcase_add_test(tc, bursts);
	tcase_add_loop_test(tc, bursts_of_several, 0, 3);
	tcase_add_test(tc, reader_of_letters);
	unit_add_rows(tc, agents, agent_rows);
	unit_add_rows(tc, networks, network_rows);
	unit_add_rows(tc, languages, language_rows);
	tcase_add_test(tc, page_is_escaped);
	return unit_main(suite);
}
