/*
 * Whole messages through a real gate (embedded store, relay log), as an MTA would hand them in. A directory of t/golden has
 *
 *   config.yaml        the tenants; node, directories and keys are those of session_fixture.h
 *   message.eml        as it comes, octet for octet: from <news@acme.example>, logged in as acme, to <reader@example.org>
 *   message.expected   as it leaves; of one that does not pass, the reply
 *   record.expected    its lines of the relay log, from their time on to what the chain adds
 *
 * The clock and the key of the tokens stand still, so that every octet of a token is known; RECORD-ID is what is different each
 * time. What came out instead is left beside this program, as NAME.message.got and NAME.record.got.
 */
#include "t/lib/relaylog.h"
#include "t/lib/session_fixture.h"
#include "t/lib/unit.h"

#include <glob.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>

#include "config/base/io.h"

#define FILE_MAX ((size_t)1 << 20)

/* One directory, while it is looked at. */
struct golden {
	char dir[PATH_MAX];
	const char *name;
	struct buf config, came, message, record;
	struct arena arena;
	char id[RECORD_ID_LEN + 1];
};

static glob_t directories;

static void read_file(const struct golden *golden, const char *name, struct buf *out)
{
	char path[PATH_MAX + 32];
	struct err err;

	snprintf(path, sizeof path, "%s/%s", golden->dir, name);
	buf_init(out, FILE_MAX);
	ck_assert_msg(io_read_file(path, out, &err), "%s", err.text);
}

static void open_golden(struct golden *golden, const char *message)
{
	snprintf(golden->dir, sizeof golden->dir, "%s", message);
	dirname(golden->dir);
	golden->name = strrchr(golden->dir, '/') + 1;
	read_file(golden, "config.yaml", &golden->config);
	buf_add_byte(&golden->config, '\0');
	read_file(golden, "message.eml", &golden->came);
	buf_init(&golden->message, FILE_MAX);
	buf_init(&golden->record, FILE_MAX);
	arena_init(&golden->arena, FILE_MAX);
	clock_set(NOON);
	fixture_open("%s", golden->config.ptr);
}

static void close_golden(struct golden *golden)
{
	arena_clear(&golden->arena);
	buf_clear(&golden->config);
	buf_clear(&golden->came);
	buf_clear(&golden->message);
	buf_clear(&golden->record);
}

/* An MTA shows the folds of a field as bare line feeds. */
static struct str unfolded(struct golden *golden, struct str value)
{
	char *text = arena_array(&golden->arena, value.len + 1, 1);
	size_t len = 0;

	ck_assert_ptr_nonnull(text);
	for (size_t i = 0; i < value.len; i++)
		if (value.ptr[i] != '\r')
			text[len++] = value.ptr[i];
	return str_of(text, len);
}

static void show_fields(struct golden *golden, struct session *s, struct str header, struct rewrite_message *out)
{
	struct header *fields = arena_array(&golden->arena, header.len + 1, sizeof *fields);

	ck_assert_ptr_nonnull(fields);
	*out = (struct rewrite_message){ .fields = fields };
	for (struct header *field = fields; header_next(&header, field); field++, out->field_count++)
		session_header(s, field->name, unfolded(golden, field->value));
}

/* What an MTA makes of the changes. */
static void render(struct golden *golden, struct session *s, struct rewrite_message *message,
		   const struct session_changes *changes, struct str body)
{
	struct rewrite_result result = { .field_count = 1 + changes->field_count };
	struct str chunk;

	ck_assert_uint_eq(changes->steer_count + changes->submit_count, 0);
	result.fields = arena_array(&golden->arena, result.field_count, sizeof *result.fields);
	ck_assert_ptr_nonnull(result.fields);
	result.fields[0] = (struct rewrite_field){ HEADER_ADD, STR(SESSION_RECORD_HEADER), 1, STR("RECORD-ID") };
	for (size_t i = 0; i < changes->field_count; i++)
		result.fields[1 + i] = changes->fields[i];
	memcpy(golden->id, changes->record_id.ptr, RECORD_ID_LEN);
	rewrite_render(message, &result, STR("\r\n"), &golden->message);
	if (!changes->has_body)
		buf_add(&golden->message, body);
	while (changes->has_body && session_next_chunk(s, &chunk))
		buf_add(&golden->message, chunk);
}

static enum session_answer hand_in(struct golden *golden, struct session *s, struct reply *reply)
{
	const struct session_macros macros = { .auth_authen = STR("acme"), .queue_id = STR("4QfQ1") };
	struct str header, body;
	struct rewrite_message message;
	struct session_changes changes;
	bool has_blank;

	session_connect(s, NULL, false);
	session_helo(s, STR("web1.acme.example"));
	ck_assert_int_eq(session_mail(s, STR("<news@acme.example>"), NULL, 0, &macros, reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_rcpt(s, STR("<reader@example.org>"), reply), SESSION_CONTINUE);
	ck_assert_int_eq(session_data(s, &macros, reply), SESSION_CONTINUE);
	header_split(buf_view(&golden->came), &header, &body, &has_blank);
	ck_assert(has_blank);
	show_fields(golden, s, header, &message);
	session_body(s, body);
	ck_assert(session_take_turn(s, 0));

	enum session_answer answer = session_eom(s, &macros, &changes, reply);

	if (answer != SESSION_REPLY)
		render(golden, s, &message, &changes, body);
	session_done(s);
	return answer;
}

/* The id that a refusal says to the sender stands in its text. */
static void keep_reply(struct golden *golden, const struct reply *reply)
{
	char line[REPLY_TEXT_MAX + 32];
	const char *id = strstr(reply->text, "(ref ");

	ck_assert_ptr_nonnull(id);
	memcpy(golden->id, id + strlen("(ref "), RECORD_ID_LEN);
	reply_line(reply, line);
	*strstr(line, golden->id) = '\0';
	buf_printf(&golden->message, "%sRECORD-ID)\r\n", line);
}

/* One line as it is expected: neither what stands in the chain, nor what is different each time. */
static void keep_line(struct golden *golden, struct str line)
{
	struct str id = str_from_c(golden->id);
	size_t end = str_find(line, STR(",\"clock\":"));

	line = str_slice(line, 0, end < line.len ? end : str_find(line, STR(",\"salt\":")));
	line = str_from(line, str_find(line, STR("\"time\":")));
	for (size_t at; (at = str_find(line, id)) < line.len; line = str_from(line, at + id.len)) {
		buf_add(&golden->record, str_slice(line, 0, at));
		buf_add_c(&golden->record, "RECORD-ID");
	}
	buf_add(&golden->record, line);
	buf_add_c(&golden->record, "\n");
}

static void keep_records(struct golden *golden)
{
	struct str rest = fixture_log("relay"), line;

	while (str_cut(rest, '\n', &line, &rest))
		if (str_find(line, STR(",\"verdict\":")) < line.len)
			keep_line(golden, line);
}

static void expect(const struct golden *golden, const char *what, const struct buf *got)
{
	char name[32], out[PATH_MAX];
	struct buf want;
	struct err err;

	ck_assert(!got->failed);
	snprintf(name, sizeof name, "%s.expected", what);
	snprintf(out, sizeof out, "t/unit/%s.%s.got", golden->name, what);
	read_file(golden, name, &want);
	if (!str_eq(buf_view(got), buf_view(&want))) {
		ck_assert_msg(io_replace_file(out, buf_view(got), 0644, &err), "%s", err.text);
		ck_abort_msg("not as expected: diff %s/%s %s", golden->dir, name, out);
	}
	buf_clear(&want);
}

START_TEST(comes_out_as_expected)
{
	const struct session_abilities abilities = { .sees_body = true, .can_rewrite = true };
	static struct golden golden;
	struct reply reply;

	open_golden(&golden, directories.gl_pathv[_i]);
	struct session *s = session_new(&gate, &abilities);

	ck_assert_ptr_nonnull(s);
	if (hand_in(&golden, s, &reply) == SESSION_REPLY)
		keep_reply(&golden, &reply);
	session_free(s);
	keep_records(&golden);
	expect(&golden, "message", &golden.message);
	expect(&golden, "record", &golden.record);
	close_golden(&golden);
}
END_TEST

int main(void)
{
	const char *srcdir = getenv("srcdir");
	char pattern[PATH_MAX];
	Suite *suite = suite_create("golden");
	TCase *tcase = tcase_create("all");

	snprintf(pattern, sizeof pattern, "%s/t/golden/*/message.eml", srcdir ? srcdir : ".");
	if (glob(pattern, 0, NULL, &directories) != 0)
		return EXIT_FAILURE;
	tcase_add_loop_test(tcase, comes_out_as_expected, 0, (int)directories.gl_pathc);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
