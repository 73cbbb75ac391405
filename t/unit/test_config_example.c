/* config/sekisho.yaml, the annotated example: it loads, also with all that stands in its comments, and shows every setting with its
 * default. */
#include "t/lib/configured.h"
#include "t/lib/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "config/base/io.h"
#include "config/config_schema.h"
#include "config/config_yaml.h"

static void load(const char *path)
{
	config_free(configured_file(path));
}

static struct node *read_tree(struct str text, struct arena *arena)
{
	static const struct str file = STR_INIT("example");
	struct config_report report = { .count = 0 };
	struct node *root = NULL;
	struct err err;

	arena_init(&report.arena, SIZE_MAX);
	bool ok = config_yaml_read(text, &file, arena, &report, &root);

	config_report_first(&report, &err);
	ck_assert_msg(ok, "%s", err.text);
	config_report_clear(&report);
	return root;
}

/* Every `#setting` of the file put in force; "# words" stay words. */
static void uncomment(struct str text, struct buf *out)
{
	struct str line;

	while (str_next(&text, '\n', &line)) {
		size_t hash = 0;

		while (hash < line.len && line.ptr[hash] == ' ')
			hash++;
		if (hash + 1 < line.len && line.ptr[hash] == '#' && line.ptr[hash + 1] != ' ') {
			buf_add(out, str_slice(line, 0, hash));
			buf_add(out, str_from(line, hash + 1));
		} else {
			buf_add(out, line);
		}
		buf_add_byte(out, '\n');
	}
}

static bool is_same_tree(const struct node *a, const struct node *b)
{
	const struct node *x = a->first, *y = b->first;

	if (a->kind != b->kind || !str_eq(a->text, b->text))
		return false;
	for (; x && y; x = x->next, y = y->next)
		if (!str_eq(x->key, y->key) || !is_same_tree(x, y))
			return false;
	return !x && !y;
}

#define MAPS_MAX 64
struct maps {
	const struct node *items[MAPS_MAX];
	size_t count;
};

static void add_child(struct maps *maps, const struct node *parent, const char *key)
{
	const struct node *child = parent->kind == NODE_MAP ? node_find(parent, str_from_c(key)) : NULL;

	if (child && maps->count < MAPS_MAX)
		maps->items[maps->count++] = child;
}

static void add_children(struct maps *maps, const struct maps *parents, const char *key, bool each)
{
	for (size_t i = 0; i < parents->count; i++) {
		struct maps found = { .count = 0 };

		add_child(&found, parents->items[i], key);
		if (!each && found.count && maps->count < MAPS_MAX)
			maps->items[maps->count++] = found.items[0];
		if (!each || !found.count)
			continue;
		for node_each(item, found.items[0])
			if (maps->count < MAPS_MAX)
				maps->items[maps->count++] = item;
	}
}

/* The maps of the file that a table describes. */
static void find_maps(const struct node *root, enum setting_table_id table, struct maps *out)
{
	struct maps top = { .items = { root }, .count = 1 }, tenants = { .count = 0 }, rules = { .count = 0 };

	add_children(&tenants, &top, "defaults", false);
	add_children(&tenants, &top, "plans", true);
	add_children(&tenants, &top, "tenants", true);
	add_children(&rules, &tenants, "match", true);
	*out = (struct maps){ .count = 0 };
	switch (table) {
	case TABLE_TOP: *out = top; break;
	case TABLE_MILTER: add_children(out, &top, "milter", false); break;
	case TABLE_STORE: add_children(out, &top, "store", false); break;
	case TABLE_REDIS: {
		struct maps stores = { .count = 0 };

		add_children(&stores, &top, "store", false);
		add_children(out, &stores, "redis", false);
		break;
	}
	case TABLE_RELAY_LOG: add_children(out, &top, "relay_log", false); break;
	case TABLE_BACKUP: add_children(out, &top, "backup", false); break;
	case TABLE_TRACKING: add_children(out, &top, "tracking", false); break;
	case TABLE_MAILLOG: add_children(out, &top, "maillog", false); break;
	case TABLE_BOUNCES: add_children(out, &top, "bounces", false); break;
	case TABLE_SUBMIT: add_children(out, &top, "submit", false); break;
	case TABLE_NOTIFY: add_children(out, &top, "notify", false); break;
	case TABLE_ALARM: add_children(out, &top, "alarm", false); break;
	case TABLE_METRICS: add_children(out, &top, "metrics", false); break;
	case TABLE_LOG: add_children(out, &top, "log", false); break;
	case TABLE_TENANT: *out = tenants; break;
	case TABLE_SENDERS: add_children(out, &tenants, "senders", false); break;
	case TABLE_RECIPIENTS: add_children(out, &tenants, "recipients", false); break;
	case TABLE_FROM: add_children(out, &tenants, "from", false); break;
	case TABLE_RECIPIENTS_MAX: add_children(out, &tenants, "recipients_max", false); break;
	case TABLE_SIZE_MAX: add_children(out, &tenants, "size_max", false); break;
	case TABLE_CONTENT: add_children(out, &tenants, "content", true); break;
	case TABLE_TENANT_TRACKING: add_children(out, &tenants, "tracking", false); break;
	case TABLE_GUARD: add_children(out, &tenants, "guard", false); break;
	case TABLE_RETURN_PATH: add_children(out, &tenants, "return_path", false); break;
	case TABLE_SUPPRESS: add_children(out, &tenants, "suppress", false); break;
	case TABLE_QUOTA: add_children(out, &tenants, "quotas", true); break;
	case TABLE_WARM_UP: {
		struct maps quotas = { .count = 0 };

		add_children(&quotas, &tenants, "quotas", true);
		add_children(out, &quotas, "warm_up", false);
		break;
	}
	case TABLE_MATCH: *out = rules; break;
	case TABLE_CERT: add_children(out, &rules, "cert", false); break;
	case TABLE_COUNT: break;
	}
}

static void check_example_row(const struct node *root, const struct config_row *row, struct arena *arena)
{
	struct maps maps, values = { .count = 0 };
	const struct node *fallback;

	find_maps(root, row->table, &maps);
	add_children(&values, &maps, row->setting->name, false);
	ck_assert_msg(values.count > 0, "config/sekisho.yaml does not show %s", row->path);
	if (!row->setting->fallback)
		return;
	fallback = read_tree(str_from_c(row->setting->fallback), arena);
	for (size_t i = 0; i < values.count; i++)
		if (is_same_tree(values.items[i], fallback))
			return;
	ck_abort_msg("config/sekisho.yaml does not show the default of %s, %s", row->path, row->setting->fallback);
}

START_TEST(example)
{
	struct buf text, all;
	struct arena arena;
	struct config_row row;
	char path[600];
	struct err err;

	arena_init(&arena, SIZE_MAX);
	buf_init(&text, 1 << 20);
	buf_init(&all, 1 << 20);
	snprintf(path, sizeof path, "%s/config/sekisho.yaml", getenv("srcdir"));
	ck_assert_msg(io_read_file(path, &text, &err), "%s", err.text);
	load(path);
	uncomment(buf_view(&text), &all);
	snprintf(path, sizeof path, "%s/uncommented.yaml", unit_dir());
	ck_assert_msg(io_replace_file(path, buf_view(&all), 0600, &err), "%s", err.text);
	load(path);

	const struct node *root = read_tree(buf_view(&all), &arena);
	size_t rows = 0;

	for (; config_schema_row(rows, &row); rows++)
		check_example_row(root, &row, &arena);
	ck_assert_uint_gt(rows, 60);
	arena_clear(&arena);
	buf_clear(&text);
	buf_clear(&all);
}
END_TEST

/* The manual's list: one item a row, its meaning a sentence; no line that troff would take for a command. */
START_TEST(manual)
{
	struct config_row row;
	struct buf text;
	struct str rest, line;
	size_t rows = 0, items = 0;

	buf_init(&text, 1 << 20);
	config_schema_mdoc(&text);
	for (; config_schema_row(rows, &row); rows++) {
		const char *meaning = row.setting->meaning;

		ck_assert_msg(ascii_is_alnum(meaning[0]) && meaning[strlen(meaning) - 1] == '.', "%s: %s", row.path,
			      meaning);
		ck_assert_ptr_null(strchr(meaning, '\\'));
	}
	for (rest = buf_view(&text); str_next(&rest, '\n', &line);) {
		items += str_starts(line, STR(".It Ic "));
		ck_assert_msg(line.len && (line.ptr[0] != '.' || str_starts(line, STR(".It Ic ")) ||
					   str_eq(line, STR(".El")) ||
					   str_starts(line, STR(".Bl "))), STR_FMT, STR_ARG(line));
	}
	ck_assert_uint_eq(items, rows);
	buf_clear(&text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config example");
	TCase *tc = tcase_create("example");

	suite_add_tcase(suite, tc);
	tcase_add_test(tc, example);
	tcase_add_test(tc, manual);
	return unit_main(suite);
}
