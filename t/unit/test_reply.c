/* milter/reply: every verdict becomes a reply that the MTA passes on and a person understands. */
#include "t/lib/unit.h"

#include <stdlib.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "milter/reply.h"

#define REF STR("01JD8Z6H2M3N4P5Q6R7S8T9V0W")

static const struct tenant acme = { .name = STR_INIT("acme") };
static const struct config plain = { 0 };

/* 2026-11-21 14:58:30 JST */
static int64_t now_us(void)
{
	return jst_day_start_us(jst_day_from_civil(2026, 11, 21)) + (14 * 3600 + 58 * 60 + 30) * US_PER_S;
}

static const struct {
	const char *name;
	struct verdict verdict;
	const char *want;
	int64_t retry_s;               /* from now; 0: unknown */
} text_rows[] = {
	{ "accepted", { .action = VERDICT_ACCEPT }, "250 2.0.0 accepted (ref R)", 0 },
	{ "rate",
	  { .action = VERDICT_DEFER, .reason = REASON_RATE, .tenant = &acme, .limit = 1000, .period = STR_INIT("hour") },
	  "451 4.7.1 acme: 1000 recipients/hour used up; room again at 15:04 JST [SKQ-RATE] (ref R)", 330 },
	{ "rounded up to the minute",
	  { .action = VERDICT_DEFER, .reason = REASON_RATE, .tenant = &acme, .limit = 1000, .period = STR_INIT("hour") },
	  "451 4.7.1 acme: 1000 recipients/hour used up; room again at 15:05 JST [SKQ-RATE] (ref R)", 331 },
	{ "on another day, of a login",
	  { .action = VERDICT_DEFER, .reason = REASON_QUOTA, .tenant = &acme, .limit = 1, .period = STR_INIT("day"),
	    .counts = COUNTS_MESSAGES, .scope = STR_INIT("bob@acme.example") },
	  "451 4.7.1 acme: 1 message/day of bob@acme.example used up; room again at 2026-11-22 00:00 JST [SKQ-QUOTA] (ref R)",
	  9 * 3600 + 90 },
	{ "rate, rejected, time unknown",
	  { .action = VERDICT_REJECT, .reason = REASON_RATE, .tenant = &acme, .limit = 5, .period = STR_INIT("minute") },
	  "550 5.7.1 acme: 5 recipients/minute used up [SKQ-RATE] (ref R)", 0 },
	{ "more than a warm-up allows today",
	  { .action = VERDICT_DEFER, .reason = REASON_QUOTA, .tenant = &acme, .limit = 10, .period = STR_INIT("day"),
	    .scope = STR_INIT("s@acme.example"), .fits_in_parts = true },
	  "451 4.7.1 acme: this message alone is more than 10 recipients/day of s@acme.example, the limit for now; send it in parts"
	  " [SKQ-QUOTA] (ref R)", 0 },
	{ "more than half of the limit, held",
	  { .action = VERDICT_HOLD, .reason = REASON_RATE, .tenant = &acme, .limit = 5, .period = STR_INIT("hour"),
	    .fits_in_parts = true },
	  "250 2.0.0 held: acme: this message alone is more than 5 recipients/hour, the limit for now [SKQ-RATE] (ref R)", 0 },
	{ "never, recipients",
	  { .action = VERDICT_REJECT, .reason = REASON_NEVER, .tenant = &acme, .limit = 10, .period = STR_INIT("hour") },
	  "550 5.5.3 acme: this message alone is more than 10 recipients/hour; it can never fit [SKQ-NEVER] (ref R)", 0 },
	{ "never, bytes",
	  { .action = VERDICT_REJECT, .reason = REASON_NEVER, .tenant = &acme, .limit = 4096, .period = STR_INIT("day"),
	    .counts = COUNTS_BYTES },
	  "552 5.3.4 acme: this message alone is more than 4096 bytes/day; it can never fit [SKQ-NEVER] (ref R)", 0 },
	{ "never, bytes, deferred",
	  { .action = VERDICT_DEFER, .reason = REASON_NEVER, .tenant = &acme, .limit = 4096, .period = STR_INIT("day"),
	    .counts = COUNTS_BYTES },
	  "452 4.3.4 acme: this message alone is more than 4096 bytes/day; it can never fit [SKQ-NEVER] (ref R)", 0 },
	{ "held",
	  { .action = VERDICT_HOLD, .reason = REASON_RATE, .tenant = &acme, .limit = 9, .period = STR_INIT("10m") },
	  "250 2.0.0 held: acme: 9 recipients/10m used up [SKQ-RATE] (ref R)", 0 },
	{ "nobody's", { .action = VERDICT_REJECT, .reason = REASON_NO_TENANT },
	  "550 5.7.1 this relay does not know whose mail this is; log in, or send from a registered address"
	  " [SKQ-WHO] (ref R)", 0 },
	{ "suppressed",
	  { .action = VERDICT_REJECT, .reason = REASON_SUPPRESSED, .tenant = &acme, .scope = STR_INIT("neko@example.jp"),
	    .detail = STR_INIT("userunknown (bounce of 2026-11-21)") },
	  "550 5.7.1 acme: neko@example.jp is on the suppression list until 15:58 JST: userunknown (bounce of 2026-11-21)"
	  " [SKQ-SUPP] (ref R)", 3540 },
	{ "suspended", { .action = VERDICT_REJECT, .reason = REASON_SUSPENDED, .tenant = &acme },
	  "550 5.7.13 acme: sending is suspended [SKQ-SUSP] (ref R)", 0 },
	{ "a login suspended",
	  { .action = VERDICT_REJECT, .reason = REASON_SUSPENDED, .tenant = &acme, .scope = STR_INIT("bob"), .detail = STR_INIT("why") },
	  "550 5.7.13 acme: sending of bob is suspended: why [SKQ-SUSP] (ref R)", 0 },
	{ "suspended for a time",
	  { .action = VERDICT_DEFER, .reason = REASON_SUSPENDED, .tenant = &acme, .detail = STR_INIT("password changed?") },
	  "450 4.7.1 acme: sending is suspended until 15:58 JST: password changed? [SKQ-SUSP] (ref R)", 3540 },
	{ "sender",
	  { .action = VERDICT_REJECT, .reason = REASON_SENDER, .tenant = &acme, .scope = STR_INIT("x@other.example") },
	  "550 5.7.1 acme may not send as x@other.example [SKQ-SENDER] (ref R)", 0 },
	{ "recipient", { .action = VERDICT_REJECT, .reason = REASON_RECIPIENT, .tenant = &acme, .scope = STR_INIT("x@other.example") },
	  "550 5.7.1 acme may not write to x@other.example [SKQ-TO] (ref R)", 0 },
	{ "unreadable", { .action = VERDICT_REJECT, .reason = REASON_ADDRESS, .tenant = &acme, .scope = STR_INIT("<a@b>(c@d") },
	  "553 5.1.0 <a@b>(c@d cannot be read as one address; write user@domain [SKQ-ADDR] (ref R)", 0 },
	{ "header From", { .action = VERDICT_REJECT, .reason = REASON_FROM, .tenant = &acme },
	  "550 5.7.1 acme may not send with a missing or unreadable address in From or Sender; put an address of its own there [SKQ-FROM] (ref R)", 0 },
	{ "content", { .action = VERDICT_REJECT, .reason = REASON_CONTENT, .tenant = &acme, .scope = STR_INIT("Subject") },
	  "550 5.7.1 acme: mail with this Subject does not pass here [SKQ-CONTENT] (ref R)", 0 },
	{ "content, for a while", { .action = VERDICT_DEFER, .reason = REASON_CONTENT, .tenant = &acme, .scope = STR_INIT("X-Mailer") },
	  "451 4.7.1 acme: mail with this X-Mailer does not pass here [SKQ-CONTENT] (ref R)", 0 },
	{ "content, held", { .action = VERDICT_HOLD, .reason = REASON_CONTENT, .tenant = &acme, .scope = STR_INIT("Subject") },
	  "250 2.0.0 held: acme: mail with this Subject does not pass here [SKQ-CONTENT] (ref R)", 0 },
	{ "TLS", { .action = VERDICT_REJECT, .reason = REASON_TLS, .tenant = &acme },
	  "530 5.7.0 acme: only over TLS; issue STARTTLS first [SKQ-TLS] (ref R)", 0 },
	{ "login", { .action = VERDICT_REJECT, .reason = REASON_AUTH, .tenant = &acme },
	  "530 5.7.0 acme: authentication required [SKQ-AUTH] (ref R)", 0 },
	{ "size", { .action = VERDICT_REJECT, .reason = REASON_SIZE, .tenant = &acme, .used = 20, .limit = 10 },
	  "552 5.3.4 acme: a message of 20 bytes is over the limit of 10 [SKQ-SIZE] (ref R)", 0 },
	{ "recipients", { .action = VERDICT_DEFER, .reason = REASON_RECIPIENTS, .tenant = &acme, .limit = 100 },
	  "452 4.5.3 acme: at most 100 recipients in one message [SKQ-RCPTS] (ref R)", 0 },
	{ "recipients, rejected, whatever the tenant", { .action = VERDICT_REJECT, .reason = REASON_RECIPIENTS, .limit = 1 },
	  "550 5.5.3 this relay: at most 1 recipient in one message [SKQ-RCPTS] (ref R)", 0 },
	{ "recipient domains",
	  { .action = VERDICT_DEFER, .reason = REASON_RECIPIENTS, .tenant = &acme, .limit = 256,
	    .rule = STR_INIT("recipient_domains") },
	  "452 4.5.3 acme: at most 256 recipient domains in one message [SKQ-RCPTS] (ref R)", 0 },
	{ "store", { .action = VERDICT_DEFER, .reason = REASON_STORE, .tenant = &acme, .detail = STR_INIT("secret path") },
	  "451 4.3.0 the relay cannot look up its limits now; try again [SKQ-STORE] (ref R)", 0 },
	{ "memory", { .action = VERDICT_DEFER, .reason = REASON_MEMORY },
	  "452 4.3.1 the relay has no room for this message now; try again [SKQ-MEM] (ref R)", 0 },
	{ "log", { .action = VERDICT_DEFER, .reason = REASON_RECORD },
	  "451 4.3.0 the relay cannot write its log now; try again [SKQ-LOG] (ref R)", 0 },
	{ "log disk", { .action = VERDICT_DEFER, .reason = REASON_RECORD_FULL },
	  "452 4.3.1 the relay's log disk is full; try again [SKQ-DISK] (ref R)", 0 },
	{ "hostile fields",
	  { .action = VERDICT_REJECT, .reason = REASON_SENDER, .tenant = &acme,
	    .scope = STR_INIT("a\r\n250 ok\x1b[2J\xe3\x81\x82\xff\x7f@x%s{tenant}") },
	  "550 5.7.1 acme may not send as a??250 ok?[2J???@x%s{tenant} [SKQ-SENDER] (ref R)", 0 },
};
START_TEST(texts)
{
	struct verdict verdict = text_rows[_i].verdict;
	struct reply reply;
	char line[REPLY_TEXT_MAX + 32];

	clock_set(now_us());
	if (text_rows[_i].retry_s)
		verdict.retry_at_us = now_us() + text_rows[_i].retry_s * US_PER_S;
	reply_from_verdict(&plain, &verdict, STR("R"), &reply);
	reply_line(&reply, line);
	ck_assert_msg(strcmp(line, text_rows[_i].want) == 0, "%s:\n%s", text_rows[_i].name, line);
}
END_TEST

static const struct { const char *text, *want; } override_rows[] = {
	{ "wait {seconds} s", "wait 61 s [SKQ-RATE] (ref R)" },
	{ "{tenant}/{rule}/{scope}/{used}/{limit}/{unit}/{period}/{detail}", "acme/hourly/bob/7/9/bytes/hour/why [SKQ-RATE] (ref R)" },
	{ "{of}{again}{why}", " of bob; room again at 15:00 JST: why [SKQ-RATE] (ref R)" },
	{ "at {time}{until}", "at 15:00 JST until 15:00 JST [SKQ-RATE] (ref R)" },
	{ "100% {tenant}", "100% acme [SKQ-RATE] (ref R)" },
	{ "{tenant", "{tenant [SKQ-RATE] (ref R)" },
	{ "} {nothing} {", "}  { [SKQ-RATE] (ref R)" },
	{ "\xe6\x97\xa5\n", "?? [SKQ-RATE] (ref R)" },
};
START_TEST(overrides)
{
	const struct reply_text text = { .tag = STR_INIT("SKQ-RATE"), .text = str_from_c(override_rows[_i].text) };
	const struct config config = { .reply_texts = &text, .reply_text_count = 1 };
	struct verdict verdict = {
		.action = VERDICT_DEFER, .reason = REASON_RATE, .tenant = &acme, .rule = STR("hourly"), .scope = STR("bob"),
		.used = 7, .limit = 9, .counts = COUNTS_BYTES, .period = STR("hour"), .detail = STR("why"),
	};
	struct reply reply;

	clock_set(now_us());
	verdict.retry_at_us = now_us() + 60 * US_PER_S + 1;
	reply_from_verdict(&config, &verdict, STR("R"), &reply);
	ck_assert_str_eq(reply.text, override_rows[_i].want);
	ck_assert_int_eq(reply.code, 451);
}
END_TEST

START_TEST(override_says_that_parts_fit)
{
	const struct reply_text text = { .tag = STR_INIT("SKQ-QUOTA"), .text = STR_INIT("over {limit} a {period}{again}") };
	const struct config config = { .reply_texts = &text, .reply_text_count = 1 };
	const struct verdict verdict = { .action = VERDICT_DEFER, .reason = REASON_QUOTA, .tenant = &acme, .limit = 10,
					 .period = STR("day"), .fits_in_parts = true };
	struct reply reply;

	reply_from_verdict(&config, &verdict, STR("R"), &reply);
	ck_assert_str_eq(reply.text, "over 10 a day; send it in parts [SKQ-QUOTA] (ref R)");
}
END_TEST

START_TEST(class_matches_verdict)
{
	static const struct { enum verdict_action action; int hundred; } want[] = {
		{ VERDICT_ACCEPT, 2 }, { VERDICT_DEFER, 4 }, { VERDICT_REJECT, 5 }, { VERDICT_HOLD, 2 },
	};

	for (enum verdict_reason reason = REASON_NONE; reason < REASON_COUNT; reason++)
		for (size_t i = 0; i < sizeof want / sizeof *want; i++)
			for (enum quota_counts counts = COUNTS_RECIPIENTS; counts <= COUNTS_BYTES; counts++) {
				struct verdict verdict = { .action = want[i].action, .reason = reason, .counts = counts };
				struct reply reply;

				reply_from_verdict(&plain, &verdict, REF, &reply);
				ck_assert_msg(reply.code / 100 == want[i].hundred && reply.enhanced[0] - '0' == want[i].hundred,
					      "reason %d action %d: %d %s", reason, want[i].action, reply.code, reply.enhanced);
			}
}
END_TEST

static struct str random_field(char *room, size_t size)
{
	size_t len = (size_t)rand() % size;

	for (size_t i = 0; i < len; i++)
		room[i] = (char)(rand() & 0xff);
	return str_of(room, len);
}

START_TEST(always_one_printable_line)
{
	static char room[5][700];
	const char *tail = "(ref 01JD8Z6H2M3N4P5Q6R7S8T9V0W)";

	srand(1);
	clock_set(now_us());
	for (int round = 0; round < 2000; round++) {
		const struct tenant tenant = { .name = random_field(room[0], 100) };
		struct reply_text text = { .text = random_field(room[1], 600) };
		struct config config = { .reply_texts = &text, .reply_text_count = (size_t)rand() % 2 };
		struct verdict verdict = {
			.action = VERDICT_ACCEPT + (unsigned)rand() % 4,
			.reason = (unsigned)rand() % REASON_COUNT,
			.tenant = rand() % 2 ? &tenant : NULL,
			.rule = STR("r"),
			.scope = random_field(room[2], sizeof room[2]),
			.period = random_field(room[3], 100),
			.detail = random_field(room[4], sizeof room[4]),
			.counts = (unsigned)rand() % 3,
			.used = rand(), .limit = rand() % 2 ? LIMIT_NONE : rand(),
			.retry_at_us = rand() % 2 ? now_us() + (int64_t)rand() * 1000 : rand() % 2 ? INT64_MAX : 0,
		};
		struct reply reply;

		text.tag = str_from_c(reply_tag(verdict.reason));
		reply_from_verdict(&config, &verdict, REF, &reply);

		size_t len = strlen(reply.text);

		ck_assert_uint_le(len, REPLY_TEXT_MAX);
		for (size_t i = 0; i < len; i++)
			ck_assert_msg(reply.text[i] >= 0x20 && reply.text[i] <= 0x7e, "octet %d", reply.text[i]);
		ck_assert_str_eq(reply.text + len - strlen(tail), tail);
	}
}
END_TEST

START_TEST(long_fields_leave_room)
{
	static char many[5000];
	struct verdict verdict = { .action = VERDICT_REJECT, .reason = REASON_SENDER, .tenant = &acme };
	struct reply reply;
	char line[REPLY_TEXT_MAX + 32];

	memset(many, 'a', sizeof many);
	verdict.scope = str_of(many, sizeof many);
	reply_from_verdict(&plain, &verdict, str_of(many, sizeof many), &reply);
	reply_line(&reply, line);
	ck_assert_uint_le(strlen(line), 510);
	ck_assert_ptr_nonnull(strstr(line, "[SKQ-SENDER] (ref aaaa"));
	ck_assert_int_eq(line[strlen(line) - 1], ')');

	reply_from_verdict(&plain, &verdict, STR_EMPTY, &reply);
	ck_assert_msg(str_ends(str_from_c(reply.text), STR("[SKQ-SENDER]")), "%s", reply.text);
}
END_TEST

static const struct { const char *tag, *text, *want; } check_rows[] = {
	{ "SKQ-RATE", "{tenant}: too fast{again}", NULL },
	{ "SKQ-DISK", "full", NULL },
	{ "SKQ-NOPE", "x", "there is no reply \"SKQ-NOPE\"" },
	{ "", "x", "there is no reply \"\"" },
	{ "SKQ-RATE", "{tennant}", "there is no field {tennant}; there are tenant, rule, " },
	{ "SKQ-RATE", "{tenant", "a `{` without its `}`" },
	{ "SKQ-RATE", "", "1 to 300 octets, not 0" },
	{ "SKQ-RATE", "\xe6\x97\xa5", "octet 1 of the reply text is not printable ASCII" },
	{ "SKQ-RATE", "a\nb", "octet 2 of the reply text" },
};
START_TEST(checks)
{
	struct err err = { 0 };
	bool ok = reply_text_check(str_from_c(check_rows[_i].tag), str_from_c(check_rows[_i].text), &err);

	ck_assert_msg(ok == !check_rows[_i].want, "%s: %s", check_rows[_i].text, err.text);
	if (check_rows[_i].want)
		ck_assert_msg(strstr(err.text, check_rows[_i].want), "%s", err.text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reply");
	TCase *tcase = tcase_create("reply");

	unit_add_rows(tcase, texts, text_rows);
	unit_add_rows(tcase, overrides, override_rows);
	tcase_add_test(tcase, override_says_that_parts_fit);
	tcase_add_test(tcase, class_matches_verdict);
	tcase_add_test(tcase, always_one_printable_line);
	tcase_add_test(tcase, long_fields_leave_room);
	unit_add_rows(tcase, checks, check_rows);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
