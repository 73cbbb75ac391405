#include "config/config_schema.h"

#define LINE_OCTETS 78

/* Words in lines of moderate length. None of the rows' words begins with what troff takes for a command. */
static void add_wrapped(struct buf *out, struct str text)
{
	struct str word;
	size_t column = 0;
	bool ends_sentence = false;            /* mdoc(7): a new sentence begins a new line */

	while (str_next(&text, ' ', &word)) {
		if (column && (ends_sentence || column + 1 + word.len > LINE_OCTETS)) {
			buf_add_byte(out, '\n');
			column = 0;
		} else if (column) {
			buf_add_byte(out, ' ');
			column++;
		}
		buf_add(out, word);
		column += word.len;
		ends_sentence = str_ends(word, STR("."));
	}
	buf_add_byte(out, '\n');
}

static bool has_words(const struct setting *setting)
{
	return setting->type == SETTING_WORD || setting->type == SETTING_IDENTIFY || setting->type == SETTING_REQUIRE;
}

static void add_words(struct buf *out, const struct setting *setting)
{
	const struct setting_word *words = setting->words;

	buf_add_c(out, !words[1].word ? "Only " : setting->type == SETTING_WORD ? "One of " : "A list of ");
	for (const struct setting_word *word = words; word->word; word++)
		buf_printf(out, "%s%s", word == words ? "" : ", ", word->word);
}

/* "A duration, from 1s to 1h." */
static void add_kind(struct buf *out, const struct config_row *row)
{
	const struct setting *setting = row->setting;
	char bound[CONFIG_BOUND_SIZE];

	if (setting->type == SETTING_SECTION)
		buf_add_c(out, "Settings of its own, or the first of them alone");
	else if (has_words(setting))
		add_words(out, setting);
	else
		buf_printf(out, "%c%s", row->type[0] - 'a' + 'A', row->type + 1);
	if (setting->max > 0 && setting->type != SETTING_MODE) {
		buf_printf(out, ", from %s", config_format_bound(setting->type, setting->min, bound));
		buf_printf(out, " to %s", config_format_bound(setting->type, setting->max, bound));
	}
	buf_add_c(out, setting->accepts_none ? ", or none.\n" : ".\n");
}

void config_schema_mdoc(struct buf *out)
{
	struct config_row row;

	buf_add_c(out, ".Bl -tag -width Ds\n");
	for (size_t at = 0; config_schema_row(at, &row); at++) {
		const struct setting *setting = row.setting;

		buf_printf(out, ".It Ic %s\n", row.path);
		add_wrapped(out, str_from_c(setting->meaning));
		add_kind(out, &row);
		if (setting->fallback || setting->computed)
			buf_printf(out, "Default: %s.\n", setting->fallback ? setting->fallback : setting->computed);
	}
	buf_add_c(out, ".El\n");
}
