/* milter/record/format, chain, scan, files, sign, entry, tseq: a line made, taken apart and signed. */
#include "t/lib/unit.h"

#include <stdio.h>
#include <sys/stat.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "milter/record/entry.h"
#include "milter/record/files.h"
#include "milter/record/format.h"
#include "milter/record/scan.h"
#include "milter/record/sign.h"
#include "milter/record/tseq.h"

#define T0 INT64_C(1795254245123456)                /* 2026-11-21T18:44:05.123456+09:00 */

static const struct str recipients[] = { STR_INIT("a@x.example"), STR_INIT("\"b \\ c\"@x.example") };
static const struct str actions[] = { STR_INIT("monitor:hourly"), STR_INIT("warn:daily:80") };

static struct record_event full_event(void)
{
	return (struct record_event){
		.event = STR("accepted"), .tenant = STR("acme"), .id = STR("01J00000000000000000000001"), .message = STR("m1"),
		.queue_id = STR("4XyZ"), .host = STR("mx1"), .client = STR("192.0.2.1"), .auth = STR("sales"),
		.helo = STR("he\nlo\x1b[31m"), .tls = STR("TLSv1.3"), .from = STR("\xff\xfe@x.example"), .to = recipients,
		.to_count = 2, .size = 1234, .nrcpt = 2, .subject_hash = STR("ab12"), .verdict = STR("accept"),
		.rule = STR("hourly"), .reply = STR("250 2.0.0 \xe9\x96\xa2\xe6\x89\x80"), .actions = actions, .action_count = 2,
		.rcpt = STR("a@x.example"), .outcome = STR("{\"status\":\"2.0.0\"}"), .detail = STR("{\"a\":[1,{}]}"),
	};
}

static struct str format(const struct record_event *event, const struct record_stamp *stamp, struct buf *out)
{
	unsigned char chain[CHAIN_LEN] = { 0 };
	struct record_body body;
	struct buf text;
	struct err err;

	buf_init(out, 4 * RECORD_LINE_MAX);
	buf_init(&text, RECORD_LINE_MAX);
	ck_assert_msg(record_format_body(event, &text, &body, &err) && record_format_line(body, stamp, chain, out, &err),
		      "%s", err.text);
	buf_clear(&text);
	return buf_view(out);
}

START_TEST(line_is_as_documented)
{
	struct record_event event = full_event();
	struct record_stamp stamp = { .seq = 7, .tseq = 3, .time_us = T0, .clock = STR("degraded"), .salt = { 1, 2, 0xff } };
	struct buf out;
	struct str line = format(&event, &stamp, &out);
	struct str want = STR(
		"{\"seq\":7,\"time\":\"2026-11-21T18:44:05.123456+09:00\",\"event\":\"accepted\",\"tenant\":\"acme\",\"tseq\":3,"
		"\"id\":\"01J00000000000000000000001\",\"message\":\"m1\",\"queue_id\":\"4XyZ\",\"host\":\"mx1\","
		"\"client\":\"192.0.2.1\",\"auth\":\"sales\",\"helo\":\"he\\nlo\\u001b[31m\",\"tls\":\"TLSv1.3\","
		"\"from\":\"\\udcff\\udcfe@x.example\",\"to\":[\"a@x.example\",\"\\\"b \\\\ c\\\"@x.example\"],\"size\":1234,"
		"\"nrcpt\":2,\"subject_hash\":\"ab12\",\"verdict\":\"accept\",\"rule\":\"hourly\","
		"\"reply\":\"250 2.0.0 \xe9\x96\xa2\xe6\x89\x80\",\"actions\":[\"monitor:hourly\",\"warn:daily:80\"],"
		"\"rcpt\":\"a@x.example\",\"outcome\":{\"status\":\"2.0.0\"},\"detail\":{\"a\":[1,{}]},\"clock\":\"degraded\","
		"\"salt\":\"0102ff00000000000000000000000000\"");

	ck_assert_str_is(str_slice(line, 0, want.len), want);
	ck_assert_str_is(str_slice(line, want.len, 10), STR(",\"chain\":\""));
	ck_assert_uint_eq(line.len, want.len + 10 + 64 + 3);
	buf_clear(&out);
}
END_TEST

START_TEST(line_comes_back)
{
	struct record_event event = full_event();
	struct record_stamp stamp = { .seq = 7, .tseq = 3, .time_us = T0, .clock = STR("behind"), .salt = { 9 } };
	struct buf out;
	struct str line = format(&event, &stamp, &out);
	struct str wall = unit_wall(str_slice(line, 0, line.len - 1));
	struct record_line got;
	struct arena arena;
	struct err err;

	arena_init(&arena, 1 << 20);
	ck_assert_msg(record_parse(wall, &arena, &got, &err), "%s", err.text);
	ck_assert_int_eq(got.stamp.seq, 7);
	ck_assert_int_eq(got.stamp.tseq, 3);
	ck_assert_int_eq(got.stamp.time_us, T0);
	ck_assert_str_is(got.stamp.clock, STR("behind"));
	ck_assert_int_eq(got.stamp.salt[0], 9);
	ck_assert_str_is(got.event.helo, event.helo);
	ck_assert_str_is(got.event.from, event.from);
	ck_assert_str_is(got.event.reply, event.reply);
	ck_assert_uint_eq(got.event.to_count, 2);
	ck_assert_str_is(got.event.to[1], recipients[1]);
	ck_assert_uint_eq(got.event.action_count, 2);
	ck_assert_int_eq(got.event.size, 1234);
	ck_assert_str_is(got.event.outcome, event.outcome);
	ck_assert_str_is(got.event.detail, event.detail);
	ck_assert(!got.is_erased);
	unit_wall_free(wall);
	arena_clear(&arena);
	buf_clear(&out);
}
END_TEST

/* Cuts and walls: a line cut anywhere, or with any octet changed, is refused or read, and never read past. */
START_TEST(broken_lines)
{
	struct record_event event = full_event();
	struct record_stamp stamp = { .seq = 7, .tseq = 3, .time_us = T0, .clock = STR_EMPTY };
	struct buf out;
	struct str line = format(&event, &stamp, &out);
	struct record_line got;
	struct arena arena;

	line.len--;
	arena_init(&arena, 1 << 20);
	for (size_t cut = 0; cut < line.len; cut++) {
		struct str wall = unit_wall(str_slice(line, 0, cut));

		ck_assert_msg(!record_parse(wall, &arena, &got, NULL), "cut at %zu", cut);
		unit_wall_free(wall);
		wall = unit_wall(line);
		for (size_t i = 0; i < 4; i++) {
			((char *)(uintptr_t)wall.ptr)[cut] = "\"\\{\0"[i];
			record_parse(wall, &arena, &got, NULL);
		}
		unit_wall_free(wall);
		arena_reset(&arena);
	}
	arena_clear(&arena);
	buf_clear(&out);
}
END_TEST

START_TEST(worst_case_fits)
{
	static char text[20000];
	static struct str many[2000];
	static char detail[RECORD_JSON_MAX];
	struct str s = str_of(text, sizeof text);
	struct record_event event = full_event();
	struct record_stamp stamp = { .seq = 1, .time_us = T0, .clock = STR("unsynchronised") };
	struct buf out;

	memset(text, 0x01, sizeof text);
	memset(detail, ' ', sizeof detail);
	detail[0] = '{';
	detail[sizeof detail - 1] = '}';
	for (size_t i = 0; i < 2000; i++)
		many[i] = s;
	event.message = event.queue_id = event.host = event.client = event.auth = event.helo = event.tls = event.from = s;
	event.subject_hash = event.verdict = event.rule = event.reply = event.rcpt = s;
	event.to = event.actions = many;
	event.to_count = event.action_count = 2000;
	event.outcome = event.detail = str_of(detail, sizeof detail);

	struct str line = format(&event, &stamp, &out);
	struct record_line got;
	struct arena arena;
	struct err err;

	ck_assert_uint_le(line.len, RECORD_LINE_MAX);
	arena_init(&arena, 4 << 20);
	ck_assert_msg(record_parse(str_slice(line, 0, line.len - 1), &arena, &got, &err), "%s", err.text);
	ck_assert_uint_eq(got.event.helo.len, RECORD_STRING_MAX);
	arena_clear(&arena);
	buf_clear(&out);
}
END_TEST

START_TEST(erased_line)
{
	char text[300];
	struct record_line got;
	struct record_link link;

	snprintf(text, sizeof text, "{\"seq\":12,\"erased\":\"%064d\",\"chain\":\"%064d\"}", 7, 8);
	ck_assert(record_parse_link(str_from_c(text), &link));
	ck_assert_int_eq(link.seq, 12);
	ck_assert_int_eq(link.erased_leaf[31], 7);
	ck_assert_int_eq(link.chain[31], 8);
	ck_assert(record_parse(str_from_c(text), NULL, &got, NULL));
	ck_assert(got.is_erased);
	text[8] = 'x';
	ck_assert(!record_parse_link(str_from_c(text), &link));
}
END_TEST

START_TEST(ids_are_unique)
{
	enum { COUNT = 120 };
	char ids[COUNT][RECORD_ID_LEN + 1];

	for (size_t i = 0; i < COUNT; i++) {
		record_id_new(T0, ids[i]);
		for (size_t j = 0; j < i; j++)
			ck_assert_str_ne(ids[i], ids[j]);
	}
}
END_TEST

START_TEST(ids)
{
	char a[RECORD_ID_LEN + 1], b[RECORD_ID_LEN + 1], c[RECORD_ID_LEN + 1];

	record_id_new(T0, a);
	record_id_new(T0, b);
	record_id_new(T0 + 1000, c);
	ck_assert_uint_eq(strlen(a), RECORD_ID_LEN);
	ck_assert_str_ne(a, b);
	ck_assert_int_eq(strncmp(a, b, 10), 0);
	ck_assert_int_lt(strcmp(a, c), 0);
	ck_assert_uint_eq(strspn(a, "0123456789ABCDEFGHJKMNPQRSTVWXYZ"), RECORD_ID_LEN);
	record_id_new(INT64_C(1469918176385) * 1000, a);    /* the example of the ULID text: 01ARYZ6S41 */
	ck_assert_int_eq(strncmp(a, "01ARYZ6S41", 10), 0);

	int64_t made_us;

	ck_assert(record_id_time(str_from_c(a), &made_us));
	ck_assert_int_eq(made_us, INT64_C(1469918176385) * 1000);
	ck_assert(!record_id_time(STR("M1"), &made_us));
	ck_assert(!record_id_time(STR("81ARYZ6S410123456789ABCDEF"), &made_us));      /* more than 128 bits */
	ck_assert(!record_id_time(STR("01ARYZ6U410123456789ABCDEF"), &made_us));      /* no such digit */
}
END_TEST

/* The chain worked out by hand: sha256("a"), then sha256(32 zeros || it). */
START_TEST(chain_values)
{
	unsigned char leaf[CHAIN_LEN], chain[CHAIN_LEN] = { 0 }, again[CHAIN_LEN];
	char hex[CHAIN_HEX_LEN];

	chain_leaf(STR("a"), leaf);
	hex_write(leaf, CHAIN_LEN, hex);
	ck_assert_str_is(str_of(hex, sizeof hex), STR("ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"));
	chain_advance(chain, leaf);
	hex_write(chain, CHAIN_LEN, hex);
	ck_assert_str_is(str_of(hex, sizeof hex), STR("8c374a53782642f7514d087d26a3e733f1b806009a03e04a43b288ef2fa9f9c0"));
	ck_assert(hex_read(str_of(hex, sizeof hex), again, CHAIN_LEN));
	ck_assert_mem_eq(again, chain, CHAIN_LEN);
	hex[3] = 'F';
	ck_assert(!hex_read(str_of(hex, sizeof hex), again, CHAIN_LEN));
}
END_TEST

static const struct { const char *name; bool ok; const char *date; int64_t part; } name_rows[] = {
	{ "2026-11-21.jsonl", true, "2026-11-21", 1 },
	{ "2026-11-21.2.jsonl", true, "2026-11-21", 2 },
	{ "2026-11-21.1.jsonl", false, NULL, 0 },
	{ "2026-11-21.02.jsonl", false, NULL, 0 },
	{ "2026-11-21.-2.jsonl", false, NULL, 0 },
	{ "2026-11-21.1000000.jsonl", false, NULL, 0 },
	{ "2026-02-30.jsonl", false, NULL, 0 },
	{ "2026-11-21.jsonl~", false, NULL, 0 },
	{ ".lock", false, NULL, 0 },
	{ "", false, NULL, 0 },
};
START_TEST(file_names)
{
	struct record_file file = { 0 };
	int64_t day;
	bool ok = record_file_parse(str_from_c(name_rows[_i].name), &file);

	ck_assert_msg(ok == name_rows[_i].ok, "%s", name_rows[_i].name);
	if (!ok)
		return;
	ck_assert(jst_parse_date(str_from_c(name_rows[_i].date), &day));
	ck_assert_int_eq(file.day, day);
	ck_assert_int_eq(file.part, name_rows[_i].part);
}
END_TEST

static const struct { const char *text, *member, *want; } scan_rows[] = {
	{ "{\"a\":1,\"b\":\"x\\\"y\"}", "b", "\"x\\\"y\"" },
	{ "{\"a\":{\"b\":1},\"b\":[1,{\"c\":\"}\"}]}", "b", "[1,{\"c\":\"}\"}]" },
	{ " { \"a\" : 1 , \"b\" : true } ", "b", "true" },
	{ "{\"a\":[1}],\"b\":1}", "b", NULL },
	{ "{\"a\":\"\\\\\",\"b\":1}", "b", "1" },
	{ "{\"a\":\"\\\",\"b\":1}", "b", NULL },
	{ "{\"a\" 1,\"b\":1}", "b", NULL },
	{ "{\"a\":1 \"b\":1}", "b", NULL },
	{ "{", "b", NULL },
	{ "", "b", NULL },
	{ "[]", "b", NULL },
};
START_TEST(scan_members)
{
	struct str wall = unit_wall(str_from_c(scan_rows[_i].text)), got;
	bool ok = scan_find(wall, str_from_c(scan_rows[_i].member), &got);

	ck_assert_msg(ok == (scan_rows[_i].want != NULL), "%s", scan_rows[_i].text);
	if (ok)
		ck_assert_str_is(got, str_from_c(scan_rows[_i].want));
	unit_wall_free(wall);
}
END_TEST

START_TEST(scan_depth)
{
	char deep[4096];
	struct str value;

	memset(deep, '[', sizeof deep);
	memcpy(deep, "{\"a\":", 5);
	ck_assert(!scan_find(str_of(deep, sizeof deep), STR("b"), &value));
}
END_TEST

START_TEST(keys)
{
	char path[512], pub[520], id[SIGN_ID_LEN + 1], other[SIGN_ID_LEN + 1], sig[SIGN_BASE64_LEN + 1];
	struct sign_key *key;
	static struct sign_publics publics;
	struct err err;
	struct stat st;

	snprintf(path, sizeof path, "%s/key", unit_dir());
	snprintf(pub, sizeof pub, "%s.pub", path);
	ck_assert_msg(sign_key_new(path, id, &err), "%s", err.text);
	ck_assert(!sign_key_new(path, other, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	ck_assert_msg(sign_key_load(path, &key, &err), "%s", err.text);
	ck_assert_str_eq(sign_key_id(key), id);
	ck_assert_msg(sign_publics_load(pub, &publics, &err), "%s", err.text);
	ck_assert_uint_eq(publics.count, 1);
	ck_assert_str_eq(publics.keys[0].id, id);

	ck_assert(sign_text(key, STR("text"), sig, &err));
	const struct sign_public *public = sign_publics_find(&publics, str_from_c(id));

	ck_assert_ptr_nonnull(public);
	ck_assert(sign_check(public, STR("text"), str_from_c(sig)));
	ck_assert(!sign_check(public, STR("Text"), str_from_c(sig)));
	ck_assert(!sign_check(public, STR("text"), str_slice(str_from_c(sig), 0, 87)));
	sig[86] = 'A';
	ck_assert(!sign_check(public, STR("text"), str_from_c(sig)));
	sig[0] = '!';
	ck_assert(!sign_check(public, STR("text"), str_from_c(sig)));
	sign_key_free(key);
	ck_assert(!sign_key_load(pub, &key, &err));
	ck_assert(chmod(path, 0640) == 0);
	ck_assert(!sign_key_load(path, &key, &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
}
END_TEST

START_TEST(tenants_table)
{
	struct tseq tseq;
	char name[32];

	tseq_init(&tseq);
	for (int round = 0; round < 2; round++)
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof name, "tenant-%d", i);
			size_t row = tseq_row(&tseq, str_from_c(name));

			ck_assert_uint_eq(row, (size_t)i);
			ck_assert_int_eq(tseq.rows[row].last, round);
			tseq.rows[row].last++;
		}
	ck_assert_uint_eq(tseq.count, 5000);
	tseq_clear(&tseq);
}
END_TEST

static const struct { const char *name; bool ok; } entry_name_rows[] = {
	{ "mx1.example.jp", true }, { "", false }, { "a b", false }, { "a/b", false }, { "a\"b", false }, { "a\nb", false },
	{ "\xe9\x96\xa2", false },
};
START_TEST(entry_names)
{
	ck_assert(entry_is_name(str_from_c(entry_name_rows[_i].name)) == entry_name_rows[_i].ok);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record format");
	TCase *tcase = tcase_create("all");

	tcase_add_test(tcase, line_is_as_documented);
	tcase_add_test(tcase, line_comes_back);
	tcase_add_test(tcase, broken_lines);
	tcase_add_test(tcase, worst_case_fits);
	tcase_add_test(tcase, erased_line);
	tcase_add_test(tcase, ids_are_unique);
	tcase_add_test(tcase, ids);
	tcase_add_test(tcase, chain_values);
	unit_add_rows(tcase, file_names, name_rows);
	unit_add_rows(tcase, scan_members, scan_rows);
	tcase_add_test(tcase, scan_depth);
	tcase_add_test(tcase, keys);
	tcase_add_test(tcase, tenants_table);
	unit_add_rows(tcase, entry_names, entry_name_rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
