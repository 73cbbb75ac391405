/*
 * Any octets as a request to the endpoint, a line an element of it: method, path, host, language, agent, client, the rest is
 * the body. "@" in the path is a good click token, "#" one to unsubscribe. Nobody is led to what is not http or https, and
 * only the good one leads at all.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/io.h"
#include "config/config_report.h"
#include "milter/track/answer.h"
#include "t/lib/store_fake.h"
#include "t/lib/unit.h"

#define HOST STR("track.acme.example")
#define DESTINATION STR("https://example.org/a?b=1&c=%E3%81%82#d")
#define KEYS "7 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
	     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\n"
#define YAML "node: n\nstate_dir: /nonexistent\ntracking: {key_file: /nonexistent}\n" \
	     "tenants: {acme: {match: [{auth: a}], tracking: {host: track.acme.example, opens: true}}}\n"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const int replay_rounds;
const int replay_rounds = 300;         /* tokens are opened, and a store is made each time */

static struct config *config;
static struct token_ring ring;
static struct buf click, leave;        /* the good tokens */

static const char *write_file(const char *name, const char *text)
{
	static char path[4096];

	snprintf(path, sizeof path, "%s/%s", unit_dir(), name);
	if (!io_replace_file(path, str_from_c(text), 0600, NULL))
		abort();
	return path;
}

static void seal(enum token_purpose purpose, struct buf *out)
{
	const struct token token = { .purpose = purpose, .tenant = STR("acme"), .message = STR("spring"), .link = 1,
				     .recipient = STR("reader@example.net"),
				     .url = purpose == TOKEN_CLICK ? DESTINATION : STR_EMPTY };
	struct token_sealer *sealer;
	struct token_keys *keys;

	buf_init(out, TOKEN_MAX);
	if (!token_keys_read(STR(KEYS), &keys, NULL) || !token_sealer_new(keys, &sealer, NULL) ||
	    !token_seal(sealer, &token, HOST, out, NULL))
		abort();
	token_sealer_free(sealer);
	token_keys_free(keys);
}

static void prepare(void)
{
	struct config_report report;
	struct err err;

	if (config)
		return;
	token_ring_init(&ring);
	if (!token_ring_load(&ring, str_from_c(write_file("tokens", KEYS)), &err) ||
	    !config_load(write_file("sekisho.yaml", YAML), &config, &report))
		abort();
	config_report_clear(&report);
	seal(TOKEN_CLICK, &click);
	seal(TOKEN_UNSUBSCRIBE, &leave);
}

static struct str with_tokens(struct str path, struct buf *out)
{
	for (size_t i = 0; i < path.len; i++) {
		if (path.ptr[i] == '@')
			buf_add(out, buf_view(&click));
		else if (path.ptr[i] == '#')
			buf_add(out, buf_view(&leave));
		else
			buf_add_byte(out, path.ptr[i]);
	}
	return buf_view(out);
}

static void ask(struct tracker *tracker, struct str input)
{
	struct track_request request = { .method = TRACK_GET };
	struct track_answer answer;
	struct arena arena;
	struct str line;
	struct buf path;

	buf_init(&path, (size_t)1 << 20);
	arena_init(&arena, (size_t)256 << 10);
	if (str_next(&input, '\n', &line) && line.len)
		request.method = (enum track_method)(1 + (unsigned char)line.ptr[0] % 4);
	str_next(&input, '\n', &request.path);
	request.path = with_tokens(request.path, &path);
	if (str_next(&input, '\n', &request.host) && !request.host.len)
		request.host = HOST;
	str_next(&input, '\n', &request.accept_language);
	str_next(&input, '\n', &request.user_agent);
	if (str_next(&input, '\n', &line))
		request.has_client = net_parse_addr(line, &request.client);
	request.body = input;
	track_answer(tracker, config, &request, &arena, &answer);
	assert(answer.status >= 200 && answer.status < 500);
	assert(!answer.location.len || (answer.status == 302 && str_eq(answer.location, DESTINATION)));
	assert(!answer.is_counted || request.method == TRACK_GET || request.method == TRACK_POST);
	buf_clear(&path);
	arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tracker tracker;
	struct store_fake fake;

	prepare();
	clock_set(INT64_C(1795230000000000));
	store_fake_init(&fake);
	tracker_init(&tracker, &fake.store, &ring);
	ask(&tracker, str_of((const char *)data, size));
	tracker_clear(&tracker);
	store_fake_clear(&fake);
	return 0;
}
