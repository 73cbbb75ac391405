/*
 * config: files made to hurt, and snapshots that go while they are used.
 *
 * Each hostile file must end in an error, quickly and in little memory: the limits below are far over what is needed,
 * and far under what a quadratic or exponential reader would take.
 */
#include "t/lib/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "config/config_report.h"

#define RANDOM_SIZE ((size_t)10 << 20)
#define REPEAT_SIZE ((size_t)3 << 20)

static void check_refused(const char *path, const char *want)
{
	struct config *config = NULL;
	struct config_report report;
	struct err err;

	ck_assert(!config_load(path, &config, &report));
	ck_assert_ptr_null(config);
	config_report_first(&report, &err);
	ck_assert_msg(strstr(err.text, want) != NULL, "got \"%s\", want \"%s\"", err.text, want);
	config_report_clear(&report);
}

static void add_random(struct buf *out)
{
	uint32_t random = 1;

	while (out->len < RANDOM_SIZE)
		buf_add_byte(out, (char)((random = random * 1664525 + 1013904223) >> 24));
}

/* Each level ten times the one before: 10^9 nodes if aliases were followed. */
static void add_laughs(struct buf *out)
{
	buf_add_c(out, "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
	for (int i = 1; i < 9; i++)
		buf_printf(out, "a%d: &a%d [*a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d, *a%d]\n", i, i,
			   i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1, i - 1);
}

static const struct {
	const char *name, *begin, *repeat, *want;
	void (*make)(struct buf *out);
} hostile_rows[] = {
	{ .name = "random", .make = add_random, .want = "not UTF-8 text" },
	{ .name = "billion laughs", .make = add_laughs, .want = ":1:5: anchors and aliases (&x, *x) are not accepted" },
	{ .name = "brackets", .repeat = "[", .want = ":1:17: nested deeper than 16 levels" },
	{ .name = "braces", .repeat = "{a: ", .want = "nested deeper than 16 levels" },
	{ .name = "dashes", .repeat = "- ", .want = "nested deeper than 16 levels" },
	{ .name = "question marks", .repeat = "? ", .want = "cannot be a key" },
	{ .name = "one long word", .repeat = "aaaaaaaa", .want = "expected settings (key: value)" },
	{ .name = "one long quotation", .begin = "node: \"", .repeat = "aaaaaaaa", .want = "not valid YAML" },
	{ .name = "one long name", .begin = "node: ", .repeat = "aaaaaaaa", .want = "expected a name" },
	{ .name = "colons", .repeat = ":", .want = "not valid YAML: mapping values are not allowed" },
	{ .name = "anchors", .repeat = "&a ", .want = "anchors and aliases" },
	{ .name = "the same key", .repeat = "node: mx1\n", .want = "key \"node\" is given twice" },
	{ .name = "documents", .repeat = "---\n", .want = "a second document begins here" },
	{ .name = "a list of lists", .begin = "local_domains: [", .repeat = "[],", .want = "expected" },
	{ .name = "empty lines and no end", .begin = "node: |", .repeat = "\n ", .want = "node: expected a name" },
	{ .name = "spaces", .begin = "node:", .repeat = "        ", .want = "node: expected a name" },
};
START_TEST(hostile)
{
	struct buf text;

	buf_init(&text, RANDOM_SIZE + 64);
	if (hostile_rows[_i].begin)
		buf_add_c(&text, hostile_rows[_i].begin);
	if (hostile_rows[_i].make)
		hostile_rows[_i].make(&text);
	while (hostile_rows[_i].repeat && text.len < REPEAT_SIZE)
		buf_add_c(&text, hostile_rows[_i].repeat);
	check_refused(unit_file("hostile.yaml", buf_view(&text)), hostile_rows[_i].want);
	buf_clear(&text);
}
END_TEST

/* Cut anywhere, a file is right or refused, never worse. */
START_TEST(cuts)
{
	static const char text[] = "node: mx1\nmilter: {listen: \"unix:/x\", socket_mode: 0660}\n"
				   "plans: {gold: {pool: [1/day, 2/hour]}}\n"
				   "tenants:\n  acme:\n    plan: gold\n    match: [{auth: 'a*'}, {cert: {issuer: i, "
				   "subject: s}}]\n"
				   "    quotas:\n      - {name: q, limit: 1/hour, key: auth, overrides: {boss: 5}}\n";

	for (size_t len = 0; len < sizeof text; len++) {
		struct config *config = NULL;
		struct config_report report;
		bool ok = config_load(unit_file("cut.yaml", str_of(text, len)), &config, &report);

		ck_assert_int_eq(ok, report.count == 0);
		config_free(config);
		config_report_clear(&report);
	}
}
END_TEST

/* --- snapshots */

#define READERS 4
static atomic_bool is_over;
static atomic_size_t reads;

static void *read_snapshots(void *arg)
{
	uint64_t last = 0;

	(void)arg;
	while (!atomic_load(&is_over)) {
		struct config *config = config_acquire();
		struct match_facts facts = { .auth = STR("acme-7") };
		enum match_kind by;

		ck_assert_uint_ge(config->generation, last);
		last = config->generation;
		ck_assert_str_is(config_match(config, &facts, &by)->name, STR("acme"));
		config_release(config);
		atomic_fetch_add(&reads, 1);
	}
	return NULL;
}

static struct config *load_small(const char *path)
{
	struct config *config = NULL;
	struct config_report report;

	ck_assert(config_load(path, &config, &report));
	config_report_clear(&report);
	return config;
}

START_TEST(publish)
{
	const char *path = unit_file("small.yaml", STR("tenants: {acme: {match: [{auth: 'acme-*'}]}}\n"));
	pthread_t readers[READERS];

	ck_assert_ptr_null(config_acquire());
	config_publish(load_small(path));

	struct config *kept = config_acquire();

	for (int i = 0; i < READERS; i++)
		ck_assert_int_eq(pthread_create(&readers[i], NULL, read_snapshots, NULL), 0);
	for (int i = 0; i < 50 || atomic_load(&reads) < 1000; i++)
		config_publish(load_small(path));
	atomic_store(&is_over, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	ck_assert_uint_eq(kept->generation, 1);
	ck_assert_str_is(kept->tenants[0].name, STR("acme"));
	config_release(kept);
	config_publish(NULL);
	ck_assert_ptr_null(config_acquire());
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config_hostile");
	TCase *tc = tcase_create("config_hostile");

	suite_add_tcase(suite, tc);
	unit_add_rows(tc, hostile, hostile_rows);
	tcase_add_test(tc, cuts);
	tcase_add_test(tc, publish);
	return unit_main(suite);
}
