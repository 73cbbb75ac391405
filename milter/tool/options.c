#include "milter/tool/options.h"

#include <stdio.h>

#include "config/base/clock.h"
#include "config/base/num.h"
#include "config/config_report.h"
#include "milter/tool/screen.h"

bool options_parse_time(struct str s, int64_t now_us, bool is_end, int64_t *out_us)
{
	int64_t day, ago_us;
	char text[48];

	if (jst_parse_time(s, out_us))
		return true;
	if (str_eq(s, STR("today")) || str_eq(s, STR("yesterday"))) {
		day = jst_day(now_us) - (str_eq(s, STR("yesterday")) ? 1 : 0);
		*out_us = jst_day_start_us(day) + (is_end ? DAY_US - 1 : 0);
		return true;
	}
	if (jst_parse_date(s, &day)) {
		*out_us = jst_day_start_us(day) + (is_end ? DAY_US - 1 : 0);
		return true;
	}
	if (num_parse_duration(s, &ago_us)) {
		*out_us = now_us - ago_us;
		return true;
	}
	/* "2026-11-21 18:04" and "2026-11-21T18:04:05": the rest of RFC 3339 is ours to add. */
	for (size_t missing = 0; missing < 2 && s.len < 32; missing++) {
		static const char *const rest[] = { "+09:00", ":00+09:00" };
		size_t n = strlen(rest[missing]);

		memcpy(text, s.ptr, s.len);
		memcpy(text + s.len, rest[missing], n);
		if (jst_parse_time(str_of(text, s.len + n), out_us))
			return true;
	}
	return false;
}

static bool is_word(struct str value, const char *words)
{
	struct str rest = str_from_c(words), word;

	while (str_next(&rest, '|', &word))
		if (str_eq(word, value))
			return true;
	return false;
}

static bool add_text(struct arena *arena, struct str_list *list, struct str text, struct err *err)
{
	struct str *items = (struct str *)(uintptr_t)list->items;

	if ((list->count & (list->count - 1)) == 0) {          /* 0, 1, 2, 4, 8 ...: full */
		items = arena_array(arena, list->count ? list->count * 2 : 1, sizeof *items);
		if (!items)
			return err_memory(err);
		if (list->count)
			memcpy(items, list->items, list->count * sizeof *items);
	}
	items[list->count++] = text;
	list->items = items;
	return true;
}

static bool refuse_value(const struct option *row, struct str value, const char *wanted, struct err *err)
{
	char quoted[CONFIG_QUOTE_SIZE];

	return err_set(err, ERR_INPUT, "%s: %s wanted, not %s", row->name, wanted, config_quote(value, quoted));
}

static bool refuse_empty(const struct option *row, struct err *err)
{
	return err_set(err, ERR_INPUT, "%s wants a value, not an empty one: %s %s", row->name, row->name, row->value);
}

#define WORDS_LEN_MAX 511

static bool refuse_word(const struct option *row, struct str value, struct err *err)
{
	char quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE], words[WORDS_LEN_MAX + 1];
	struct config_nearest nearest = { .name = value };

	snprintf(words, sizeof words, "%s", row->words);
	for (char *word = words, *bar; word; word = bar) {
		bar = strchr(word, '|');
		if (bar)
			*bar++ = '\0';
		config_nearest_offer(&nearest, word);
	}
	return err_set(err, ERR_INPUT, "%s: %s wanted, not %s%s", row->name, row->words, config_quote(value, quoted),
		       config_nearest_hint(&nearest, hint));
}

static bool read_time(const struct option *row, struct str value, struct option_time *out, struct err *err)
{
	out->is_given = true;
	return options_parse_time(value, clock_now_us(), row->type == OPTION_UNTIL, &out->us) ||
	       refuse_value(row, value, "a JST date or time such as 2026-11-21, \"2026-11-21 18:04\", today or 2h (ago)", err);
}

static bool read_value(const struct option *row, struct str value, void *at, struct arena *arena, struct err *err)
{
	struct option_addr *addr = at;

	switch (row->type) {
	case OPTION_FLAG:
		*(bool *)at = true;
		return true;
	case OPTION_TEXT:
	case OPTION_PROSE:
		*(struct str *)at = value;
		return value.len || row->type == OPTION_PROSE || refuse_empty(row, err);
	case OPTION_TEXTS:
		return value.len ? add_text(arena, at, value, err) : refuse_empty(row, err);
	case OPTION_WORD:
		*(struct str *)at = value;
		return is_word(value, row->words) || refuse_word(row, value, err);
	case OPTION_COUNT:
		return (num_parse_i64(value, at) && *(int64_t *)at > 0) ||
		       refuse_value(row, value, "a number from 1", err);
	case OPTION_SIZE:
		return num_parse_bytes(value, at) ||
		       refuse_value(row, value, "a size such as 4096, 512KiB or 25MiB", err);
	case OPTION_DURATION:
		return (num_parse_duration(value, at) && *(int64_t *)at > 0) ||
		       refuse_value(row, value, "a duration such as 90s, 15m, 2h or 30d", err);
	case OPTION_ADDRESS:
		addr->is_given = true;
		return net_parse_addr(value, &addr->addr) || refuse_value(row, value, "an IP address", err);
	case OPTION_SINCE:
	case OPTION_UNTIL:
		return read_time(row, value, at, err);
	}
	return false;
}

static const struct option *find(const struct option_set *sets, size_t set_count, struct str name, void **out_values)
{
	for (size_t i = 0; i < set_count; i++)
		for (const struct option *row = sets[i].rows; row->name; row++)
			if (str_eq(str_from_c(row->name), name)) {
				*out_values = sets[i].values;
				return row;
			}
	return NULL;
}

static bool refuse_unknown(const struct option_set *sets, size_t set_count, struct str name, struct err *err)
{
	struct config_nearest nearest = { .name = name };
	char quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];

	for (size_t i = 0; i < set_count; i++)
		for (const struct option *row = sets[i].rows; row->name; row++)
			config_nearest_offer(&nearest, row->name);
	return err_set(err, ERR_INPUT, "no option %s%s", config_quote(name, quoted),
		       config_nearest_hint(&nearest, hint));
}

static const struct {
	const char *letter, *name;
} letters[] = { { "-c", "--config" }, { "-h", "--help" } };

/* The option at *at and its value, which may be the argument after it. */
static bool read_option(char *const *argv, size_t argc, size_t *at, const struct option_set *sets, size_t set_count,
			struct arena *arena, struct err *err)
{
	struct str name = str_from_c(argv[*at]), value = { .ptr = NULL };
	const struct option *row;
	void *values;

	str_cut(name, '=', &name, &value);
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (str_eq(name, str_from_c(letters[i].letter)))
			name = str_from_c(letters[i].name);
	row = find(sets, set_count, name, &values);
	if (!row)
		return refuse_unknown(sets, set_count, name, err);
	if (row->type == OPTION_FLAG && value.ptr)
		return err_set(err, ERR_INPUT, "%s takes no value", row->name);
	if (row->type != OPTION_FLAG && !value.ptr) {
		if (*at + 1 >= argc)
			return err_set(err, ERR_INPUT, "%s wants a value: %s %s", row->name, row->name, row->value);
		value = str_from_c(argv[++*at]);
	}
	return read_value(row, value, (char *)values + row->offset, arena, err);
}

bool options_parse(char *const *argv, size_t argc, const struct option_set *sets, size_t set_count, struct arena *arena,
		   struct operands *out, struct err *err)
{
	struct str *items = arena_array(arena, argc, sizeof *items);
	bool takes_options = true;
	size_t count = 0;

	if (!items)
		return err_memory(err);
	for (size_t at = 0; at < argc; at++) {
		struct str word = str_from_c(argv[at]);

		if (takes_options && str_eq(word, STR("--")))
			takes_options = false;
		else if (word.len == 0)
			return err_set(err, ERR_INPUT, "an argument is empty; leave it out if that is meant");
		else if (!takes_options || word.len < 2 || word.ptr[0] != '-')
			items[count++] = word;
		else if (!read_option(argv, argc, &at, sets, set_count, arena, err))
			return false;
	}
	*out = (struct operands){ .items = items, .count = count };
	return true;
}

#define HELP_INDENT 24

void options_write_help(const struct option *rows, struct buf *out)
{
	for (const struct option *row = rows; row->name; row++) {
		char lead[HELP_INDENT + 1];
		int n = snprintf(lead, sizeof lead, "  %s%s%s ", row->name, row->value ? " " : "", row->value ? row->value : "");

		if (n > HELP_INDENT) {                  /* too long for its column: a line of its own */
			buf_printf(out, "  %s %s\n", row->name, row->value);
			n = 0;
		}
		memset(lead + n, ' ', (size_t)(HELP_INDENT - n));
		lead[HELP_INDENT] = '\0';
		screen_wrap(out, lead, str_from_c(row->help));
	}
}
