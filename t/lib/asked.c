#include "t/lib/asked.h"

#include <stdio.h>

#include "milter/record/reader.h"

struct asked asked;

/* --- a log with values that repeat, and some that do not */

int asked_some(int n)
{
	asked.seed = asked.seed * 1103515245u + 12345u;
	return (int)(asked.seed >> 16) % n;
}

static const char *const strange[] = { "\"q\\uoted\"@x.example", "\xe3\x81\x82@x.example", "\xff\xfe@x.example", "tab\there@Y.Example",
				       "no-domain", "a@b@odd.example", "UPPER@CASE.EXAMPLE" };

static struct str address(char room[64])
{
	int kind = asked_some(40);

	if (kind < 7)
		return str_from_c(strange[kind]);
	snprintf(room, 64, "user%d@d%d.example", asked_some(400), asked_some(30));
	return str_from_c(room);
}

static void append_some(struct record_writer *writer, bool is_last)
{
	char from[64], to[2][64], queue_id[32], client[40], detail[80];
	struct str recipients[] = { address(to[0]), address(to[1]) };
	struct record_event event = { .event = asked_some(4) ? STR("accepted") : STR("rejected"), .tenant = asked_some(2) ? STR("acme") : STR("ginza"),
				      .from = address(from), .to = recipients, .to_count = (size_t)asked_some(3), .verdict = STR("accept") };
	struct err err = { .text = "" };

	snprintf(queue_id, sizeof queue_id, "4Xv%dz", asked_some(1000000));
	snprintf(client, sizeof client, asked_some(2) ? "192.0.2.%d" : "2001:db8::%x", asked_some(200));
	snprintf(detail, sizeof detail, "{\"message_id\":\"<m%d@mail.example>\"}", asked_some(1000000));
	event.queue_id = str_from_c(queue_id);
	event.client = str_from_c(client);
	event.detail = str_from_c(detail);
	if (asked_some(5) == 0)
		event.rcpt = recipients[0];
	ck_assert_msg(record_append(writer, &event, is_last ? RECORD_DURABLE : RECORD_QUEUED, NULL, &err), "%s", err.text);
}

void asked_write(bool is_sealed)
{
	struct record_writer_config config;
	struct record_writer *writer;
	struct err err = { .text = "" };

	relaylog_setup(&asked.relay);
	config = relaylog_config(&asked.relay);
	config.part_max = 150000;
	if (is_sealed) {
		relaylog_path(&asked.relay, "../ring", asked.ring);
		config.keyring = str_from_c(asked.ring);
		config.is_sealed = true;
		ck_assert(seal_open(config.keyring, STR("relay"), &asked.seal, NULL));
	}
	asked.seed = 11;
	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	for (int day = 0; day < ASKED_DAYS; day++) {
		clock_set(NOON + day * DAY_US);
		for (int i = 0; i < ASKED_RECORDS; i++)
			append_some(writer, i % 100 == 99);
	}
	record_writer_close(writer);
}

void asked_close(void)
{
	seal_close(asked.seal);
	asked.seal = NULL;
}

struct index_work asked_update(bool anew)
{
	struct index_work work;
	struct err err = { .text = "" };

	ck_assert_msg(index_update(asked.relay.dir, asked.seal, anew, NULL, NULL, &work, &err), "%s", err.text);
	return work;
}

/* --- what is asked, and the answer that needs no index: every line, taken apart */

static struct str last_of(struct str address)
{
	struct str left, right;

	return str_cut_last(address, '@', &left, &right) ? right : STR_EMPTY;
}

static bool is_value(enum index_field field, struct str want, const struct record_event *event)
{
	struct str id = STR_EMPTY;
	char angled[80];

	snprintf(angled, sizeof angled, "<" STR_FMT ">", STR_ARG(want));
	record_peek(event->detail, STR("message_id"), &id);
	switch (field) {
	case INDEX_REFERENCE:
		return str_eq_nocase(event->id, want) || str_eq_nocase(event->queue_id, want) || str_eq_nocase(id, str_from_c(angled));
	case INDEX_CLIENT:
		return str_eq_nocase(event->client, want);
	case INDEX_SENDER:
		return str_eq_nocase(event->from, want);
	case INDEX_SENDER_DOMAIN:
		return str_eq_nocase(last_of(event->from), last_of(want));
	case INDEX_RECIPIENT:
	case INDEX_RECIPIENT_DOMAIN:
		break;
	}
	struct str all[3] = { event->rcpt };

	for (size_t i = 0; i < event->to_count && i < 2; i++)
		all[1 + i] = event->to[i];
	for (size_t i = 0; i < 3; i++)
		if (all[i].len && (field == INDEX_RECIPIENT ? str_eq_nocase(all[i], want) : str_eq_nocase(last_of(all[i]), last_of(want))))
			return true;
	return false;
}

static bool is_wanted(void *arg, struct str line, struct arena *scratch)
{
	const struct wish *wish = arg;
	struct record_line record;
	struct err err;

	if (!record_parse(line, scratch, &record, &err) || record.is_erased)
		return false;
	return !wish->field || is_value(wish->field, str_from_c(wish->value), &record.event);
}

/* Upper and lower case are the same, as find.h says; what is sealed and closed has letters of both at random. */
static bool has_text(struct str line, struct str text)
{
	while (line.len >= text.len && !str_starts_nocase(line, text))
		line = str_from(line, 1);
	return line.len >= text.len;
}

bool asked_match(void *arg, struct str line, struct arena *scratch)
{
	return is_wanted(((struct answer *)arg)->wish, line, scratch);
}

bool asked_take(void *arg, struct str line)
{
	struct answer *answer = arg;

	buf_add(&answer->text, line);
	buf_add_byte(&answer->text, '\n');
	return --answer->limit != 0;
}

void asked_expect(struct wish *wish, bool newest_first, struct buf *out)
{
	struct record_reader *reader;
	struct arena scratch;
	struct str line;
	struct buf room;
	bool is_torn, found;

	buf_init(&room, 2 * RECORD_LINE_MAX);
	arena_init(&scratch, 1 << 20);
	ck_assert(record_reader_open(str_from_c(asked.relay.dir), INT64_MIN, INT64_MAX, newest_first, &reader, NULL));
	while (record_reader_next(reader, &line, &is_torn, &found, NULL) && found) {
		arena_reset(&scratch);
		if (asked.seal)
			seal_read_line(asked.seal, line, &room, &line);
		if (is_torn || !is_wanted(wish, line, &scratch) || !has_text(line, wish->text))
			continue;
		buf_add(out, line);
		buf_add_byte(out, '\n');
	}
	record_reader_close(reader);
	arena_clear(&scratch);
	buf_clear(&room);
}

struct find_report asked_find(struct wish *wish, bool newest_first, int limit, struct answer *out)
{
	const struct find_key key = { wish->field, str_from_c(wish->value) };
	const struct find_query query = { .dir = asked.relay.dir, .first_day = INT64_MIN, .last_day = INT64_MAX, .newest_first = newest_first,
					  .keys = &key, .key_count = wish->field != 0, .texts = &wish->text,
					  .text_count = wish->text.len > 0, .seal = asked.seal, .threads = 1 + asked_some(3), .match = asked_match, .found = asked_take, .arg = out };
	struct find_report report;
	struct err err = { .text = "" };

	out->wish = wish;
	out->limit = limit;
	buf_init(&out->text, ASKED_MAX);
	ck_assert_msg(record_find(&query, &report, &err), "%s", err.text);
	return report;
}

static void make_wish(struct wish *wish)
{
	char room[64];

	*wish = (struct wish){ .field = (enum index_field)asked_some(7) };
	switch (wish->field) {
	case INDEX_CLIENT:
		snprintf(wish->value, sizeof wish->value, asked_some(2) ? "192.0.2.%d" : "2001:db8::%x", asked_some(220));
		break;
	case INDEX_REFERENCE:
		snprintf(wish->value, sizeof wish->value, asked_some(2) ? "4Xv%dz" : "m%d@mail.example", asked_some(1000000));
		break;
	default:
		snprintf(wish->value, sizeof wish->value, STR_FMT, STR_ARG(address(room)));
	}
	if (!wish->field || asked_some(4) == 0)
		wish->text = asked_some(2) ? STR("ginza") : STR("4xV99");
}

int64_t asked_compare(int questions)
{
	int64_t bytes = 0;

	for (int i = 0; i < questions; i++) {
		struct wish wish;
		struct answer got;
		struct buf want;
		bool newest_first = asked_some(2);

		make_wish(&wish);
		buf_init(&want, ASKED_MAX);
		asked_expect(&wish, newest_first, &want);
		bytes += asked_find(&wish, newest_first, 0, &got).bytes_read;
		ck_assert_msg(str_eq(buf_view(&got.text), buf_view(&want)), "field %d, %s, text " STR_FMT ": %zu octets, not %zu", (int)wish.field,
			      wish.value, STR_ARG(wish.text), got.text.len, want.len);
		buf_clear(&want);
		buf_clear(&got.text);
	}
	return bytes;
}
