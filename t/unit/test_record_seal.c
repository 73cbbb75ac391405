/* milter/record/seal: with its keys a sealed line is the plain one; without them, or anywhere else, it is nothing. */
#include "t/lib/relaylog.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "milter/record/files.h"
#include "milter/record/purge.h"
#include "milter/record/seal.h"

static struct relaylog relay;
static struct seal *seal;
static struct buf room;

static struct seal *ring_open(const char *class_name)
{
	struct seal *out = NULL;

	ck_assert(seal_open(str_from_c(relay.keyring), str_from_c(class_name), &out, NULL));
	return out;
}

static void setup(void)
{
	relaylog_setup(&relay);
	seal = ring_open("relay");
	buf_init(&room, 2 * RECORD_LINE_MAX);
}

static void teardown(void)
{
	seal_close(seal);
	buf_clear(&room);
}

static const struct str people[] = { STR_INIT("hanako@customer.example"), STR_INIT("\xff\"\\@x.example") };

static struct record_event mail(const char *tenant)
{
	return (struct record_event){
		.event = STR("accepted"), .tenant = str_from_c(tenant), .id = STR("01JD6Z5M3Q9V0T8E2R7Y4K1N6A"),
		.message = STR("01JD6Z5M3Q9V0T8E2R7Y4K1N6A"), .queue_id = STR("4XvJ9k2Lz1"), .client = STR("192.0.2.17"),
		.from = STR("taro@acme.example"), .to = people, .to_count = 2, .nrcpt = 2, .verdict = STR("accept"),
		.reply = STR("250 2.0.0 taken for hanako@customer.example"), .detail = STR("{\"sealed\":\"no\",\"n\":1}"),
	};
}

/* One line as the writer would make it, without its newline; the caller clears `out`. */
static void make_line(struct seal *with, const struct record_event *event, int64_t tseq, struct buf *out)
{
	const struct record_stamp stamp = { .seq = 7, .tseq = tseq, .time_us = clock_now_us(), .clock = STR("degraded") };
	unsigned char chain[CHAIN_LEN] = { 0 };
	struct record_body body;
	struct err err = { .kind = ERR_NONE };
	struct buf text;

	buf_init(&text, RECORD_LINE_MAX);
	buf_init(out, RECORD_LINE_MAX);
	ck_assert(record_format_body(event, &text, &body, NULL));
	ck_assert_msg(!with || seal_body(with, event, clock_now_us(), &text, &body, &err), "%s", err.text);
	ck_assert(record_format_line(body, &stamp, chain, out, NULL));
	out->len--;
	buf_clear(&text);
}

static enum seal_result look(struct seal *with, struct str line)
{
	struct str out;
	enum seal_result result = seal_read_line(with, line, &room, &out);

	ck_assert(result == SEAL_OPENED || out.ptr == line.ptr);
	return result;
}

/* But for the chain value: that is over what stands on the disk. */
static struct str without_chain(struct str line)
{
	return str_slice(line, 0, line.len - CHAIN_HEX_LEN - 2);
}

START_TEST(reads_as_if_plain)
{
	static const struct { const char *tenant; int64_t tseq; } rows[] = { { "acme", 5 }, { "acme", 0 }, { "", 0 } };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct record_event event = mail(rows[i].tenant);
		struct buf plain, sealed;
		struct str opened;

		make_line(NULL, &event, rows[i].tseq, &plain);
		make_line(seal, &event, rows[i].tseq, &sealed);
		ck_assert_uint_eq(str_find(buf_view(&sealed), STR("example")), sealed.len);
		ck_assert_uint_eq(str_find(buf_view(&sealed), STR("192.0.2")), sealed.len);
		ck_assert_uint_lt(str_find(buf_view(&sealed), STR("4XvJ9k2Lz1")), sealed.len);
		ck_assert_int_eq(seal_read_line(seal, buf_view(&sealed), &room, &opened), SEAL_OPENED);
		ck_assert_str_is(without_chain(opened), without_chain(buf_view(&plain)));
		ck_assert_int_eq(look(seal, buf_view(&plain)), SEAL_PLAIN);
		ck_assert_int_eq(look(NULL, buf_view(&sealed)), SEAL_CLOSED);
		buf_clear(&plain);
		buf_clear(&sealed);
	}
}
END_TEST

/* What verify reads is never sealed, nor is what has nothing to hide. */
START_TEST(the_log_about_itself)
{
	const struct record_event own[] = {
		{ .event = STR("erased"), .id = STR("1"), .detail = STR("{\"tenant\":\"acme\"}") },
		{ .event = STR("started"), .id = STR("1"), .host = STR("mx1") },
		{ .event = STR("suspended"), .id = STR("1"), .tenant = STR("acme") },
	};

	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		struct buf line;

		make_line(seal, &own[i], 0, &line);
		ck_assert_int_eq(look(seal, buf_view(&line)), SEAL_PLAIN);
		buf_clear(&line);
	}
}
END_TEST

/* `from` in the place of the first occurrence of `to`. */
static void swap(const struct buf *line, const char *was, const char *is, enum seal_result want)
{
	size_t at = str_find(buf_view(line), str_from_c(was));
	struct buf forged;

	ck_assert_uint_lt(at, line->len);
	buf_init(&forged, RECORD_LINE_MAX);
	buf_add(&forged, str_slice(buf_view(line), 0, at));
	buf_add_c(&forged, is);
	buf_add(&forged, str_from(buf_view(line), at + strlen(was)));
	ck_assert_msg(look(seal, buf_view(&forged)) == want, "%s -> %s: " STR_FMT, was, is, STR_ARG(buf_view(&forged)));
	buf_clear(&forged);
}

/* Everything that stays readable is bound to what does not. */
START_TEST(moved)
{
	struct record_event event = mail("acme");
	struct buf line, other;

	make_line(seal, &event, 5, &line);
	event = mail("ginza");
	make_line(seal, &event, 5, &other);
	swap(&line, "\"id\":\"01JD6Z5M3Q9V0T8E2R7Y4K1N6A\"", "\"id\":\"01JD6Z5M3Q9V0T8E2R7Y4K1N6B\"", SEAL_FORGED);
	swap(&line, "\"message\":\"01JD", "\"message\":\"01JE", SEAL_FORGED);
	swap(&line, "\"queue_id\":\"4XvJ9k2Lz1\"", "\"queue_id\":\"4XvJ9k2Lz2\"", SEAL_FORGED);
	swap(&line, "accepted", "rejected", SEAL_FORGED);
	swap(&line, "\"tenant\":\"acme\"", "\"tenant\":\"ginza\"", SEAL_CLOSED);          /* the key's id is another */
	swap(&line, "2026-11-21:", "2026-11-20:", SEAL_CLOSED);
	swap(&line, "\"sealed\":\"2026-11-21:", "\"sealed\":\"2026-13-21:", SEAL_FORGED);
	swap(&line, "\"sealed\":\"2026-11-21:", "\"sealed\":\"", SEAL_FORGED);
	swap(&line, "\"tseq\":5", "\"tseq\":6", SEAL_OPENED);          /* the chain's matter, as seq and time are */

	/* The same text under a key's id that is right: another class, another tenant. */
	struct seal *history = ring_open("history");
	struct buf elsewhere;

	event = mail("acme");
	make_line(history, &event, 5, &elsewhere);
	ck_assert_int_eq(look(history, buf_view(&line)), SEAL_CLOSED);
	ck_assert_int_eq(look(seal, buf_view(&elsewhere)), SEAL_CLOSED);
	ck_assert_int_eq(look(history, buf_view(&elsewhere)), SEAL_OPENED);
	seal_close(history);
	buf_clear(&line);
	buf_clear(&other);
	buf_clear(&elsewhere);
}
END_TEST

/* Any bit of the member changed, and the line cut anywhere: never opened, never read beyond. */
START_TEST(hostile)
{
	struct record_event event = mail("acme");
	struct buf line;

	make_line(seal, &event, 5, &line);
	size_t begin = str_find(buf_view(&line), STR("\"sealed\":\"")) + 10, end = begin;

	while (line.ptr[end] != '"')
		end++;
	for (size_t at = begin; at < end; at++)
		for (int bit = 0; bit < 8; bit++) {
			line.ptr[at] ^= (char)(1 << bit);
			ck_assert_int_ne(look(seal, buf_view(&line)), SEAL_OPENED);
			line.ptr[at] ^= (char)(1 << bit);
		}
	ck_assert_int_eq(look(seal, buf_view(&line)), SEAL_OPENED);
	for (size_t n = 0; n < line.len; n++) {
		struct str cut = unit_wall(str_of(line.ptr, n));

		look(seal, cut);
		unit_wall_free(cut);
	}
	buf_clear(&line);
}
END_TEST

/* --- keys */

static struct record_writer *sealed_writer(void)
{
	struct record_writer_config config = relaylog_config(&relay);
	struct record_writer *writer = NULL;
	struct err err = { .kind = ERR_NONE };

	config.is_sealed = true;
	ck_assert_msg(record_writer_open(&config, &writer, &err), "%s", err.text);
	return writer;
}

static bool try_mail(struct record_writer *writer, const char *tenant, struct err *err)
{
	struct record_event event = mail(tenant);

	event.id = STR_EMPTY;
	return record_append(writer, &event, RECORD_DURABLE, NULL, err);
}

/* Lines of all files by what can be read of them. */
static void count_lines(int out[SEAL_FORGED + 1])
{
	struct seal *fresh = ring_open("relay");
	struct record_file *files = NULL;
	size_t count = 0;

	memset(out, 0, (SEAL_FORGED + 1) * sizeof *out);
	ck_assert(record_files_list(relay.dir, &files, &count, NULL));
	for (size_t i = 0; i < count; i++) {
		char name[RECORD_NAME_MAX];
		struct str rest, line;
		struct buf text;

		record_file_name(files[i], name);
		relaylog_read(&relay, name, &text);
		rest = buf_view(&text);
		while (str_next(&rest, '\n', &line))
			if (line.len)
				out[look(fresh, line)]++;
		buf_clear(&text);
	}
	free(files);
	seal_close(fresh);
}

static void check_verify(void)
{
	relaylog_must_verify(&relay, VERIFY_OK);
	relaylog_opinions(&relay, 0, "sealed", NULL);
}

/* Two tenants over two days: four lines are sealed under four keys. */
static void write_log(void)
{
	struct record_writer *writer = sealed_writer();
	struct err err = { .kind = ERR_NONE };

	for (int day = 0; day < 2; day++) {
		clock_set(NOON + day * DAY_US);
		ck_assert_msg(try_mail(writer, "acme", &err) && try_mail(writer, "ginza", &err), "%s", err.text);
	}
	record_writer_close(writer);
}

START_TEST(a_tenants_key_goes)
{
	int seen[SEAL_FORGED + 1];
	bool found;

	write_log();
	count_lines(seen);
	ck_assert_int_eq(seen[SEAL_OPENED], 4);
	ck_assert(seal_destroy_tenant(str_from_c(relay.keyring), STR("acme"), &found, NULL) && found);
	count_lines(seen);
	ck_assert_int_eq(seen[SEAL_OPENED], 2);
	ck_assert_int_eq(seen[SEAL_CLOSED], 2);
	ck_assert(seal_destroy_tenant(str_from_c(relay.keyring), STR("acme"), &found, NULL) && !found);
	check_verify();

	/* A customer that comes back gets another key; what was destroyed stays so. */
	struct record_writer *writer = sealed_writer();

	ck_assert(try_mail(writer, "acme", NULL));
	record_writer_close(writer);
	count_lines(seen);
	ck_assert_int_eq(seen[SEAL_OPENED], 3);
	ck_assert_int_eq(seen[SEAL_CLOSED], 2);
	check_verify();
}
END_TEST

START_TEST(a_days_key_goes)
{
	int seen[SEAL_FORGED + 1];
	int64_t count;

	write_log();
	ck_assert(seal_destroy_days(str_from_c(relay.keyring), STR("relay"), jst_day(NOON), &count, NULL));
	ck_assert_int_eq(count, 0);
	ck_assert(seal_destroy_days(str_from_c(relay.keyring), STR("history"), jst_day(NOON) + 9, &count, NULL));
	ck_assert_int_eq(count, 0);
	ck_assert(seal_destroy_days(str_from_c(relay.keyring), STR("relay"), jst_day(NOON) + 1, &count, NULL));
	ck_assert_int_eq(count, 1);
	count_lines(seen);
	ck_assert_int_eq(seen[SEAL_OPENED], 2);
	ck_assert_int_eq(seen[SEAL_CLOSED], 2);
	check_verify();
}
END_TEST

static bool is_there(const char *day)
{
	char path[2 * PATH_MAX];

	snprintf(path, sizeof path, "%s/day/relay/%s.key", relay.keyring, day);
	return access(path, F_OK) == 0;
}

/* The key goes when the file does, to the second. */
START_TEST(purged_with_the_file)
{
	struct record_writer_config config = relaylog_config(&relay);
	const struct retention keep = { .days = 60 };
	int64_t count, due_us = jst_day_start_us(jst_day(NOON) + 61);

	write_log();
	clock_set(due_us - 1);
	ck_assert(record_purge(&config, keep, jst_day(clock_now_us()), false, NULL, NULL, &count, NULL));
	ck_assert_int_eq(count, 0);
	ck_assert(is_there("2026-11-21"));
	clock_set(due_us);
	ck_assert(record_purge(&config, keep, jst_day(clock_now_us()), true, NULL, NULL, &count, NULL));
	ck_assert(is_there("2026-11-21"));
	ck_assert(record_purge(&config, keep, jst_day(clock_now_us()), false, NULL, NULL, &count, NULL));
	ck_assert_int_eq(count, 1);
	ck_assert(!is_there("2026-11-21") && is_there("2026-11-22"));
	check_verify();
}
END_TEST

START_TEST(open_to_others)
{
	struct record_writer *writer = sealed_writer();
	struct err err = { .kind = ERR_NONE };

	ck_assert(mkdir(relay.keyring, 0755) == 0);
	ck_assert(!try_mail(writer, "acme", &err));
	ck_assert_int_eq(err.kind, ERR_CONFIG);
	ck_assert_ptr_nonnull(strstr(err.text, "chmod 700"));
	ck_assert(chmod(relay.keyring, 0700) == 0);
	ck_assert(try_mail(writer, "acme", &err));
	ck_assert(!try_mail(writer, "a/../b", &err));
	ck_assert_int_eq(err.kind, ERR_INPUT);
	record_writer_close(writer);
	check_verify();
}
END_TEST

/* --- many at once */

static void *write_some(void *arg)
{
	struct record_writer *writer = arg;
	char name[16];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "t%d", i % 5);
		if (!try_mail(writer, name, NULL))
			return arg;
	}
	return NULL;
}

/* Two programs and eight threads find or make the same keys. */
START_TEST(together)
{
	struct record_writer *writers[2] = { sealed_writer(), sealed_writer() };
	pthread_t threads[8];
	int seen[SEAL_FORGED + 1];

	for (size_t i = 0; i < 8; i++)
		ck_assert(pthread_create(&threads[i], NULL, write_some, writers[i % 2]) == 0);
	for (size_t i = 0; i < 8; i++) {
		void *failed;

		pthread_join(threads[i], &failed);
		ck_assert_ptr_null(failed);
	}
	record_writer_close(writers[0]);
	record_writer_close(writers[1]);
	count_lines(seen);
	ck_assert_int_eq(seen[SEAL_OPENED], 400);
	ck_assert_int_eq(seen[SEAL_CLOSED] + seen[SEAL_FORGED], 0);
	check_verify();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seal");
	TCase *tcase = tcase_create("all");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, reads_as_if_plain);
	tcase_add_test(tcase, the_log_about_itself);
	tcase_add_test(tcase, moved);
	tcase_add_test(tcase, hostile);
	tcase_add_test(tcase, a_tenants_key_goes);
	tcase_add_test(tcase, a_days_key_goes);
	tcase_add_test(tcase, purged_with_the_file);
	tcase_add_test(tcase, open_to_others);
	tcase_add_test(tcase, together);
	suite_add_tcase(suite, tcase);
	return unit_main(suite);
}
