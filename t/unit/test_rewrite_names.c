/* milter/rewrite: what a message is called and whose its links are, as its sender and the rules say. */
#include "t/lib/rewrite_fixture.h"
#include "t/lib/unit.h"

static const struct { struct str value, want; } names[] = {
	{ STR_INIT("id=spring"), STR_INIT("spring") }, { STR_INIT("opens=off; ID = \"spring\" (sale)"), STR_INIT("spring") },
};
START_TEST(named_by_sender)
{
	struct rewrite_rules rules = rewrite_rules_all();
	struct header field = { .name = STR(REWRITE_STEER_HEADER), .value = names[_i].value };
	struct rewrite_message message = { .fields = &field, .field_count = 1, .body = STR("x") };
	struct rewrite_result result;

	ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
	ck_assert_str_is(result.message, names[_i].want);
}
END_TEST

/* The token that stands behind this in a message. */
static struct token token_behind(struct str text, const char *lead, enum token_purpose purpose)
{
	struct str sealed = rewrite_token(str_from(text, str_find(text, str_from_c(lead)) + strlen(lead)));
	struct token token = { .day = 0 };

	ck_assert_msg(token_open(rewrite_keys, purpose, STR(HOST), sealed, &rewrite_arena, &token), "%s in " STR_FMT, lead, STR_ARG(text));
	return token;
}

/* A mailing, a message for each reader: whose a link is, and what the message is called. */
static const struct {
	struct str field;      /* X-Sekisho-Track */
	bool is_anonymous, has_reader;
	const char *message;   /* NULL: by its Message-ID, so each its own */
} ways[] = {
	{ STR_INIT("id=sale"), false, true, "sale" },
	{ STR_INIT("x=y"), false, true, NULL },
	{ STR_INIT("readers=on"), false, true, NULL },
	{ STR_INIT("readers = \"off\"; id=sale"), false, false, "sale" },
	{ STR_INIT("readers=no"), false, false, REWRITE_ANONYMOUS },
	{ STR_INIT("x=y"), true, false, REWRITE_ANONYMOUS },
	{ STR_INIT("readers=on"), true, false, REWRITE_ANONYMOUS },       /* a sender does not undo it */
	{ STR_INIT("id=sale"), true, false, "sale" },
};
START_TEST(readers)
{
	static const struct str to[] = { STR_INIT("a@b.example"), STR_INIT("c@b.example") };
	static const struct { const char *lead; enum token_purpose purpose; } marks[] = {
		{ "/c/", TOKEN_CLICK }, { "/o/", TOKEN_OPEN }, { "/u/", TOKEN_UNSUBSCRIBE },
	};
	struct rewrite_rules rules = rewrite_rules_all();
	struct token tokens[2][3];

	rules.list_unsubscribe = true;
	rules.is_anonymous = ways[_i].is_anonymous;
	for (size_t i = 0; i < 2; i++) {
		struct header fields[] = {
			{ .name = STR("Message-ID"), .value = i ? STR("<1@x>") : STR("<2@x>") },
			{ .name = STR("Content-Type"), .value = STR("text/html") },
			{ .name = STR(REWRITE_STEER_HEADER), .value = ways[_i].field },
		};
		struct rewrite_message message = { .fields = fields, .field_count = 3, .body = STR(A1 "x</a>\r\n"), .recipient = to[i] };
		struct rewrite_result result;
		struct buf out;

		ck_assert(rewrite_message(&rules, &message, &rewrite_arena, &result, NULL));
		buf_init(&out, 1 << 20);
		rewrite_render(&message, &result, STR("\r\n"), &out);
		for (size_t k = 0; k < 3; k++)
			tokens[i][k] = token_behind(buf_view(&out), marks[k].lead, marks[k].purpose);
		buf_clear(&out);
		ck_assert_str_is(tokens[i][2].recipient, to[i]);
	}
	for (size_t k = 0; k < 2; k++) {
		ck_assert_int_eq(tokens[0][k].recipient.len != 0, ways[_i].has_reader);
		ck_assert_int_eq(str_eq(tokens[0][k].recipient, tokens[1][k].recipient), !ways[_i].has_reader);
		ck_assert_int_eq(str_eq(tokens[0][k].message, tokens[1][k].message), ways[_i].message != NULL);
		if (ways[_i].message)
			ck_assert_str_is(tokens[0][k].message, str_from_c(ways[_i].message));
	}
}
END_TEST

/* To several: whose a link is, nobody knows, and the message has a name of its own. */
START_TEST(readers_of_one_message)
{
	struct rewrite_rules rules = rewrite_rules_all();
	struct rewrite_result named, anonymous;
	const struct str text = STR(HTML BLANK A1 "x</a>\r\n"), got = rewrite_text(&rules, text, &named);

	rules.is_anonymous = true;
	ck_assert_str_is(rewrite_text(&rules, text, &anonymous), got);
	ck_assert(!str_eq(anonymous.message, STR(REWRITE_ANONYMOUS)));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rewrite_names");
	TCase *tcase = tcase_create("names");

	tcase_add_checked_fixture(tcase, rewrite_setup, rewrite_teardown);
	unit_add_rows(tcase, named_by_sender, names);
	unit_add_rows(tcase, readers, ways);
	tcase_add_test(tcase, readers_of_one_message);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
