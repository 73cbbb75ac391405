#include "milter/tool/tool.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/domain.h"
#include "milter/mail/address.h"
#include "milter/tool/japanese.h"

#define OUT_MAX ((size_t)1 << 30)
#define OUT_FLUSH 65536
#define FIELD_WIDTH 14                  /* columns before a field's value */
#define ARENA_MAX ((size_t)4 << 30)

void tool_init(struct tool *tool)
{
	*tool = (struct tool){ .config_path = STR(CONFIG_DEFAULT_PATH) };
	buf_init(&tool->out, OUT_MAX);
	json_init(&tool->json, &tool->out);
	arena_init(&tool->arena, ARENA_MAX);
}

/* --- output */

/* Once: what follows fails as well. */
static bool refuse_output(void)
{
	static bool is_said;

	if (!is_said)
		fprintf(stderr, "sekisho: the answer cannot be written: %s\n", strerror(errno));
	is_said = true;
	return false;
}

bool tool_flush(struct tool *tool)
{
	struct str text;
	struct err err;
	bool ok = buf_done(&tool->out, &text, &err);

	if (!ok)
		fprintf(stderr, "sekisho: output: %s\n", err.text);
	else if ((text.len && fwrite(text.ptr, 1, text.len, stdout) != text.len) || fflush(stdout) != 0)
		ok = refuse_output();
	buf_reset(&tool->out);
	tool->is_cut |= !ok;
	return !tool->is_cut;
}

/* Formats, and gives it to `use` as a str. */
static void add_clean(struct buf *out, const char *fmt, va_list ap)
{
	struct buf raw;

	buf_init(&raw, OUT_MAX);
	buf_vprintf(&raw, fmt, ap);
	screen_clean(out, buf_view(&raw), true);
	buf_clear(&raw);
}

void tool_print(struct tool *tool, const char *fmt, ...)
{
	va_list ap;

	if (tool->is_json)
		return;
	va_start(ap, fmt);
	add_clean(&tool->out, tool_word(tool, fmt), ap);
	va_end(ap);
	if (tool->out.len > OUT_FLUSH)
		tool_flush(tool);
}

void tool_field(struct tool *tool, const char *name, const char *fmt, ...)
{
	char lead[64];
	struct buf raw;
	va_list ap;

	if (tool->is_json)
		return;
	name = tool_word(tool, name);
	buf_init(&raw, OUT_MAX);
	va_start(ap, fmt);
	buf_vprintf(&raw, tool_word(tool, fmt), ap);
	va_end(ap);

	size_t width = screen_width(str_from_c(name));

	snprintf(lead, sizeof lead, "%s%*s", name, width < FIELD_WIDTH ? (int)(FIELD_WIDTH - width) : 1, "");
	screen_wrap(&tool->out, lead, buf_view(&raw));
	buf_clear(&raw);
}

void tool_table(struct tool *tool, const struct table *table)
{
	if (!tool->is_json)
		table_write(table, &tool->out);
}

static void complain(const struct tool *tool, const char *fmt, va_list ap)
{
	struct buf line;

	buf_init(&line, OUT_FLUSH);
	add_clean(&line, fmt, ap);
	tool_progress("", 0, 0);
	fprintf(stderr, "sekisho%s%s: " STR_FMT "\n", tool->command ? " " : "", tool->command ? tool->command->name : "",
		STR_ARG(buf_view(&line)));
	buf_clear(&line);
}

int tool_fail(const struct tool *tool, enum tool_exit code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(tool, fmt, ap);
	va_end(ap);
	return (int)code;
}

int tool_usage(const struct tool *tool, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(tool, fmt, ap);
	va_end(ap);
	fprintf(stderr, "Try: sekisho %s%s--help\n", tool->command ? tool->command->name : "", tool->command ? " " : "");
	return tool->command && tool->command->usage ? TOOL_UNKNOWN : TOOL_USAGE;
}

bool tool_recipient(struct tool *tool, struct str word, struct str *out)
{
	struct err err;

	if (address_parse_path(word, &tool->arena, out, &err) && str_find_byte(*out, '@') < out->len)
		return true;
	tool_fail(tool, TOOL_NO, "not an address: " STR_FMT, STR_ARG(word));
	return false;
}

bool tool_bare(struct tool *tool, const char *option, struct str *address)
{
	struct err err;

	if (address_parse_path(*address, &tool->arena, address, &err))
		return true;
	tool_usage(tool, "%s: %s", option, err.text);
	return false;
}

void tool_progress(const char *what, int64_t done, int64_t total)
{
	static int64_t last_us;
	static bool is_there;
	int64_t now_us = clock_mono_us();

	if (total <= 0) {
		if (is_there)
			fputs("\r\033[K", stderr);
		is_there = false;
		return;
	}
	if (!isatty(STDERR_FILENO) || now_us - last_us < US_PER_S / 10)
		return;
	last_us = now_us;
	is_there = true;
	fprintf(stderr, "\r%s %3d %%", what, (int)((double)done * 100 / (double)total));
	fflush(stderr);
}

/* --- words */

bool tool_is_japanese(struct str lang)
{
	static const char *const names[] = { "LC_ALL", "LC_MESSAGES", "LANG" };

	for (size_t i = 0; !lang.len && i < sizeof names / sizeof *names; i++)
		lang = str_from_c(getenv(names[i]));
	return str_starts(lang, STR("ja"));
}

const char *tool_word(const struct tool *tool, const char *english)
{
	return tool->is_japanese ? japanese_of(english) : english;
}

static struct str own(struct tool *tool, struct str s)
{
	struct str out;

	return arena_copy(&tool->arena, s, &out) ? out : STR_EMPTY;
}

struct str tool_spelt(struct tool *tool, struct str address)
{
	struct str out;

	return domain_spell(&tool->arena, address, &out) ? out : address;
}

struct str tool_self(struct tool *tool)
{
	struct str path = tool->config_path, part;
	struct buf quoted;

	if (str_eq(path, STR(CONFIG_DEFAULT_PATH)))
		return STR("sekisho");
	buf_init(&quoted, OUT_FLUSH);
	buf_add_c(&quoted, "sekisho -c '");
	while (str_cut(path, '\'', &part, &path)) {
		buf_add(&quoted, part);
		buf_add_c(&quoted, "'\\''");
	}
	buf_add(&quoted, path);
	buf_add_byte(&quoted, '\'');
	part = own(tool, buf_view(&quoted));
	buf_clear(&quoted);
	return part;
}

void tool_warn_letters(const struct tool *tool, struct str words)
{
	if (!str_is_ascii(words))
		tool_fail(tool, TOOL_OK, "--reason: " TOOL_ONLY_ASCII);
}

struct str tool_text(struct tool *tool, const char *fmt, ...)
{
	struct buf raw;
	struct str out;
	va_list ap;

	buf_init(&raw, OUT_FLUSH * 16);
	va_start(ap, fmt);
	buf_vprintf(&raw, fmt, ap);
	va_end(ap);
	out = own(tool, buf_view(&raw));
	buf_clear(&raw);
	return out;
}

struct str tool_number(struct tool *tool, int64_t n)
{
	char digits[24], out[32];
	int len = snprintf(digits, sizeof digits, "%lld", (long long)n), at = 0;

	for (int i = 0; i < len; i++) {
		out[at++] = digits[i];
		if (ascii_is_digit(digits[i]) && i + 1 < len && (len - i - 1) % 3 == 0)
			out[at++] = ',';
	}
	return own(tool, str_of(out, (size_t)at));
}

struct str tool_limit(struct tool *tool, int64_t n)
{
	return n == LIMIT_NONE ? STR("none") : tool_number(tool, n);
}

struct str tool_time(struct tool *tool, int64_t t_us)
{
	char text[JST_TIME_LEN + 1];

	if (t_us == 0 || t_us == INT64_MAX)
		return STR("-");
	jst_format_time(t_us, text);
	text[10] = ' ';
	return own(tool, str_of(text, 19));
}

struct str tool_duration(struct tool *tool, int64_t us)
{
	static const struct {
		int64_t us;
		const char *name;
	} units[] = { { DAY_US, "d" }, { HOUR_US, "h" }, { 60 * US_PER_S, "min" }, { US_PER_S, "s" } };

	for (size_t i = 0; i + 1 < sizeof units / sizeof *units; i++) {
		long long whole = us / units[i].us, rest = us % units[i].us / units[i + 1].us;

		if (whole && rest)
			return tool_text(tool, "%lld %s %lld %s", whole, units[i].name, rest, units[i + 1].name);
		if (whole)
			return tool_text(tool, "%lld %s", whole, units[i].name);
	}
	return tool_text(tool, "%lld s", (long long)((us + US_PER_S - 1) / US_PER_S));
}

void tool_json_line(struct tool *tool)
{
	json_init(&tool->json, &tool->out);
}

void tool_json_time(struct tool *tool, const char *key, int64_t t_us)
{
	char text[JST_TIME_LEN + 1];

	if (t_us == 0 || t_us == INT64_MAX)
		return;
	jst_format_time(t_us, text);
	json_member_str(&tool->json, key, str_from_c(text));
}
