/* milter/record/erase, span: what was to go is gone, nothing else is, and nobody else can do it unseen. */
#include "t/lib/relaylog.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/hex.h"
#include "config/base/io.h"
#include "milter/record/entry.h"
#include "milter/record/erase.h"
#include "milter/record/span.h"

#define DAY1 "2026-11-21.jsonl"

static struct relaylog relay;

static void setup(void)
{
	relaylog_setup(&relay);
	relaylog_days(&relay, 2, 4);
}

/* With the operator's key. */
static enum verify_result verify_by(const char *operator_pub, const char *text)
{
	const struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
						.operator_key_file = str_from_c(operator_pub), .node = STR("mx1"),
						.class_name = STR("relay"), .first_day = INT64_MIN, .last_day = INT64_MAX };
	struct verify_report report;
	enum verify_result result;

	ck_assert(record_verify(&options, &report, NULL));
	result = report.result;
	ck_assert_msg(text ? report.finding_count && str_starts(report.findings[0].text, str_from_c(text)) : report.finding_count == 0,
		      STR_FMT, STR_ARG(report.findings[0].text));
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)result, text ? text : "good", "--operator-key", operator_pub, NULL);
	return result;
}

static enum verify_result verify(const char *text)
{
	struct verify_report report;
	enum verify_result result;

	relaylog_verify(&relay, &report);
	result = report.result;
	if (text)
		ck_assert_msg(report.finding_count && str_starts(report.findings[0].text, str_from_c(text)), STR_FMT,
			      STR_ARG(report.findings[0].text));
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)result, text ? text : "good", NULL);
	return result;
}

static bool try_erase(const struct erase_request *request, struct erase_result *out, struct err *err)
{
	struct record_writer_config config = relaylog_config(&relay);

	return record_erase(&config, request, out, err);
}

static struct erase_result erase(struct str tenant, struct str id)
{
	const struct erase_request request = { .tenant = tenant, .id = id, .reason = STR("contract ended") };
	struct erase_result result;
	struct err err = { .kind = ERR_NONE };

	ck_assert_msg(try_erase(&request, &result, &err), "%s", err.text);
	return result;
}

static bool holds(const char *file, const char *text)
{
	struct buf buf;

	relaylog_read(&relay, file, &buf);
	bool found = str_find(buf_view(&buf), str_from_c(text)) < buf.len;

	buf_clear(&buf);
	return found;
}

START_TEST(a_tenant)
{
	struct erase_result result = erase(STR("acme"), STR_EMPTY);

	ck_assert_int_eq(result.records, 4);
	ck_assert_int_eq(result.files, 2);
	ck_assert_str_eq(relaylog_story(&relay, false),
			 "begin checkpoint - accepted:ginza:1 - accepted:ginza:2 checkpoint "
			 "begin tenants - accepted:ginza:3 - accepted:ginza:4 checkpoint erased erased checkpoint");
	ck_assert(!holds(DAY1, "\"tenant\":\"acme\""));
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	ck_assert_int_eq(erase(STR("acme"), STR_EMPTY).records, 0);
	ck_assert_int_eq(erase(STR("acm"), STR_EMPTY).records, 0);
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
}
END_TEST

/* Somebody puts the file of before back: the chain is the same, and so are all signatures. */
START_TEST(an_old_file_is_back)
{
	struct buf old;

	relaylog_read(&relay, DAY1, &old);
	erase(STR("acme"), STR_EMPTY);
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	relaylog_write(&relay, DAY1, buf_view(&old));
	ck_assert_int_eq(verify(NULL), VERIFY_OK);     /* an erasure may be at it */
	clock_set(clock_now_us() + VERIFY_LATE_US - 60 * US_PER_S);
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	clock_set(clock_now_us() + 60 * US_PER_S);
	ck_assert_int_eq(verify("records that a signed record declares erased are still there, the first of them between 3 and 3"),
			 VERIFY_RETENTION);
	ck_assert_int_eq(erase(STR("acme"), STR_EMPTY).records, 2);
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	buf_clear(&old);
}
END_TEST

START_TEST(one_record)
{
	struct record_event event = { .event = STR("accepted"), .tenant = STR("ginza"), .from = STR("taro@x.example") };
	struct record_writer *writer = relaylog_open(&relay);
	char id[RECORD_ID_LEN + 1];

	ck_assert(record_append(writer, &event, RECORD_DURABLE, id, NULL));
	record_writer_close(writer);
	ck_assert(holds("2026-11-22.jsonl", "taro"));
	ck_assert_int_eq(erase(STR_EMPTY, str_from_c(id)).records, 1);
	ck_assert(!holds("2026-11-22.jsonl", "taro"));
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
}
END_TEST

/* What the log is verified by stays, whoever signs. */
START_TEST(its_own_lines)
{
	struct str rest, line, id, event;
	struct buf text;
	size_t seen = 0;

	erase(STR("acme"), STR_EMPTY);
	relaylog_read(&relay, "2026-11-22.jsonl", &text);
	for (rest = buf_view(&text); str_next(&rest, '\n', &line);) {
		if (!record_peek(line, STR("id"), &id) || !record_peek(line, STR("event"), &event) || str_eq(event, STR("accepted")))
			continue;
		seen++;
		ck_assert_int_eq(erase(STR_EMPTY, id).records, 0);
	}
	ck_assert_uint_eq(seen, 6);                 /* begin tenants checkpoint erased erased checkpoint */
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	buf_clear(&text);
}
END_TEST

/* The daemon writes on while its file is copied under it. */
START_TEST(beside_a_writer)
{
	struct record_writer *writer = relaylog_open(&relay);

	relaylog_append(writer, "accepted", "ginza");
	ck_assert_int_eq(erase(STR("acme"), STR_EMPTY).records, 4);
	relaylog_append(writer, "accepted", "ginza");
	record_writer_close(writer);
	ck_assert_ptr_nonnull(strstr(relaylog_story(&relay, false), "accepted:ginza:6"));
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
}
END_TEST

START_TEST(forged)
{
	relaylog_take_out(&relay, DAY1, 4);
	ck_assert_int_eq(verify("records 4 to 4 were erased, and no signed record"), VERIFY_TAMPERED);
}
END_TEST

/* The operator of several relays has one key. A statement of his about another relay is none about this one, be it a relay that has
 * the name which this one had before, or this very relay and an earlier log. */
static const struct { const char *now, *node, *file; enum verify_result want; } nodes[] = {
	{ "mx1", "mx1", DAY1, VERIFY_OK },
	{ "mx1", "mx2", DAY1, VERIFY_TAMPERED },
	{ "mx2", "mx2", DAY1, VERIFY_OK },
	{ "mx2", "mx1", DAY1, VERIFY_TAMPERED },
	{ "mx1", "mx1", "2026-10-01.jsonl", VERIFY_TAMPERED },    /* of the log that it had before this one */
};
START_TEST(of_another_relay)
{
	const struct verify_options options = { .dir = str_from_c(relay.dir), .public_key_file = str_from_c(relay.pub),
						.operator_key_file = str_from_c(relay.pub), .first_day = INT64_MIN,
						.last_day = INT64_MAX };
	struct record_writer_config config = relaylog_config(&relay);
	struct verify_report report;

	config.node = str_from_c(nodes[_i].now);
	relaylog_take_out(&relay, DAY1, 4);
	relaylog_declare(&config, &relay, nodes[_i].node, nodes[_i].file, 4);
	ck_assert(record_verify(&options, &report, NULL));      /* by somebody who does not know whose log it is */
	ck_assert_int_eq(report.result, nodes[_i].want);
	verify_report_clear(&report);
	relaylog_opinions(&relay, (int)nodes[_i].want, nodes[_i].node, "--node", "", NULL);
}
END_TEST

START_TEST(by_an_operator)
{
	struct sign_key *operator;
	char path[PATH_MAX + 16], id[SIGN_ID_LEN + 1];
	struct erase_request request = { .tenant = STR("acme") };
	struct erase_result result;
	struct buf both;

	snprintf(path, sizeof path, "%s.operator", relay.key);
	ck_assert(sign_key_new(path, id, NULL) && sign_key_load(path, &operator, NULL));
	request.signer = operator;
	ck_assert(try_erase(&request, &result, NULL));
	sign_key_free(operator);
	ck_assert_int_eq(verify("signed with key"), VERIFY_UNKNOWN);    /* its key was not given: it may be the operator's or not */
	ck_assert_int_eq(verify_by(relay.pub, "records 3 to 3 were erased"), VERIFY_TAMPERED);    /* the operator's was, and it is not */
	buf_init(&both, 1 << 16);
	snprintf(path, sizeof path, "%s.operator.pub", relay.key);
	ck_assert_int_eq(verify_by(path, NULL), VERIFY_OK);
	ck_assert(io_read_file(relay.pub, &both, NULL) && io_read_file(path, &both, NULL));
	ck_assert(io_replace_file(relay.pub, buf_view(&both), 0644, NULL));
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	buf_clear(&both);
}
END_TEST

static int renames_left;
static int (*real_rename)(const char *from, const char *to);
static int fail_rename(const char *from, const char *to)
{
	return renames_left-- > 0 ? real_rename(from, to) : -1;
}

START_TEST(interrupted)
{
	struct erase_request request = { .tenant = STR("acme") };
	struct erase_result result;

	real_rename = io_calls.rename;
	io_calls.rename = fail_rename;
	renames_left = _i;
	ck_assert(!try_erase(&request, &result, NULL));
	io_calls.rename = real_rename;
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
	ck_assert_int_eq(erase(STR("acme"), STR_EMPTY).records, 4 - 2 * _i);
	ck_assert(!holds(DAY1, "\"tenant\":\"acme\""));
	ck_assert_int_eq(verify(NULL), VERIFY_OK);
}
END_TEST

/* Longer than any that a line can hold: nobody is told that it has no records. */
START_TEST(a_name_too_long)
{
	static char name[RECORD_LINE_MAX + 1];
	struct erase_result result;
	struct err err = { .kind = ERR_NONE };

	memset(name, 'a', sizeof name);
	ck_assert(!try_erase(&(struct erase_request){ .tenant = str_of(name, sizeof name), .is_dry_run = true }, &result, &err));
	ck_assert_int_ne(err.kind, ERR_NONE);
}
END_TEST

START_TEST(nothing_there)
{
	snprintf(relay.dir, sizeof relay.dir, "%s/nowhere/relay", unit_dir());
	ck_assert_int_eq(erase(STR("acme"), STR_EMPTY).records, 0);
}
END_TEST

static const struct { const char *text; bool ok; int64_t in, out; } span_rows[] = {
	{ "12,15-20,33", true, 17, 21 }, { "12,15-20,33", true, 12, 13 }, { "15-20,12,13,14", true, 14, 21 },
	{ "1-5,3-9", true, 8, 10 },      { "5-3", false, 0, 0 },          { "0", false, 0, 0 },
	{ "a", false, 0, 0 },            { "1-", false, 0, 0 },           { "9223372036854775807", true, INT64_MAX, 1 },
};
START_TEST(span_texts)
{
	struct spans spans = { 0 };
	bool ok = spans_read(&spans, str_from_c(span_rows[_i].text));

	ck_assert_msg(ok == span_rows[_i].ok, "%s", span_rows[_i].text);
	spans_sort(&spans);
	if (ok)
		ck_assert_msg(spans_hold(&spans, span_rows[_i].in) && !spans_hold(&spans, span_rows[_i].out), "%s",
			      span_rows[_i].text);
	spans_clear(&spans);
}
END_TEST

/* However many, cut into as many texts as it takes, and read back the same. */
START_TEST(span_round)
{
	struct spans spans = { 0 }, again = { 0 };
	struct buf out;
	size_t at = 0, texts = 0;

	buf_init(&out, 1 << 20);
	for (int64_t i = 1; i < 30000; i += i % 3 ? 1 : 2)
		ck_assert(spans_add(&spans, i, i));
	while (at < spans.count) {
		buf_reset(&out);
		spans_write(&spans, &at, 5000, &out);
		ck_assert_uint_le(out.len, 5000);
		ck_assert(spans_read(&again, buf_view(&out)));
		texts++;
	}
	ck_assert_uint_gt(texts, 10);
	spans_sort(&again);
	ck_assert_uint_eq(again.count, spans.count);
	ck_assert_mem_eq(again.rows, spans.rows, spans.count * sizeof *spans.rows);
	spans_clear(&spans);
	spans_clear(&again);
	buf_clear(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record erase");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, a_tenant);
	tcase_add_test(tcase, an_old_file_is_back);
	tcase_add_test(tcase, one_record);
	tcase_add_test(tcase, its_own_lines);
	tcase_add_test(tcase, beside_a_writer);
	tcase_add_test(tcase, forged);
	unit_add_rows(tcase, of_another_relay, nodes);
	tcase_add_test(tcase, by_an_operator);
	tcase_add_loop_test(tcase, interrupted, 0, 2);
	tcase_add_test(tcase, a_name_too_long);
	tcase_add_test(tcase, nothing_there);
	unit_add_rows(tcase, span_texts, span_rows);
	tcase_add_test(tcase, span_round);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
