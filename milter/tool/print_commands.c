/* print_commands - a section a command as mdoc, for sekisho(1), from the rows that the tool follows. */
#include <stdio.h>

#include "milter/tool/commands.h"

#define LINE_OCTETS 100

/* Prose: a new sentence begins a new line, as mdoc(7) wants it; a backslash is \e. */
static void add_prose(struct buf *out, struct str text)
{
	struct str word;
	size_t column = 0;
	bool ends_sentence = false;

	while (str_next(&text, ' ', &word)) {
		if (column && (ends_sentence || column + 1 + word.len > LINE_OCTETS)) {
			buf_add_byte(out, '\n');
			column = 0;
		}
		if (column)
			buf_add_byte(out, ' ');
		else if (word.len && (word.ptr[0] == '.' || word.ptr[0] == '\''))
			buf_add_c(out, "\\&");
		for (size_t i = 0; i < word.len; i++)
			buf_add(out, word.ptr[i] == '\\' ? STR("\\e") : str_slice(word, i, 1));
		column += word.len + 1;
		ends_sentence = str_ends(word, STR(".")) || str_ends(word, STR("?"));
	}
	buf_add_byte(out, '\n');
}

/* "it would be accepted" as "It would be accepted."; what begins with a word to be typed keeps its letters. */
static void add_sentence(struct buf *out, const char *text, bool is_typed)
{
	struct buf sentence;

	buf_init(&sentence, 4096);
	buf_add_c(&sentence, text);
	if (!is_typed && sentence.len && ascii_is_lower(sentence.ptr[0]))
		sentence.ptr[0] = (char)(sentence.ptr[0] - 32);
	if (!str_ends(buf_view(&sentence), STR(".")) && !str_ends(buf_view(&sentence), STR("?")))
		buf_add_byte(&sentence, '.');
	add_prose(out, buf_view(&sentence));
	buf_clear(&sentence);
}

/* "TENANT [QUOTA [KEY]]" and "[TEXT...]" as macros. */
static void add_operands(struct buf *out, struct str operands)
{
	size_t at = 0;

	while (at < operands.len) {
		size_t begin = at;

		while (at < operands.len && !memchr("[] .|", operands.ptr[at], 5))
			at++;
		if (at > begin)
			buf_printf(out, " Ar " STR_FMT, STR_ARG(str_slice(operands, begin, at - begin)));
		else if (str_starts(str_from(operands, at), STR("...")))
			buf_add_c(out, " No ..."), at += 3;
		else if (operands.ptr[at] != ' ')
			buf_add_c(out, operands.ptr[at] == '[' ? " Oo" : operands.ptr[at] == ']' ? " Oc" : " |"), at++;
		else
			at++;
	}
}

/* "en or ja (default: ...)" */
static bool begins_with_value(const struct option *row)
{
	struct str words = str_from_c(row->type == OPTION_WORD ? row->words : ""), word;

	while (str_next(&words, '|', &word))
		if (str_starts(str_from_c(row->help), word))
			return true;
	return false;
}

static void add_options(struct buf *out, const struct option *rows)
{
	for (const struct option *row = rows; row->name; row++) {
		buf_printf(out, ".It Fl Fl %s%s%s\n", row->name + 2, row->value ? " Ar " : "", row->value ? row->value : "");
		add_sentence(out, row->help, begins_with_value(row));
	}
}

static void add_exit(struct buf *out, int code, const char *meaning)
{
	if (!meaning)
		return;
	buf_printf(out, ".It %d\n", code);
	add_sentence(out, meaning, false);
}

static void add_command(struct buf *out, const struct tool_command *command)
{
	struct str rest = str_from_c(command->examples), line;

	buf_printf(out, ".Ss %s\n.D1 Nm Cm %s", command->name, command->name);
	add_operands(out, str_from_c(command->operands));
	buf_add_c(out, " Op Ar options\n.Pp\n");
	add_prose(out, str_from_c(command->about));
	if (command->options->name || command->has_json) {
		buf_add_c(out, ".Bl -tag -width Ds\n");
		add_options(out, command->options);
		if (command->has_json)
			add_options(out, (const struct option[]){ { .name = "--json", .help = TOOL_JSON_HELP },
								  { .name = NULL } });
		buf_add_c(out, ".El\n");
	}
	buf_add_c(out, ".Pp\nExit codes:\n.Bl -tag -width 2n -compact\n");
	add_exit(out, TOOL_OK, command->ok);
	add_exit(out, TOOL_NO, command->no);
	add_exit(out, TOOL_USAGE, command->usage);
	add_exit(out, TOOL_UNKNOWN, command->unknown);
	buf_add_c(out, ".El\n.Pp\nExamples:\n.Bd -literal -offset indent\n");
	while (str_next(&rest, '\n', &line)) {
		for (size_t i = 0; i < line.len; i++)
			buf_add(out, line.ptr[i] == '\\' ? STR("\\e") : str_slice(line, i, 1));
		buf_add_byte(out, '\n');
	}
	buf_add_c(out, ".Ed\n");
}

int main(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row)
			add_command(&text, *row);

	bool ok = !text.failed && fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0;

	buf_clear(&text);
	return ok ? 0 : 1;
}
