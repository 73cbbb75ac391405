#include "config/config_schema.h"

static void add_kind(struct buf *out, const struct config_row *row)
{
	const struct setting *setting = row->setting;
	char bound[CONFIG_BOUND_SIZE];

	if (setting->words && (setting->type == SETTING_WORD || setting->type == SETTING_IDENTIFY || setting->type == SETTING_REQUIRE)) {
		buf_add_c(out, setting->type == SETTING_WORD ? "One of" : "A list of");
		for (const struct setting_word *word = setting->words; word->word; word++)
			buf_printf(out, "%s %s", word == setting->words ? "" : ",", word->word);
	} else {
		buf_printf(out, "A value of this kind: %s", row->type);
	}
	if (setting->max > 0 && setting->type != SETTING_MODE) {
		buf_printf(out, ", from %s", config_format_bound(setting->type, setting->min, bound));
		buf_printf(out, " to %s", config_format_bound(setting->type, setting->max, bound));
	}
	if (setting->accepts_none)
		buf_add_c(out, ", or none");
	buf_add_c(out, ".\n");
}

void config_schema_mdoc(struct buf *out)
{
	struct config_row row;

	buf_add_c(out, ".Bl -tag -width Ds\n");
	for (size_t at = 0; config_schema_row(at, &row); at++) {
		const struct setting *setting = row.setting;

		buf_printf(out, ".It Ic %s\n%s\n", row.path, setting->meaning);
		add_kind(out, &row);
		if (setting->fallback || setting->computed)
			buf_printf(out, "Default: %s.\n", setting->fallback ? setting->fallback : setting->computed);
	}
	buf_add_c(out, ".El\n");
}
