/* milter/session: what is changed in mail that passes, and where nothing is. */
#include "t/lib/session_fixture.h"
#include "t/lib/unit.h"

#include "policy/suppress.h"

static const char tenants[] =
	"tenants:\n"
	"  own:\n"
	"    match: [ { auth: own }, { sender: \"@own.example\" } ]\n"
	"  seen:\n"
	"    match: [ { auth: seen } ]\n"
	"    suppress: monitor\n"
	"    tracking: { host: track.seen.example, opens: true, clicks: true, list_unsubscribe: true }\n";

/* An HTML message as `auth` sends it; what the front is to do with it. */
static enum session_answer send_page_as(struct session *s, const char *auth, const char *from, int recipients, struct str page,
					struct session_changes *changes)
{
	struct reply reply;

	fixture_mail(s, auth, from, &reply);
	for (int i = 0; i < recipients; i++)
		session_rcpt(s, STR("<r@elsewhere.example>"), &reply);
	session_data(s, &fixture_macros, &reply);
	session_header(s, STR("Content-Type"), STR("text/html; charset=utf-8"));
	session_header(s, STR("X-Sekisho-Track"), STR("id=spring"));
	session_body(s, page);
	ck_assert(session_take_turn(s, 0));
	return session_eom(s, &fixture_macros, changes, &reply);
}

static enum session_answer send_page(struct session *s, const char *auth, int recipients, struct str page,
				     struct session_changes *changes)
{
	return send_page_as(s, auth, "<a@acme.example>", recipients, page, changes);
}

START_TEST(rewrites_what_its_tenant_tracks)
{
	struct session_changes changes;
	struct str chunk;

	fixture_open(tenants);
	struct session *s = fixture_visitor();
	struct str page = STR("<a href=\"http://example.org/a\">a</a> <a href=\"http://example.org/b\">b</a>\r\n");

	ck_assert_int_eq(send_page(s, "own", 1, page, &changes), SESSION_CONTINUE);
	ck_assert_msg(!changes.has_body && changes.field_count == 0, "own does not track");
	session_done(s);
	for (int recipients = 1; recipients <= 2; recipients++) {
		ck_assert_int_eq(send_page(s, "seen", recipients, page, &changes), SESSION_CONTINUE);
		ck_assert(changes.has_body);
		ck_assert_uint_eq(changes.field_count, recipients == 1 ? 3 : 1);   /* two of them List-Unsubscribe's */
		ck_assert(session_next_chunk(s, &chunk));
		ck_assert_uint_eq(unit_count(chunk, "https://track.seen.example/c/"), 2);
		ck_assert_uint_eq(unit_count(chunk, "https://track.seen.example/o/"), 1);
		ck_assert(!session_next_chunk(s, &chunk));
		ck_assert_uint_eq(changes.steer_count, 0);
		session_done(s);
	}
	ck_assert_int_eq(send_page(s, "seen", 1, STR("<p>only text"), &changes), SESSION_CONTINUE);
	session_free(s);

	struct str log = fixture_log("relay");

	ck_assert_uint_eq(unit_count(log, "\"actions\":[\"opens\",\"clicks:2\",\"unsubscribe\"]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"actions\":[\"opens\",\"clicks:2\"]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"actions\":[\"opens\",\"unsubscribe\"]"), 1);
	ck_assert_uint_eq(unit_count(log, "\"event\":\"accepted\""), 4);
}
END_TEST

/* What is only monitored leaves room in the record for what was done. */
START_TEST(records_all_that_was_done)
{
	const struct suppression entry = { .recipient = STR("r@elsewhere.example") };
	struct session_changes changes;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	ck_assert(suppress_add(gate.policy.store, STR("seen"), &entry, NULL));
	ck_assert_int_eq(send_page(s, "seen", RECORD_ACTIONS_MAX + 1, STR("<p>only text"), &changes), SESSION_CONTINUE);
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"actions\":[\"monitor:suppress\",\"opens\"]"), 1);
}
END_TEST

/* Whose it is was not known when it came in, and he does not track. */
START_TEST(steering_goes_from_late_mail)
{
	struct session_changes changes;

	fixture_open(tenants);
	struct session *s = fixture_visitor();

	gate.submit.is_open = true;
	fixture_connect(s, NULL);
	ck_assert_int_eq(send_page_as(s, "", "<a@own.example>", 1, STR("<p>a"), &changes), SESSION_CONTINUE);
	ck_assert_msg(!changes.has_body && changes.field_count == 0, "it does not track");
	ck_assert_uint_eq(changes.steer_count, 1);
	session_free(s);
	gate.submit.is_open = false;
	fixture_close();
}
END_TEST

/* A front that cannot change messages has nothing changed, and what is refused is not looked into. */
START_TEST(rewrites_only_what_passes)
{
	const struct session_abilities blind = { .sees_body = true };
	struct session_changes changes;
	struct reply reply;

	fixture_open(tenants);
	struct session *s = session_new(&gate, &blind);

	ck_assert_int_eq(send_page(s, "seen", 1, STR("<p>a"), &changes), SESSION_CONTINUE);
	ck_assert_msg(!changes.has_body && changes.field_count == 0, "it cannot");
	session_done(s);
	session_free(s);
	s = fixture_visitor();
	ck_assert_int_eq(fixture_mail(s, "seen", "<a@acme.example>", &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<r@x.example>"), &reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &fixture_macros, &reply), SESSION_CONTINUE);
	session_body(s, STR("<p>half a mess"));
	session_abort(s);
	ck_assert_int_eq(session_eom(s, &fixture_macros, &changes, &reply), SESSION_REPLY);
	ck_assert_msg(!changes.has_body && changes.record_id.len == 0, "out of order");
	session_free(s);
	ck_assert_uint_eq(unit_count(fixture_log("relay"), "\"actions\""), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("session_rewrite");
	TCase *tcase = tcase_create("pages");

	unit_dir();
	tcase_add_test(tcase, rewrites_what_its_tenant_tracks);
	tcase_add_test(tcase, rewrites_only_what_passes);
	tcase_add_test(tcase, steering_goes_from_late_mail);
	tcase_add_test(tcase, records_all_that_was_done);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
