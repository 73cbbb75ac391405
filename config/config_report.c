#include "config/config_report.h"

#include <stdarg.h>
#include <stdio.h>

#include "config/base/log.h"
#include "config/base/utf8.h"

#define REPORT_MEMORY_MAX ((size_t)4 << 20)
#define NEAREST_LEN_MAX 40
#define LINE_MAX_OCTETS 4096

void config_report_init(struct config_report *report)
{
	*report = (struct config_report){ 0 };
	arena_init(&report->arena, REPORT_MEMORY_MAX);
}

void config_report_clear(struct config_report *report)
{
	arena_clear(&report->arena);
	*report = (struct config_report){ 0 };
}

static void fill(struct config_report *report, struct config_error *out, struct config_place at, const char *fmt,
		 va_list ap)
{
	char text[ERR_TEXT_MAX];

	vsnprintf(text, sizeof text, fmt, ap);
	*out = (struct config_error){ .line = at.line, .column = at.column, .file = STR_EMPTY, .command = STR_EMPTY };
	out->text = STR("out of memory");
	if (arena_copy(&report->arena, at.file, &out->file))
		arena_copy(&report->arena, str_from_c(text), &out->text);
}

void config_report_error(struct config_report *report, struct config_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (report->count < CONFIG_ERRORS_MAX)
		fill(report, &report->errors[report->count], at, fmt, ap);
	va_end(ap);
	report->count++;
}

void config_report_command(struct config_report *report, const char *fmt, ...)
{
	char text[ERR_TEXT_MAX];
	va_list ap;

	if (report->count == 0 || report->count > CONFIG_ERRORS_MAX)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	arena_copy(&report->arena, str_from_c(text), &report->errors[report->count - 1].command);
}

void config_report_warning(struct config_report *report, struct config_place at, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (report->warning_count < CONFIG_ERRORS_MAX)
		fill(report, &report->warnings[report->warning_count], at, fmt, ap);
	va_end(ap);
	report->warning_count++;
}

void config_error_format(const struct config_error *error, struct buf *out)
{
	if (error->file.len) {
		buf_add(out, error->file);
		if (error->line)
			buf_printf(out, ":%zu:%zu", error->line, error->column);
		buf_add(out, STR(": "));
	}
	buf_add(out, error->text);
	if (error->command.len)
		buf_printf(out, "; run: " STR_FMT, STR_ARG(error->command));
}

void config_report_first(const struct config_report *report, struct err *err)
{
	struct buf line;

	if (report->count == 0) {
		err_set(err, ERR_CONFIG, "no error");
		return;
	}
	buf_init(&line, ERR_TEXT_MAX * 8);
	config_error_format(&report->errors[0], &line);

	struct str text = line.failed ? report->errors[0].text : buf_view(&line);

	if (report->count > 1)
		err_set(err, ERR_CONFIG, STR_FMT " (and %zu more)", STR_ARG(text), report->count - 1);
	else
		err_set(err, ERR_CONFIG, STR_FMT, STR_ARG(text));
	buf_clear(&line);
}

typedef void say_fn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void log_list(say_fn *say, const struct config_error *list, size_t count)
{
	for (size_t i = 0; i < count && i < CONFIG_ERRORS_MAX; i++) {
		struct buf line;

		buf_init(&line, LINE_MAX_OCTETS);
		config_error_format(&list[i], &line);
		say(STR_FMT, STR_ARG(line.failed ? list[i].text : buf_view(&line)));
		buf_clear(&line);
	}
	if (count > CONFIG_ERRORS_MAX)
		say("and %zu more", count - CONFIG_ERRORS_MAX);
}

void config_report_log(const struct config_report *report)
{
	log_list(log_error, report->errors, report->count);
	log_list(log_warn, report->warnings, report->warning_count);
}

const char *config_quote(struct str s, char out[CONFIG_QUOTE_SIZE])
{
	size_t at = 0, i = 0;

	out[at++] = '"';
	while (i < s.len && i < CONFIG_QUOTE_MAX) {
		unsigned char c = (unsigned char)s.ptr[i];
		size_t len = utf8_length(str_from(s, i));

		if (c < 0x20 || c == 0x7f || len == 0) {
			at += (size_t)snprintf(out + at, 5, "\\x%02x", c);
			i++;
			continue;
		}
		if (i + len > CONFIG_QUOTE_MAX)
			break;
		memcpy(out + at, s.ptr + i, len);
		at += len;
		i += len;
	}
	snprintf(out + at, CONFIG_QUOTE_SIZE - at, "%s\"", i < s.len ? "..." : "");
	return out;
}

static size_t min3(size_t a, size_t b, size_t c)
{
	size_t least = a < b ? a : b;

	return least < c ? least : c;
}

/* Damerau-Levenshtein, adjacent letters exchanged once: three rows do. Both are at most NEAREST_LEN_MAX long. */
static size_t edit_distance(struct str a, struct str b)
{
	size_t rows[3][NEAREST_LEN_MAX + 1];

	for (size_t j = 0; j <= b.len; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= a.len; i++) {
		size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];

		now[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			char x = ascii_lower(a.ptr[i - 1]), y = ascii_lower(b.ptr[j - 1]);

			now[j] = min3(above[j] + 1, now[j - 1] + 1, above[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == ascii_lower(b.ptr[j - 2]) && ascii_lower(a.ptr[i - 2]) == y)
				now[j] = now[j] < above2[j - 2] + 1 ? now[j] : above2[j - 2] + 1;
		}
	}
	return rows[a.len % 3][b.len];
}

void config_nearest_offer(struct config_nearest *nearest, const char *candidate)
{
	struct str other = str_from_c(candidate);

	if (nearest->name.len == 0 || nearest->name.len > NEAREST_LEN_MAX || other.len > NEAREST_LEN_MAX)
		return;

	size_t distance = edit_distance(nearest->name, other);
	/* A third of the letters wrong still is a slip; more is another word. */
	size_t longest = nearest->name.len > other.len ? nearest->name.len : other.len;
	bool is_near = distance * 3 <= longest || (distance == 1 && longest > 1);

	if (is_near && (!nearest->best || distance < nearest->distance)) {
		nearest->best = candidate;
		nearest->distance = distance;
	}
}

const char *config_nearest_hint(const struct config_nearest *nearest, char out[CONFIG_QUOTE_SIZE])
{
	out[0] = '\0';
	if (nearest->best)
		snprintf(out, CONFIG_QUOTE_SIZE, "; did you mean \"%s\"?", nearest->best);
	return out;
}
