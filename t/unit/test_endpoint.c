/* milter/track/endpoint: HTTP as browsers, proxies and ruder peers speak it, over a real socket, down to the record of a hit. */
#include "t/lib/unit.h"

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "milter/track/endpoint.h"
#include "t/lib/configured.h"
#include "t/lib/relaylog.h"
#include "t/lib/store_fake.h"

#define BROWSER "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
#define GOES "Host: track.acme.example\r\nConnection: close\r\n"

static struct store_fake fake;
static struct relaylog action;
static struct config *config;
static struct token_ring ring;
static struct tracker tracker;
static struct ledger *ledger;
static struct endpoint *endpoint;
static in_port_t port;
static const char *proxies = "[127.0.0.0/8, 192.0.2.0/24]";

static in_port_t free_port(void)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof at;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	ck_assert(bind(fd, (struct sockaddr *)&at, len) == 0 && getsockname(fd, (struct sockaddr *)&at, &len) == 0);
	close(fd);
	return ntohs(at.sin_port);
}

static void load(void)
{
	char keys[PATH_MAX], name[32], text[2 * TOKEN_KEY_LEN + 8];
	struct err err;
	size_t parent = (size_t)(strrchr(action.dir, '/') - action.dir);

	snprintf(name, sizeof name, "%d.keys", (int)getpid());
	snprintf(text, sizeof text, "7 %0*d\n", 2 * TOKEN_KEY_LEN, 1);
	snprintf(keys, sizeof keys, "%s", unit_file(name, str_from_c(text)));
	snprintf(name, sizeof name, "%d.yaml", (int)getpid());
	config = configured(name, "node: n1\nrelay_log: {dir: %.*s, key_file: none}\ntracking: {key_file: %s, listen: \"127.0.0.1:%d\", proxies: %s}\n"
			    "tenants: {acme: {match: [{auth: a}], tracking: {host: track.acme.example, opens: true, clicks: true}}}\n",
			    (int)parent, action.dir, keys, port, proxies);
	snprintf(action.dir + parent, sizeof action.dir - parent, "/action");
	token_ring_init(&ring);
	ck_assert_msg(token_ring_load(&ring, config->token_key_file, &err), "%s", err.text);
}

static void setup(void)
{
	struct err err;

	relaylog_setup(&action);               /* sets the clock, too */
	port = free_port();
	load();
	store_fake_init(&fake);
	tracker_init(&tracker, &fake.store, &ring);
	ck_assert_msg(ledger_open(config, &fake.store, &ledger, &err), "%s", err.text);
	ck_assert_msg(endpoint_open(config, &tracker, ledger, &endpoint, &err), "%s", err.text);
	config_publish(config);
}

static void stop(void)
{
	endpoint_close(endpoint);
	ledger_close(ledger);
	endpoint = NULL;
	ledger = NULL;
}

static void teardown(void)
{
	stop();
	tracker_clear(&tracker);
	token_ring_clear(&ring);
	config_publish(NULL);
	store_fake_clear(&fake);
	clock_set(0);
}

/* All that comes back until the connection is closed, as a C string. Static. */
static const char *ask(const char *request)
{
	static struct buf answer = { .max = 1 << 20 };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char chunk[4096];
	ssize_t n;

	buf_reset(&answer);
	ck_assert(connect(fd, (struct sockaddr *)&to, sizeof to) == 0);
	ck_assert(send(fd, request, strlen(request), MSG_NOSIGNAL) == (ssize_t)strlen(request));
	while ((n = recv(fd, chunk, sizeof chunk, 0)) > 0)
		buf_add(&answer, str_of(chunk, (size_t)n));
	close(fd);
	buf_add_byte(&answer, '\0');
	return answer.ptr;
}

static const struct { const char *name, *request, *status, *has; } rows[] = {
	{ "a pixel of nobody", "GET /o/x HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 200 ", "image/gif" },
	{ "its head", "HEAD /o/x HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 200 ", "no-store" },
	{ "a forged link", "GET /c/AAAA HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 404 ", "text/html" },
	{ "in Japanese", "GET /c/AAAA HTTP/1.1\r\n" GOES "Accept-Language: ja\r\n\r\n", "HTTP/1.1 404 ", "Vary: Accept-Language" },
	{ "in the language that was chosen", "GET /c/AAAA?lang=ja HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 404 ", "lang=\"ja\"" },
	{ "for robots", "GET /robots.txt HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 200 ", "Disallow: /" },
	{ "what there is not", "GET / HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 404 ", "noindex" },
	{ "another method", "DELETE /c/AAAA HTTP/1.1\r\n" GOES "\r\n", "HTTP/1.1 405 ", "Allow: " },
	{ "a body for a link", "POST /c/AAAA HTTP/1.1\r\n" GOES "Content-Length: 3\r\n\r\na=b", "HTTP/1.1 405 ", "Allow: " },
	{ "a forged one-click", "POST /u/AAAA HTTP/1.1\r\n" GOES "Content-Length: 26\r\n\r\nList-Unsubscribe=One-Click", "HTTP/1.1 404 ", "" },
	{ "an old reader, who names no host", "GET /o/x HTTP/1.0\r\n\r\n", "HTTP/1.", "image/gif" },
};

START_TEST(answered)
{
	const char *answer = ask(rows[_i].request);

	ck_assert_msg(strncmp(answer, rows[_i].status, strlen(rows[_i].status)) == 0, "%s: %s", rows[_i].name, answer);
	ck_assert_msg(strstr(answer, rows[_i].has) != NULL, "%s: %s", rows[_i].name, answer);
	stop();
	ck_assert_ptr_null(strstr(relaylog_story(&action, false), "acme"));     /* nothing was counted */
}
END_TEST

/* libmicrohttpd 0.9 answers 400, 1.0 hangs up; neither counts. */
START_TEST(no_http)
{
	ck_assert_ptr_null(strstr(ask("EHLO peer\r\n\r\n"), " 200 "));
	ck_assert_msg(strncmp(ask(rows[0].request), rows[0].status, strlen(rows[0].status)) == 0, "the next one is not answered");
	stop();
	ck_assert_ptr_null(strstr(relaylog_story(&action, false), "acme"));
}
END_TEST

/* More of a request's head than anybody needs; the next one is answered. */
START_TEST(too_large)
{
	static char request[ENDPOINT_MEMORY * 2];
	size_t len = (size_t)snprintf(request, sizeof request, "GET /o/x HTTP/1.1\r\n" GOES "X-Long: ");

	memset(request + len, 'x', sizeof request - 5 - len);
	memcpy(request + sizeof request - 5, "\r\n\r\n", 5);
	ck_assert(strncmp(ask(request), "HTTP/1.1 4", 10) == 0);
	ck_assert(strncmp(ask(rows[0].request), "HTTP/1.1 200 ", 13) == 0);
}
END_TEST

/* A body that is larger than what is looked at is read to its end, and its client hears an answer. */
START_TEST(large_body)
{
	static char request[ENDPOINT_BODY_MAX * 4];
	size_t len = (size_t)snprintf(request, sizeof request, "POST /u/AAAA HTTP/1.1\r\n" GOES "Content-Length: %zu\r\n\r\n",
				      3 * ENDPOINT_BODY_MAX);

	memset(request + len, 'x', 3 * ENDPOINT_BODY_MAX);
	ck_assert(strncmp(ask(request), "HTTP/1.1 404 ", 13) == 0);
}
END_TEST

static const char *click(char room[4096], const char *fields)
{
	const struct token token = { .purpose = TOKEN_CLICK, .tenant = STR("acme"), .message = STR("spring"), .link = 3,
				     .recipient = STR("12345678"), .url = STR("https://example.org/a?b=1#c") };
	struct holding *keys = token_ring_acquire(&ring);
	struct token_sealer *sealer;
	struct buf text;
	struct err err;

	buf_init(&text, TOKEN_MAX);
	ck_assert(token_sealer_new(token_ring_keys(keys), &sealer, &err) &&
		  token_seal(sealer, &token, STR("track.acme.example"), &text, &err));
	snprintf(room, 4096, "GET /c/" STR_FMT " HTTP/1.1\r\n" GOES BROWSER "%s\r\n", STR_ARG(buf_view(&text)), fields);
	token_sealer_free(sealer);
	token_ring_release(&ring, keys);
	buf_clear(&text);
	return room;
}

/* Where it leads; and what is recorded of it: the address that the proxy of this host has put there, and nobody else. */
static const struct { const char *name, *fields, *client, *flags; } clicks[] = {
	{ "no proxy", "", "127.0.0.0", "" },
	{ "a proxy", "X-Forwarded-For: 198.51.100.77\r\n", "198.51.100.0", "" },
	{ "a client that lies to the proxy", "X-Forwarded-For: 203.0.113.9, 198.51.100.77\r\n", "198.51.100.0", "" },
	{ "a proxy that adds a line of its own", "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 198.51.100.77\r\n",
	  "198.51.100.0", "" },
	{ "a proxy behind another", "X-Forwarded-For: 203.0.113.9, 198.51.100.77, 192.0.2.5\r\n", "198.51.100.0", "" },
	{ "nobody but proxies", "X-Forwarded-For: 127.0.0.1,192.0.2.5\r\n", "127.0.0.0", "" },
	{ "a prefetch", "Sec-Purpose: prefetch;prerender\r\n", "127.0.0.0", "\"prefetch\"" },
	{ "another prefetch", "Purpose: preview\r\n", "127.0.0.0", "\"prefetch\"" },
	{ "an old one", "X-Moz: prefetch\r\n", "127.0.0.0", "\"prefetch\"" },
};

START_TEST(clicked)
{
	char request[4096], want[100];
	const char *answer = ask(click(request, clicks[_i].fields));
	struct buf text;

	ck_assert_msg(strncmp(answer, "HTTP/1.1 302 ", 13) == 0 && strstr(answer, "Location: https://example.org/a?b=1#c\r\n"), "%s: %s",
		      clicks[_i].name, answer);
	stop();
	relaylog_read(&action, "2026-11-21.jsonl", &text);
	buf_add_byte(&text, '\0');
	snprintf(want, sizeof want, "\"client\":\"%s\"", clicks[_i].client);
	ck_assert_msg(strstr(text.ptr, "\"event\":\"clicked\"") && strstr(text.ptr, want), "%s: %s", clicks[_i].name, text.ptr);
	ck_assert_msg((strstr(text.ptr, "\"prefetch\"") != NULL) == (clicks[_i].flags[0] != '\0'), "%s: %s", clicks[_i].name, text.ptr);
	buf_clear(&text);
}
END_TEST

/* Who is no proxy cannot say that he is somebody else. */
START_TEST(no_proxy)
{
	char request[4096];
	struct buf text;

	teardown();
	proxies = "[192.0.2.0/24]";
	setup();
	ask(click(request, "X-Forwarded-For: 198.51.100.77\r\n"));
	stop();
	relaylog_read(&action, "2026-11-21.jsonl", &text);
	buf_add_byte(&text, '\0');
	ck_assert_msg(strstr(text.ptr, "\"client\":\"127.0.0.0\"") != NULL, "%s", text.ptr);
	buf_clear(&text);
}
END_TEST

START_TEST(nothing_behind_a_token)
{
	static const char *const tails[] = { "A", "=", "/", "%00", "%00x", "%3Fx" };
	char request[4096], longer[4200];
	const char *end;

	click(request, "");
	end = strstr(request, " HTTP/1.1");
	snprintf(longer, sizeof longer, "%.*s%s%s", (int)(end - request), request, tails[_i], end);
	ck_assert_msg(strncmp(ask(longer), "HTTP/1.1 404 ", 13) == 0, "%s", tails[_i]);
}
END_TEST

/* A proxy may be asked so, and hand it on (RFC 9112 3.2.2); the host of the target is the one that counts. */
START_TEST(whole_target)
{
	static const char *const targets[] = { "http://track.acme.example", "HTTPS://Track.Acme.Example:443" };
	static const char *const others[] = { "http://track.evil.example", "ftp://track.acme.example", "http:/", "//track.acme.example" };
	char request[4096], longer[4200];

	click(request, "");
	for (size_t i = 0; i < 6; i++) {
		snprintf(longer, sizeof longer, "GET %s%s", i < 2 ? targets[i] : others[i - 2], request + 4);
		ck_assert_msg(strncmp(ask(longer), i < 2 ? "HTTP/1.1 302 " : "HTTP/1.1 404 ", 13) == 0, "%.60s", longer);
	}
}
END_TEST

/* Where it is in doubt which host is meant, or where a request ends, nobody is led, and what follows is not looked at. */
START_TEST(doubtful)
{
	static const char *const fields[] = {
		"Host: track.acme.example\r\n", "Content-Length: 0\r\nContent-Length: 9\r\n", "Content-Length : 9\r\n",
		"Content-Length: 9\r\nTransfer-Encoding: chunked\r\n", "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
	};
	char request[4096], twice[2 * 4096];
	const char *answer;

	click(request, fields[_i]);
	memcpy(strstr(request, "Connection: close"), "Connection: Xlose", 17);
	snprintf(twice, sizeof twice, "%s0\r\n\r\n\r\n\r\nGET /o/x HTTP/1.1\r\n" GOES "\r\n", request);
	answer = ask(twice);
	/* libmicrohttpd 1.0 may know one for what it is before we do, and hang up. */
	ck_assert_msg(!answer[0] || strncmp(answer, "HTTP/1.1 400 ", 13) == 0, "%s: %s", fields[_i], answer);
	ck_assert_msg(!strstr(answer, "302 ") && !strstr(answer, "image/gif"), "%s: %s", fields[_i], answer);
	stop();
	ck_assert_str_eq(relaylog_story(&action, false), "begin");
}
END_TEST

/* Its head leads there too, and counts nothing. */
START_TEST(only_looked_at)
{
	char request[4096], head[4200];

	snprintf(head, sizeof head, "HEAD%s", click(request, "") + 3);
	ck_assert(strncmp(ask(head), "HTTP/1.1 302 ", 13) == 0);
	stop();
	ck_assert_str_eq(relaylog_story(&action, false), "begin");
}
END_TEST

START_TEST(taken)
{
	struct endpoint *other = NULL;
	struct err err;

	ck_assert(!endpoint_open(config, &tracker, ledger, &other, &err));
	ck_assert_msg(err.kind == ERR_CONFIG && strstr(err.text, "tracking.listen: cannot listen on 127.0.0.1:"), "%s", err.text);
	ck_assert_ptr_null(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("endpoint");
	TCase *tcase = tcase_create("endpoint");

	tcase_add_checked_fixture(tcase, setup, teardown);
	unit_add_rows(tcase, answered, rows);
	unit_add_rows(tcase, clicked, clicks);
	tcase_add_test(tcase, no_proxy);
	tcase_add_loop_test(tcase, nothing_behind_a_token, 0, 6);
	tcase_add_test(tcase, whole_target);
	tcase_add_loop_test(tcase, doubtful, 0, 5);
	tcase_add_test(tcase, only_looked_at);
	tcase_add_test(tcase, no_http);
	tcase_add_test(tcase, too_large);
	tcase_add_test(tcase, large_body);
	tcase_add_test(tcase, taken);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
