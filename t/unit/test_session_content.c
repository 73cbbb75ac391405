/* milter/session, policy/content: rules on content, whichever way the mail comes in. */
#include "t/lib/session_fixture.h"
#include "t/lib/unit.h"

static const char tenants[] =
	"tenants:\n"
	"  rules:\n"
	"    match: [ { auth: rules }, { sender: \"@rules.example\" } ]\n"
	"    content:\n"
	"      - { name: seen, header: X-Mailer, match: \"*\", monitor: true }\n"
	"      - { header: Subject, match: \"*\\u8acb\\u6c42\\u66f8*\" }\n"
	"      - { header: subject, match: \"*invoice  overdue \", action: hold }\n";

static const struct {
	const char *name;
	struct str header, value;
	enum session_answer answer;
	const char *record;
} content_rows[] = {
	{ "none of it", STR_INIT("Subject"), STR_INIT("invoice"), SESSION_CONTINUE, "\"event\":\"accepted\"" },
	{ "plain", STR_INIT("SUBJECT "), STR_INIT("Re: Invoice\n\t \tOVERDUE \n"), SESSION_HOLD, "\"rule\":\"content:subject-3\"" },
	{ "ISO-2022-JP", STR_INIT("Subject"), STR_INIT("=?ISO-2022-JP?B?GyRCQEE1YT1xJE43bxsoQg==?="), SESSION_REPLY,
	  "\"rule\":\"content:subject-2\"" },
	{ "UTF-8 in two words", STR_INIT("subject"), STR_INIT("Re:=?utf-8?Q?=E8=AB=8B=E6?=\n =?utf-8?Q?=B1=82=E6=9B=B8?="), SESSION_REPLY,
	  "[SKQ-CONTENT]" },
	{ "UTF-8 as it is", STR_INIT("Subject"), STR_INIT("\xe8\xab\x8b\xe6\xb1\x82\xe6\x9b\xb8"), SESSION_REPLY, "[SKQ-CONTENT]" },
	{ "monitored", STR_INIT("x-mailer"), STR_INIT(""), SESSION_CONTINUE, "\"actions\":[\"monitor:content:seen\"]" },
	{ "another field", STR_INIT("Comments"), STR_INIT("invoice overdue"), SESSION_CONTINUE, "\"event\":\"accepted\"" },
};

/* From a login; late, when only the end says whose it is; handed in on the host. The field is the first of two. */
static const struct { const char *name, *client, *auth; bool has_submit; } content_ways[] = {
	{ "by login", "192.0.2.1", "rules", false },
	{ "late", "127.0.0.1", "", true },
	{ "on the host", NULL, "", false },
	{ "on the host, late", NULL, "", true },
};

static enum session_answer send_field(int way, struct str name, struct str value)
{
	const struct session_abilities abilities = { .sees_body = false };
	struct session *s = session_new(&gate, &abilities);
	struct session_changes changes;
	struct reply reply;

	gate.submit.is_open = content_ways[way].has_submit;
	fixture_connect(s, content_ways[way].client);
	ck_assert_int_eq(fixture_mail(s, content_ways[way].auth, "<a@rules.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	session_header(s, name, value);
	session_header(s, STR("Subject"), STR("hello"));

	enum session_answer answer = session_eom(s, &fixture_macros, &changes, &reply);

	session_free(s);
	gate.submit.is_open = false;
	return answer;
}

START_TEST(rules_on_content)
{
	const char *way = content_ways[_i].name;

	for (size_t i = 0; i < sizeof content_rows / sizeof *content_rows; i++) {
		fixture_open(tenants);

		enum session_answer answer = send_field(_i, content_rows[i].header, content_rows[i].value);
		struct str log = fixture_log("relay");

		ck_assert_msg(answer == content_rows[i].answer, "%s, %s: answer %d", way, content_rows[i].name, answer);
		ck_assert_msg(unit_count(log, content_rows[i].record) == 1, "%s, %s: " STR_FMT, way, content_rows[i].name, STR_ARG(log));
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_content");
	TCase *tcase = tcase_create("ways");

	unit_dir();
	unit_add_rows(tcase, rules_on_content, content_ways);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
