/* print_completion - bash's completion for sekisho(1), from the rows that the tool follows. */
#include <stdio.h>

#include "milter/tool/commands.h"

static const char beginning[] =
	"# bash completion for sekisho(1). Made from the program's own tables by milter/tool/print_completion.\n"
	"\n"
	"_sekisho_tenants()\n"
	"{\n"
	"\tsekisho \"${config[@]}\" tenant list --json 2>/dev/null | grep -o '\"name\":\"[^\"]*\"' | cut -d'\"' -f4\n"
	"}\n"
	"\n"
	"_sekisho()\n"
	"{\n"
	"\tlocal cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} command='' i word\n"
	"\tlocal config=() first='' operand='' options='' values=''\n";

/* Behind the groups, such as "tenant" and "log": only they have a second word, what follows another is a value. */
static const char scan[] =
	"\n"
	"\tCOMPREPLY=()\n"
	"\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	"\t\tword=${COMP_WORDS[i]}\n"
	"\t\tcase $word in\n"
	"\t\t-c | --config) config=(-c \"${COMP_WORDS[i+1]}\"); ((i++)) ;;\n"
	"\t\t--via) ((i++)) ;;\n"
	"\t\t-*) ;;\n"
	"\t\t*) [[ -z $command || $groups == *\" $command \"* ]] && command=${command:+$command }$word ;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tif [[ $prev == -c || $prev == --config || $prev == --via ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"\t\treturn\n"
	"\tfi\n";

static const char ending[] =
	"\tif [[ -n $values ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$values\" -- \"$cur\")\n"
	"\telif [[ $cur == -* ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$options --config --help\" -- \"$cur\")\n"
	"\telif [[ $operand == TENANT ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$(_sekisho_tenants)\" -- \"$cur\")\n"
	"\telif [[ $operand == FILE ]]; then\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"\telse\n"
	"\t\tmapfile -t COMPREPLY < <(compgen -W \"$first\" -- \"$cur\")\n"
	"\tfi\n"
	"}\n"
	"complete -o filenames -F _sekisho sekisho\n";

/* "[EXPORT | DIR]" asks for a file, "TENANT [QUOTA]" for a tenant's name; what cannot be known is left to who types. */
static const char *operand_of(const struct tool_command *command)
{
	static const struct { const char *begin, *kind; } rows[] = {
		{ "TENANT", "TENANT" }, { "[TENANT", "TENANT" }, { "FILE", "FILE" }, { "[FILE", "FILE" }, { "[EXPORT", "FILE" },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		if (str_starts(str_from_c(command->operands), str_from_c(rows[i].begin)))
			return rows[i].kind;
	/* tenant show NAME, tenant suspend NAME */
	return str_starts(str_from_c(command->name), STR("tenant ")) && str_eq(str_from_c(command->operands), STR("NAME"))
		       ? "TENANT" : "";
}

static void add_values(const struct option *rows, struct buf *out)
{
	for (const struct option *row = rows; row->name; row++) {
		struct str words = str_from_c(row->type == OPTION_WORD ? row->words : ""), word;
		struct str value = str_from_c(row->value ? row->value : "");

		if (str_eq(str_from_c(row->name), STR("--tenant")))
			value = STR("TENANT");
		if (str_eq(value, STR("TENANT")) || str_eq(value, STR("FILE")))
			buf_printf(out, "\t\t[[ $prev == %s ]] && operand=" STR_FMT "\n", row->name, STR_ARG(value));
		if (!words.len)
			continue;
		buf_printf(out, "\t\t[[ $prev == %s ]] && values='", row->name);
		for (bool is_first = true; str_next(&words, '|', &word); is_first = false)
			buf_printf(out, "%s" STR_FMT, is_first ? "" : " ", STR_ARG(word));
		buf_add_c(out, "'\n");
	}
}

static void add_command(const struct tool_command *command, struct buf *out)
{
	buf_printf(out, "\t'%s')\n\t\toperand='%s' options='", command->name, operand_of(command));
	for (const struct option *row = command->options; row->name; row++)
		buf_printf(out, "%s ", row->name);
	buf_printf(out, "%s'\n", command->has_json ? "--json" : "");
	add_values(command->options, out);
	buf_add_c(out, "\t\t;;\n");
}

/* "tenant" as a first word stands once, and leads to all that may follow it. */
static void add_second_words(struct str first, struct buf *out)
{
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row) {
			struct str name = str_from_c((*row)->name), left, right;

			if (str_cut(name, ' ', &left, &right) && str_eq(left, first))
				buf_printf(out, STR_FMT " ", STR_ARG(right));
		}
}

static bool is_listed(struct buf *seen, struct str word)
{
	char key[64];

	snprintf(key, sizeof key, " " STR_FMT " ", STR_ARG(word));
	return str_find(buf_view(seen), str_from_c(key)) < seen->len;
}

static void add_groups(struct buf *out)
{
	struct buf seen;

	buf_init(&seen, 4096);
	buf_add_byte(&seen, ' ');
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row) {
			struct str word, second;

			if (str_cut(str_from_c((*row)->name), ' ', &word, &second) && !is_listed(&seen, word))
				buf_printf(&seen, STR_FMT " ", STR_ARG(word));
		}
	buf_printf(out, "\tlocal groups='" STR_FMT "'\n", STR_ARG(buf_view(&seen)));
	buf_clear(&seen);
}

static void add_first_words(struct buf *out)
{
	struct buf seen;

	buf_init(&seen, 4096);
	buf_add_byte(&seen, ' ');
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row) {
			struct str word = str_from_c((*row)->name), second;
			bool has_second = str_cut(word, ' ', &word, &second);

			if (is_listed(&seen, word))
				continue;
			buf_printf(&seen, STR_FMT " ", STR_ARG(word));
			if (!has_second)
				continue;
			buf_printf(out, "\t" STR_FMT ") first='", STR_ARG(word));
			add_second_words(word, out);
			buf_add_c(out, "' ;;\n");
		}
	buf_printf(out, "\t'') first='" STR_FMT "' options='--via --version' ;;\n", STR_ARG(str_trim(buf_view(&seen))));
	buf_clear(&seen);
}

int main(void)
{
	struct buf text;

	buf_init(&text, 1 << 20);
	buf_add_c(&text, beginning);
	add_groups(&text);
	buf_add_c(&text, scan);
	buf_add_c(&text, "\tcase $command in\n");
	add_first_words(&text);
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row)
			add_command(*row, &text);
	buf_add_c(&text, "\tesac\n");
	buf_add_c(&text, ending);

	bool ok = !text.failed && fwrite(text.ptr, 1, text.len, stdout) == text.len && fflush(stdout) == 0;

	buf_clear(&text);
	return ok ? 0 : 1;
}
