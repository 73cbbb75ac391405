#include "milter/reply.h"

#include <inttypes.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "config/base/utf8.h"
#include "config/config_report.h"

#define FIELD_MAX 120                  /* octets that one field may add: a long address must not push out the rest */
#define REF_MAX 64
#define TAIL_MAX (REF_MAX + 32)

struct status {
	int code;
	const char *enhanced;
};

/*
 * What the client hears for each reason: the status when the verdict is to defer, the one when it is to reject, and the
 * sentence. [TAG] and (ref ID) follow the sentence by themselves. The class of a status must be that of its verdict, or
 * the MTA replaces the whole reply by a text of its own.
 */
static const struct row {
	const char *tag;
	struct status defer, reject;
	const char *sentence;
} rows[REASON_COUNT] = {
	[REASON_NONE] = { "", { 451, "4.3.0" }, { 554, "5.3.0" }, "accepted" },
	[REASON_NO_TENANT] = { "SKQ-WHO", { 450, "4.7.1" }, { 550, "5.7.1" },
		"this relay does not know whose mail this is; log in, or send from a registered address" },
	[REASON_SUSPENDED] = { "SKQ-SUSP", { 450, "4.7.1" }, { 550, "5.7.13" },     /* RFC 5248: account disabled */
		"{tenant}: sending{of} is suspended{until}{why}" },
	[REASON_SENDER] = { "SKQ-SENDER", { 450, "4.7.1" }, { 550, "5.7.1" }, "{tenant} may not send as {sender}" },
	[REASON_ADDRESS] = { "SKQ-ADDR", { 450, "4.1.0" }, { 553, "5.1.0" },
		"{scope} cannot be read as one address; write user@domain" },
	[REASON_FROM] = { "SKQ-FROM", { 450, "4.7.1" }, { 550, "5.7.1" },
		"{tenant} may not send with {sender} in From or Sender; put an address of its own there" },
	[REASON_CONTENT] = { "SKQ-CONTENT", { 451, "4.7.1" }, { 550, "5.7.1" }, "{tenant}: mail with this {scope} does not pass here" },
	[REASON_TLS] = { "SKQ-TLS", { 451, "4.7.0" }, { 530, "5.7.0" },             /* RFC 3207 4 */
		"{tenant}: only over TLS; issue STARTTLS first" },
	[REASON_AUTH] = { "SKQ-AUTH", { 451, "4.7.0" }, { 530, "5.7.0" },           /* RFC 4954 6 */
		"{tenant}: authentication required" },
	[REASON_SIZE] = { "SKQ-SIZE", { 452, "4.3.4" }, { 552, "5.3.4" },
		"{tenant}: a message of {used} bytes is over the limit of {limit}" },
	[REASON_RECIPIENT] = { "SKQ-TO", { 450, "4.7.1" }, { 550, "5.7.1" }, "{tenant} may not write to {scope}" },
	[REASON_SUPPRESSED] = { "SKQ-SUPP", { 450, "4.7.1" }, { 550, "5.7.1" },
		"{tenant}: {scope} is on the suppression list{until}{why}" },
	[REASON_RETURN_PATH] = { "SKQ-PATH", { 450, "4.7.1" }, { 550, "5.7.1" }, "{scope} takes no mail{why}" },
	[REASON_RECIPIENTS] = { "SKQ-RCPTS", { 452, "4.5.3" }, { 550, "5.5.3" },
		"{tenant}: at most {limit} {unit} in one message" },
	[REASON_RATE] = { "SKQ-RATE", { 451, "4.7.1" }, { 550, "5.7.1" },
		"{tenant}: {limit} {unit}/{period}{of} used up{again}" },
	[REASON_QUOTA] = { "SKQ-QUOTA", { 451, "4.7.1" }, { 550, "5.7.1" },
		"{tenant}: {limit} {unit}/{period}{of} used up{again}" },
	[REASON_NEVER] = { "SKQ-NEVER", { 452, "4.5.3" }, { 550, "5.5.3" },         /* bytes: see status_of */
		"{tenant}: this message alone is more than {limit} {unit}/{period}{of}; it can never fit" },
	[REASON_STORE] = { "SKQ-STORE", { 451, "4.3.0" }, { 554, "5.3.0" },
		"the relay cannot look up its limits now; try again" },
	[REASON_MEMORY] = { "SKQ-MEM", { 452, "4.3.1" }, { 554, "5.3.4" },
		"the relay has no room for this message now; try again" },
	[REASON_RECORD] = { "SKQ-LOG", { 451, "4.3.0" }, { 554, "5.3.0" },
		"the relay cannot write its log now; try again" },
	[REASON_RECORD_FULL] = { "SKQ-DISK", { 452, "4.3.1" }, { 554, "5.3.0" },
		"the relay's log disk is full; try again" },
};

/* Of a rate or quota that need not be used up at all. */
#define IN_PARTS "{tenant}: this message alone is more than {limit} {unit}/{period}{of}, the limit for now{again}"

/* Text under a ceiling that never fails: what does not fit is left out, what is not printable ASCII becomes '?'. */
struct text {
	char *at;
	size_t len, max;
};

static void text_add(struct text *text, struct str s, size_t most)
{
	size_t end = text->max - text->len < most ? text->max : text->len + most;

	for (size_t i = 0; i < s.len && text->len < end;) {
		size_t n = utf8_length(str_from(s, i));
		bool is_plain = s.ptr[i] >= 0x20 && s.ptr[i] <= 0x7e;

		text->at[text->len++] = is_plain ? s.ptr[i] : '?';
		i += n ? n : 1;
	}
}

static void text_add_c(struct text *text, const char *c)
{
	text_add(text, str_from_c(c), SIZE_MAX);
}

static void text_add_number(struct text *text, int64_t value)
{
	char digits[24];

	snprintf(digits, sizeof digits, "%" PRId64, value);
	text_add_c(text, value == LIMIT_NONE ? "unlimited" : digits);
}

/* Zero is "unknown or never"; what does not fit into four digits of a year is no better. */
static bool has_time(const struct verdict *v)
{
	return v->retry_at_us > 0 && v->retry_at_us < jst_day_start_us(jst_day_from_civil(9999, 12, 31));
}

/* "15:04 JST", with its date when that is not today. Never earlier than asked: the minute is rounded up. */
static void text_add_time(struct text *text, int64_t t_us)
{
	const int64_t minute_us = 60 * US_PER_S;
	int64_t up = (t_us + minute_us - 1) / minute_us * minute_us;
	char stamp[JST_TIME_LEN + 1];

	jst_format_time(up, stamp);
	if (jst_day(up) != jst_day(clock_now_us())) {
		text_add(text, str_of(stamp, JST_DATE_LEN), SIZE_MAX);
		text_add_c(text, " ");
	}
	text_add(text, str_of(stamp + JST_DATE_LEN + 1, 5), SIZE_MAX);
	text_add_c(text, " JST");
}

static void add_tenant(struct text *text, const struct verdict *v)
{
	text_add(text, v->tenant ? v->tenant->name : STR("this relay"), FIELD_MAX);
}

static void add_rule(struct text *text, const struct verdict *v)
{
	text_add(text, v->rule, FIELD_MAX);
}

static void add_scope(struct text *text, const struct verdict *v)
{
	text_add(text, v->scope, FIELD_MAX);
}

static void add_sender(struct text *text, const struct verdict *v)
{
	text_add(text, v->scope.len ? v->scope : STR("a missing or unreadable address"), FIELD_MAX);
}

static void add_of(struct text *text, const struct verdict *v)
{
	if (v->scope.len)
		text_add_c(text, " of ");
	add_scope(text, v);
}

static void add_used(struct text *text, const struct verdict *v)
{
	text_add_number(text, v->used);
}

static void add_limit(struct text *text, const struct verdict *v)
{
	text_add_number(text, v->limit);
}

static void add_unit(struct text *text, const struct verdict *v)
{
	static const char *const many[] = { [COUNTS_RECIPIENTS] = "recipients", [COUNTS_MESSAGES] = "messages",
					    [COUNTS_BYTES] = "bytes" };
	struct str unit = v->rule.len && str_eq(v->rule, POLICY_RULE_DOMAINS) ? STR("recipient domains")
									       : str_from_c(many[v->counts]);

	text_add(text, v->limit == 1 ? str_of(unit.ptr, unit.len - 1) : unit, SIZE_MAX);
}

static void add_period(struct text *text, const struct verdict *v)
{
	text_add(text, v->period, FIELD_MAX);
}

static void add_time(struct text *text, const struct verdict *v)
{
	if (has_time(v))
		text_add_time(text, v->retry_at_us);
	else
		text_add_c(text, "an unknown time");
}

static void add_seconds(struct text *text, const struct verdict *v)
{
	int64_t wait_us = has_time(v) ? v->retry_at_us - clock_now_us() : 0;

	text_add_number(text, wait_us <= 0 ? 0 : (wait_us - 1) / US_PER_S + 1);
}

static void add_again(struct text *text, const struct verdict *v)
{
	if (v->fits_in_parts && v->action != VERDICT_HOLD)
		text_add_c(text, "; send it in parts");
	if (!has_time(v))
		return;
	text_add_c(text, "; room again at ");
	text_add_time(text, v->retry_at_us);
}

static void add_until(struct text *text, const struct verdict *v)
{
	if (!has_time(v))
		return;
	text_add_c(text, " until ");
	text_add_time(text, v->retry_at_us);
}

static void add_detail(struct text *text, const struct verdict *v)
{
	text_add(text, v->detail, FIELD_MAX);
}

static void add_why(struct text *text, const struct verdict *v)
{
	if (v->detail.len)
		text_add_c(text, ": ");
	add_detail(text, v);
}

/* What a sentence may name. Those of the second group bring their own words and vanish when there is nothing to say. */
static const struct field {
	struct str name;
	void (*add)(struct text *text, const struct verdict *v);
} fields[] = {
	{ STR_INIT("tenant"), add_tenant },   { STR_INIT("rule"), add_rule },       { STR_INIT("scope"), add_scope },
	{ STR_INIT("sender"), add_sender },   { STR_INIT("used"), add_used },       { STR_INIT("limit"), add_limit },
	{ STR_INIT("unit"), add_unit },       { STR_INIT("period"), add_period },   { STR_INIT("time"), add_time },
	{ STR_INIT("seconds"), add_seconds }, { STR_INIT("detail"), add_detail },

	{ STR_INIT("of"), add_of },           { STR_INIT("again"), add_again },     { STR_INIT("until"), add_until },
	{ STR_INIT("why"), add_why },
};
#define FIELD_COUNT (sizeof fields / sizeof *fields)

static const struct field *field_find(struct str name)
{
	for (size_t i = 0; i < FIELD_COUNT; i++)
		if (str_eq(fields[i].name, name))
			return &fields[i];
	return NULL;
}

/* Splits "text{field}rest" once. False: no field is left, and `plain` is all of it. */
static bool next_field(struct str *rest, struct str *plain, struct str *name)
{
	struct str before, after;

	*plain = *rest;
	if (!str_cut(*rest, '{', &before, &after) || !str_cut(after, '}', name, rest))
		return false;
	*plain = before;
	return true;
}

static void add_sentence(struct text *text, struct str sentence, const struct verdict *v)
{
	struct str plain, name;

	while (next_field(&sentence, &plain, &name)) {
		const struct field *field = field_find(name);

		text_add(text, plain, SIZE_MAX);
		if (field)
			field->add(text, v);
	}
	text_add(text, plain, SIZE_MAX);
}

static struct str sentence_of(const struct config *config, const struct verdict *v, enum verdict_reason reason)
{
	for (size_t i = 0; i < config->reply_text_count; i++)
		if (reason != REASON_NONE && str_eq(config->reply_texts[i].tag, str_from_c(rows[reason].tag)))
			return config->reply_texts[i].text;
	return v->fits_in_parts ? STR(IN_PARTS) : str_from_c(rows[reason].sentence);
}

static struct status status_of(const struct verdict *v)
{
	const struct row *row = &rows[v->reason];
	bool is_defer = v->action == VERDICT_DEFER;

	if (v->action == VERDICT_ACCEPT || v->action == VERDICT_HOLD)
		return (struct status){ 250, "2.0.0" };
	if (v->reason == REASON_NEVER && v->counts == COUNTS_BYTES)
		row = &rows[REASON_SIZE];
	return is_defer ? row->defer : row->reject;
}

void reply_from_verdict(const struct config *config, const struct verdict *v, struct str ref, struct reply *out)
{
	struct status status = status_of(v);
	enum verdict_reason reason = v->action == VERDICT_ACCEPT ? REASON_NONE : v->reason;
	char tail_text[TAIL_MAX];
	struct text tail = { .at = tail_text, .max = sizeof tail_text };
	struct text text = { .at = out->text };

	if (reason != REASON_NONE) {
		text_add_c(&tail, " [");
		text_add_c(&tail, rows[reason].tag);
		text_add_c(&tail, "]");
	}
	if (ref.len) {
		text_add_c(&tail, " (ref ");
		text_add(&tail, ref, REF_MAX);
		text_add_c(&tail, ")");
	}
	/* The sentence gives way: whoever calls us about a refusal needs the reference. */
	text.max = REPLY_TEXT_MAX - tail.len;
	if (v->action == VERDICT_HOLD)
		text_add_c(&text, "held: ");
	add_sentence(&text, sentence_of(config, v, reason), v);
	text.max = REPLY_TEXT_MAX;
	text_add(&text, str_of(tail.at, tail.len), SIZE_MAX);
	out->text[text.len] = '\0';
	out->code = status.code;
	snprintf(out->enhanced, sizeof out->enhanced, "%s", status.enhanced);
}

void reply_line(const struct reply *reply, char out[REPLY_TEXT_MAX + 32])
{
	snprintf(out, REPLY_TEXT_MAX + 32, "%d %s %s", reply->code, reply->enhanced, reply->text);
}

const char *reply_tag(enum verdict_reason reason)
{
	return rows[reason].tag;
}

static bool check_field(struct str name, struct err *err)
{
	char known[256];
	struct text list = { .at = known, .max = sizeof known - 1 };

	if (field_find(name))
		return true;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		text_add_c(&list, i ? ", " : "");
		text_add(&list, fields[i].name, SIZE_MAX);
	}
	known[list.len] = '\0';
	return err_set(err, ERR_CONFIG, "there is no field {" STR_FMT "}; there are %s", STR_ARG(name), known);
}

static bool check_tag(struct str tag, struct err *err)
{
	struct config_nearest nearest = { .name = tag };
	char hint[CONFIG_QUOTE_SIZE];

	for (size_t i = REASON_NONE + 1; i < REASON_COUNT; i++) {
		if (str_eq(tag, str_from_c(rows[i].tag)))
			return true;
		config_nearest_offer(&nearest, rows[i].tag);
	}
	return err_set(err, ERR_CONFIG, "there is no reply \"" STR_FMT "\"%s", STR_ARG(tag),
		       nearest.best ? config_nearest_hint(&nearest, hint) : "; see reply tags in sekisho.yaml(5)");
}

bool reply_text_check(struct str tag, struct str text, struct err *err)
{
	struct str plain, name;

	if (!check_tag(tag, err))
		return false;
	if (text.len == 0 || text.len > REPLY_SENTENCE_MAX)
		return err_set(err, ERR_CONFIG, "a reply text has 1 to %d octets, not %zu", REPLY_SENTENCE_MAX,
			       text.len);
	for (size_t i = 0; i < text.len; i++)
		if (text.ptr[i] < 0x20 || text.ptr[i] > 0x7e)
			return err_set(err, ERR_CONFIG, "octet %zu of the reply text is not printable ASCII", i + 1);
	while (next_field(&text, &plain, &name))
		if (!check_field(name, err))
			return false;
	if (str_find_byte(plain, '{') < plain.len)
		return err_set(err, ERR_CONFIG, "the reply text has a `{` without its `}`");
	return true;
}

bool reply_texts_check(const struct config *config, struct config_report *report)
{
	bool ok = true;

	for (size_t i = 0; i < config->reply_text_count; i++) {
		const struct reply_text *row = &config->reply_texts[i];
		const struct config_place at = { .file = row->file, .line = row->line, .column = row->column };
		struct err err;

		if (reply_text_check(row->tag, row->text, &err))
			continue;
		config_report_error(report, at, "replies: %s", err.text);
		ok = false;
	}
	return ok;
}
