/* milter/tool/options: arguments become values, or one sentence about what is wrong with them. */
#include "t/lib/unit.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/tool/options.h"

struct values {
	bool tls;
	struct str from, action, reason;
	struct str_list to;
	int64_t limit, size, for_us;
	struct option_addr client;
	struct option_time since, until;
};

static const struct option rows[] = {
	{ "--tls", OPTION_FLAG, offsetof(struct values, tls), NULL, NULL, "over TLS" },
	{ "--from", OPTION_TEXT, offsetof(struct values, from), "A", NULL, "sender" },
	{ "--reason", OPTION_PROSE, offsetof(struct values, reason), "TEXT", NULL, "why" },
	{ "--action", OPTION_WORD, offsetof(struct values, action), "WORD", "defer|reject|hold", "what" },
	{ "--rcpt", OPTION_TEXTS, offsetof(struct values, to), "B", NULL, "recipient" },
	{ "--limit", OPTION_COUNT, offsetof(struct values, limit), "N", NULL, "at most" },
	{ "--size", OPTION_SIZE, offsetof(struct values, size), "SIZE", NULL, "octets" },
	{ "--for", OPTION_DURATION, offsetof(struct values, for_us), "TIME", NULL, "how long" },
	{ "--client", OPTION_ADDRESS, offsetof(struct values, client), "IP", NULL, "client" },
	{ "--since", OPTION_SINCE, offsetof(struct values, since), "TIME", NULL, "from then" },
	{ "--until", OPTION_UNTIL, offsetof(struct values, until), "TIME", NULL, "up to then" },
	{ NULL },
};

static struct arena arena;
static struct values values;
static struct operands operands;

static bool parse(const char *line, struct err *err)
{
	static char words[20][200];
	char *argv[20];
	struct str rest = str_from_c(line), word;
	size_t argc = 0;

	for (; str_next(&rest, ' ', &word); argc++) {
		memcpy(words[argc], word.ptr, word.len);
		words[argc][word.len] = '\0';
		argv[argc] = words[argc];
	}
	values = (struct values){ .tls = false };
	arena_clear(&arena);
	arena_init(&arena, 1 << 20);
	const struct option_set set = { rows, &values };
	return options_parse(argv, argc, &set, 1, &arena, &operands, err);
}

START_TEST(values_arrive)
{
	struct err err;

	ck_assert_msg(parse("acme --rcpt a@x --tls --from=b=c@y --rcpt=d@z --limit 7 --size 4KiB --for 2h --client 192.0.2.9 "
			    "--action hold --reason= -- --rest", &err), "%s", err.text);
	ck_assert_uint_eq(operands.count, 2);
	ck_assert_str_is(operands.items[0], STR("acme"));
	ck_assert_str_is(operands.items[1], STR("--rest"));
	ck_assert(values.tls && values.client.is_given);
	ck_assert_str_is(values.from, STR("b=c@y"));
	ck_assert_str_is(values.action, STR("hold"));
	ck_assert(values.reason.ptr && values.reason.len == 0);
	ck_assert_uint_eq(values.to.count, 2);
	ck_assert_str_is(values.to.items[0], STR("a@x"));
	ck_assert_str_is(values.to.items[1], STR("d@z"));
	ck_assert_int_eq(values.limit, 7);
	ck_assert_int_eq(values.size, 4096);
	ck_assert_int_eq(values.for_us, 7200 * US_PER_S);
	ck_assert(!values.since.is_given);
}
END_TEST

START_TEST(many_texts)
{
	struct err err;

	ck_assert(parse("--rcpt 1 --rcpt 2 --rcpt 3 --rcpt 4 --rcpt 5 --rcpt 6 --rcpt 7 --rcpt 8 --rcpt 9", &err));
	ck_assert_uint_eq(values.to.count, 9);
	for (size_t i = 0; i < 9; i++)
		ck_assert_int_eq(values.to.items[i].ptr[0], (char)('1' + i));
}
END_TEST

static const struct {
	const char *line, *want;
} wrong_rows[] = {
	{ "--fro a", "no option \"--fro\"; did you mean \"--from\"?" },
	{ "--quite-another a", "no option \"--quite-another\"" },
	{ "-x", "no option \"-x\"" },
	{ "--from", "--from wants a value: --from A" },
	{ "--from=", "--from wants a value, not an empty one: --from A" },
	{ "--rcpt=", "--rcpt wants a value, not an empty one: --rcpt B" },
	{ "acme  --tls", "an argument is empty; leave it out if that is meant" },
	{ "--  --from", "an argument is empty; leave it out if that is meant" },
	{ "--tls=yes", "--tls takes no value" },
	{ "--limit 0", "--limit: a number from 1 wanted, not \"0\"" },
	{ "--limit 5x", "--limit: a number from 1 wanted, not \"5x\"" },
	{ "--limit -1", "--limit: a number from 1 wanted, not \"-1\"" },
	{ "--for 5", "--for: a duration such as 90s, 15m, 2h or 30d wanted, not \"5\"" },
	{ "--for 0", "--for: a duration such as 90s, 15m, 2h or 30d wanted, not \"0\"" },
	{ "--size lots", "--size: a size such as 4096, 512KiB or 25MiB wanted, not \"lots\"" },
	{ "--client nowhere", "--client: an IP address wanted, not \"nowhere\"" },
	{ "--action drop", "--action: defer|reject|hold wanted, not \"drop\"" },
	{ "--since 2026-02-30", "--since: a JST date or time such as 2026-11-21, \"2026-11-21 18:04\", today or 2h (ago) wanted, "
				"not \"2026-02-30\"" },
};

START_TEST(wrong)
{
	struct err err = { .text = "" };

	ck_assert(!parse(wrong_rows[_i].line, &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	ck_assert_str_eq(err.text, wrong_rows[_i].want);
}
END_TEST

/* Now is 2026-11-21 18:04:05 JST. */
static const struct {
	const char *text, *since, *until;      /* "": refused */
} time_rows[] = {
	{ "2026-11-21", "2026-11-21T00:00:00.000000+09:00", "2026-11-21T23:59:59.999999+09:00" },
	{ "today", "2026-11-21T00:00:00.000000+09:00", "2026-11-21T23:59:59.999999+09:00" },
	{ "yesterday", "2026-11-20T00:00:00.000000+09:00", "2026-11-20T23:59:59.999999+09:00" },
	{ "2026-11-21 09:30", "2026-11-21T09:30:00.000000+09:00", "2026-11-21T09:30:00.000000+09:00" },
	{ "2026-11-21T09:30:15", "2026-11-21T09:30:15.000000+09:00", "2026-11-21T09:30:15.000000+09:00" },
	{ "2026-11-21T00:30:15Z", "2026-11-21T09:30:15.000000+09:00", "2026-11-21T09:30:15.000000+09:00" },
	{ "2h", "2026-11-21T16:04:05.000000+09:00", "2026-11-21T16:04:05.000000+09:00" },
	{ "3d", "2026-11-18T18:04:05.000000+09:00", "2026-11-18T18:04:05.000000+09:00" },
	{ "2026-13-01", "", "" },
	{ "2026-11-21 25:00", "", "" },
	{ "tomorrow", "", "" },
	{ "", "", "" },
	{ "2026-11-21 09:30 and much more than a time could ever be", "", "" },
};

START_TEST(times)
{
	int64_t now_us = jst_day_start_us(jst_day_from_civil(2026, 11, 21)) + (18 * 3600 + 4 * 60 + 5) * US_PER_S, us;
	struct str text = unit_wall(str_from_c(time_rows[_i].text));

	for (int is_end = 0; is_end < 2; is_end++) {
		const char *want = is_end ? time_rows[_i].until : time_rows[_i].since;
		char got[JST_TIME_LEN + 1] = "";

		if (options_parse_time(text, now_us, is_end, &us))
			jst_format_time(us, got);
		ck_assert_str_eq(got, want);
	}
	unit_wall_free(text);
}
END_TEST

START_TEST(help_fits)
{
	static const struct option long_rows[] = {
		{ "--a-name-that-is-long", OPTION_TEXT, 0, "AND-ITS-VALUE", NULL, "help beside it" },
		{ "--short", OPTION_FLAG, 0, NULL, NULL, "help that goes on and on, so that it must be folded into several lines of text" },
		{ NULL },
	};
	struct buf out;

	buf_init(&out, 10000);
	options_write_help(long_rows, &out);
	ck_assert_str_is(buf_view(&out), STR("  --a-name-that-is-long AND-ITS-VALUE\n"
					     "                        help beside it\n"
					     "  --short               help that goes on and on, so that it must be folded into\n"
					     "                        several lines of text\n"));
	buf_clear(&out);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("options");
	TCase *tcase = tcase_create("options");

	tcase_add_test(tcase, values_arrive);
	tcase_add_test(tcase, many_texts);
	unit_add_rows(tcase, wrong, wrong_rows);
	unit_add_rows(tcase, times, time_rows);
	tcase_add_test(tcase, help_fits);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
