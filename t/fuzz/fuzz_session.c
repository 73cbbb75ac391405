/*
 * Any octets as what an MTA says, a line an event: its first octet says which, the rest is its argument. Sessions end in the
 * middle of anything. Whatever was said, an answer is one line of printable ASCII with a code of its class, a message that
 * passes has a record's id, and the chunks of a new body come to an end.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/io.h"
#include "milter/record/sign.h"
#include "milter/session.h"
#include "t/lib/unit.h"

#define KEYS "1 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f" \
	     "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\n"
#define EVENTS_MAX 400
#define CHUNKS_MAX 100000

static const char yaml[] =
	"node: gate.test\n"
	"state_dir: %1$s/state\n"
	"milter: { listen: \"unix:%1$s/sock\", transaction_memory_max: 256KiB }\n"
	"tracking: { key_file: %1$s/tokens }\n"
	"relay_log: { dir: %1$s/log, key_file: %1$s/key }\n"
	"log: { to: stderr, level: error }\n"
	"tenants:\n"
	"  a:\n"
	"    match: [ { auth: \"a*\" } ]\n"
	"    senders: [ \"@a.example\" ]\n"
	"    from: senders\n"
	"    recipients_max: 3\n"
	"    size_max: 4KiB\n"
	"    quotas: [ { name: hourly, limit: 1000, per: hour, key: sender } ]\n"
	"  b:\n"
	"    match: [ { auth: \"b*\" } ]\n"
	"    tracking: { host: t.b.example, opens: true, clicks: true, text_links: true, list_unsubscribe: true }\n"
	"  c:\n"
	"    match: [ { client: 192.0.2.0/24 } ]\n"
	"    quotas: [ { name: none, limit: 0, per: hour, on_excess: hold } ]\n"
	"  d:\n"
	"    match: [ { auth: \"d*\" } ]\n"
	"    return_path: bounce.d.example\n";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const int replay_rounds;
const int replay_rounds = 100;         /* each message waits for the disk */

static struct gate *gate;

static void write_file(const char *name, const char *text)
{
	char path[4096];

	snprintf(path, sizeof path, "%s/%s", unit_dir(), name);
	if (!io_replace_file(path, str_from_c(text), 0600, NULL))
		abort();
}

static void close_gate(void)
{
	gate_close(gate);
	config_publish(NULL);
}

static void open_gate(void)
{
	static struct gate room;
	char text[8192], path[4096], id[SIGN_ID_LEN + 1];
	struct config_report report;
	struct config *config;
	struct err err;

	snprintf(text, sizeof text, yaml, unit_dir());
	write_file("tokens", KEYS);
	write_file("gate.yaml", text);
	snprintf(path, sizeof path, "%s/key", unit_dir());
	if (!sign_key_new(path, id, &err))
		abort();
	snprintf(path, sizeof path, "%s/gate.yaml", unit_dir());
	if (!config_load(path, &config, &report) || !gate_open(&room, config, &err))
		abort();
	config_report_clear(&report);
	config_publish(config);
	gate = &room;
	atexit(close_gate);
}

static void check_reply(enum session_answer answer, const struct reply *reply)
{
	size_t len = strlen(reply->text);

	if (answer == SESSION_CONTINUE)
		return;
	assert(len > 0 && len <= REPLY_TEXT_MAX);
	for (size_t i = 0; i < len; i++)
		assert(reply->text[i] >= ' ' && reply->text[i] < 0x7f);
	if (answer == SESSION_REPLY)
		assert((reply->code / 100 == 4 || reply->code / 100 == 5) && reply->enhanced[0] - '0' == reply->code / 100);
}

static void end(struct session *s, const struct session_macros *macros, struct reply *reply)
{
	struct session_changes changes;
	size_t chunks = 0;
	struct str chunk;

	while (!session_take_turn(s, 1000))
		continue;

	enum session_answer answer = session_eom(s, macros, &changes, reply);

	check_reply(answer, reply);
	assert((answer != SESSION_REPLY) == (changes.record_id.len > 0));
	while (answer != SESSION_REPLY && changes.has_body && session_next_chunk(s, &chunk))
		assert(chunk.len > 0 && ++chunks < CHUNKS_MAX);
	session_done(s);
}

/* Where libmilter stands: it calls nothing out of this order. */
enum stage { READY, MAIL, RCPT, DATA };

/* One event; false: the session was refused, and an MTA would begin anew. */
static enum stage event(struct session *s, enum stage stage, char what, struct str argument)
{
	const struct session_macros macros = { .queue_id = argument, .auth_authen = argument };
	const struct session_macros local = { .queue_id = STR("4QfQ1") };
	enum session_answer answer = SESSION_CONTINUE;
	struct str name = argument, value = STR_EMPTY;
	struct reply reply;

	if (what == 'M' && stage == READY) {
		str_cut(argument, '\t', &name, &value);
		const struct session_macros who = { .auth_authen = value };

		answer = session_mail(s, name, &value, 1, &who, &reply);
		check_reply(answer, &reply);
		if (answer == SESSION_CONTINUE)
			return MAIL;
		session_abort(s);
	} else if (what == 'R' && (stage == MAIL || stage == RCPT)) {
		answer = session_rcpt(s, argument, &reply);
		check_reply(answer, &reply);
		return answer == SESSION_CONTINUE ? RCPT : stage;
	} else if (what == 'D' && stage == RCPT) {
		answer = session_data(s, argument.len % 2 ? &macros : &local, &reply);
		check_reply(answer, &reply);
		if (answer == SESSION_CONTINUE)
			return DATA;
		session_abort(s);
	} else if (what == 'H' && stage == DATA) {
		str_cut(argument, ':', &name, &value);
		session_header(s, name, value);
		return DATA;
	} else if (what == 'B' && stage == DATA) {
		session_body(s, argument);
		session_body(s, STR("\r\n"));
		return DATA;
	} else if (what == 'E' && stage == DATA) {
		end(s, &local, &reply);
	} else if (what == 'A') {
		session_abort(s);
	} else {
		return stage;
	}
	return READY;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str input = str_of((const char *)data, size), line;
	const struct session_abilities abilities = { .sees_body = true, .can_rewrite = true, .can_readdress = true };
	enum stage stage = READY;
	struct net_addr client;

	if (!gate)
		open_gate();

	struct session *s = session_new(gate, &abilities);

	if (!s)
		abort();
	if (str_next(&input, '\n', &line))
		session_connect(s, net_parse_addr(line, &client) ? &client : NULL, line.len == 0);
	if (str_next(&input, '\n', &line))
		session_helo(s, line);
	for (int i = 0; i < EVENTS_MAX && str_next(&input, '\n', &line); i++)
		if (line.len)
			stage = event(s, stage, line.ptr[0], str_from(line, 1));
	session_free(s);
	return 0;
}
