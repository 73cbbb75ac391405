#include "milter/tool/run.h"

#include <stdio.h>

#include "config/base/memory.h"
#include "config/config_report.h"
#include "milter/tool/commands.h"
#include "milter/tool/reader.h"

struct common {
	struct str config, via;
	bool wants_help, wants_version, wants_json;
};
#define COMMON(field) offsetof(struct common, field)

static const struct option common_options[] = {
	{ "--config", OPTION_TEXT, COMMON(config), "FILE", NULL, "also -c FILE; default " CONFIG_DEFAULT_PATH },
	{ "--help", OPTION_FLAG, COMMON(wants_help), NULL, NULL, "print this" },
	{ NULL },
};
static const struct option json_options[] = {
	{ "--json", OPTION_FLAG, COMMON(wants_json), NULL, NULL, TOOL_JSON_HELP },
	{ NULL },
};
static const struct option main_options[] = {
	{ "--config", OPTION_TEXT, COMMON(config), "FILE", NULL, "configuration (default " CONFIG_DEFAULT_PATH "); also -c FILE" },
	{ "--via", OPTION_TEXT, COMMON(via), "SOCKET", NULL,
	  "ask the service of `log serve` there (" READER_SOCKET "), which shows readers their tenant's records" },
	{ "--help", OPTION_FLAG, COMMON(wants_help), NULL, NULL, "print this; `sekisho COMMAND --help` tells about one" },
	{ "--version", OPTION_FLAG, COMMON(wants_version), NULL, NULL, "print the version" },
	{ NULL },
};

/* --- help */

static void write_exit(struct buf *out, int code, const char *meaning)
{
	char lead[8];

	snprintf(lead, sizeof lead, "  %d  ", code);
	if (meaning)
		screen_wrap(out, lead, str_from_c(meaning));
}

static void write_help(const struct tool_command *command, struct buf *out)
{
	struct str rest = str_from_c(command->examples), line;

	buf_printf(out, "Usage: sekisho [-c FILE] %s%s%s [OPTIONS]\n\n", command->name, command->operands[0] ? " " : "",
		   command->operands);
	screen_wrap(out, "", str_from_c(command->about));
	buf_add_c(out, "\nOptions:\n");
	options_write_help(command->options, out);
	if (command->has_json)
		options_write_help(json_options, out);
	options_write_help(common_options, out);
	buf_add_c(out, "\nExamples:\n");
	while (str_next(&rest, '\n', &line))
		buf_printf(out, "  " STR_FMT "\n", STR_ARG(line));
	buf_add_c(out, "\nExit codes:\n");
	write_exit(out, TOOL_OK, command->ok);
	write_exit(out, TOOL_NO, command->no);
	write_exit(out, TOOL_USAGE, command->usage ? command->usage : "the command line is wrong");
	write_exit(out, TOOL_UNKNOWN, command->unknown);
}

static void write_overview(struct buf *out)
{
	buf_add_c(out, "Usage: sekisho [-c FILE] COMMAND ...\n\nLooks after the gate: who may send what, and what was recorded.\n");
	for (size_t i = 0; command_groups[i].title; i++) {
		buf_printf(out, "\n%s:\n", command_groups[i].title);
		for each_command(command_groups[i], row)
			buf_printf(out, "  %-16s %s\n", (*row)->name, (*row)->summary);
	}
	buf_add_c(out, "\nOptions:\n");
	options_write_help(main_options, out);
	buf_add_c(out, "\nExit codes: 0 ok, 1 no or a problem was found, 2 usage, 3 could not tell.\n"
		       "Manual: sekisho(1), sekisho.yaml(5)\n");
}

static int print_help(struct tool *tool, const struct tool_command *command)
{
	if (command)
		write_help(command, &tool->out);
	else
		write_overview(&tool->out);
	return tool_flush(tool) ? TOOL_OK : TOOL_UNKNOWN;
}

/* --- which command */

/* How many words at the front of argv are exactly `name`; 0: they are not. */
static size_t count_words(struct str name, char *const *argv, size_t argc)
{
	struct str word;
	size_t at = 0;

	for (; str_next(&name, ' ', &word); at++)
		if (at == argc || !str_eq(word, str_from_c(argv[at])))
			return 0;
	return at;
}

static const struct tool_command *find_command(char *const *argv, size_t argc, size_t *out_words)
{
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row)
			if ((*out_words = count_words(str_from_c((*row)->name), argv, argc)) > 0)
				return *row;
	return NULL;
}

/* `sekisho tenant`: a word that only begins commands. Where it does, they are listed: as an answer, or as what is missing. */
static bool list_family(const char *word, bool is_answer, struct buf *out)
{
	struct str prefix = str_from_c(word);
	bool found = false;

	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row) {
			struct str first, rest;

			if (!str_cut(str_from_c((*row)->name), ' ', &first, &rest) || !str_eq(first, prefix))
				continue;
			if (!found && is_answer)
				buf_printf(out, "Usage: sekisho [-c FILE] %s COMMAND ...\n\n", word);
			else if (!found)
				buf_add_c(out, "sekisho: which one?\n");
			buf_printf(out, "  %-16s %s\n", (*row)->name, (*row)->summary);
			found = true;
		}
	if (found && is_answer)
		buf_printf(out, "\n`sekisho %s COMMAND --help` tells about one.\n", word);
	return found;
}

static bool asks_for_help(const char *word)
{
	return str_eq(str_from_c(word), STR("--help")) || str_eq(str_from_c(word), STR("-h"));
}

/* "verify" alone: the first command that ends so. */
static void offer_ending(struct config_nearest *best, const char *word)
{
	for (size_t i = 0; command_groups[i].title; i++)
		for each_command(command_groups[i], row) {
			struct str first, last;

			if (!best->best && str_cut(str_from_c((*row)->name), ' ', &first, &last) && str_eq(last, str_from_c(word)))
				best->best = (*row)->name;
		}
}

/* Compared with as many words as were given: "tenant lst" with "tenant list", "explian acme" with "explain". */
static int refuse_command(struct tool *tool, char *const *argv, size_t argc, bool wants_help)
{
	char typed[256], quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];
	struct config_nearest best = { .best = NULL };

	wants_help = wants_help || (argc == 2 && asks_for_help(argv[1]));
	if ((argc == 1 || wants_help) && list_family(argv[0], wants_help, &tool->out)) {
		if (wants_help)
			return tool_flush(tool) ? TOOL_OK : TOOL_UNKNOWN;
		fwrite(tool->out.ptr, 1, tool->out.len, stderr);
		buf_reset(&tool->out);
		return TOOL_USAGE;
	}
	if (argc > 1 && argv[1][0] == '-')
		argc = 1;
	for (size_t words = 1; words <= 2 && words <= argc && !best.best; words++) {
		snprintf(typed, sizeof typed, "%s%s%s", argv[0], words == 2 ? " " : "", words == 2 ? argv[1] : "");
		best.name = str_from_c(typed);
		for (size_t i = 0; command_groups[i].title; i++)
			for each_command(command_groups[i], row)
				config_nearest_offer(&best, (*row)->name);
	}
	offer_ending(&best, argv[0]);
	return tool_usage(tool, "there is no command %s%s", config_quote(str_from_c(typed), quoted),
			  config_nearest_hint(&best, hint));
}

/* --- running one */

static int refuse_options(struct tool *tool, const struct err *err)
{
	return err->kind == ERR_BUSY ? tool_fail(tool, TOOL_UNKNOWN, "%s", err->text) : tool_usage(tool, "%s", err->text);
}

static int run_command(struct tool *tool, struct common *common, char *const *argv, size_t argc)
{
	static const struct option no_options[] = { { NULL } };
	const struct tool_command *command = tool->command;
	unsigned long shortages = memory_shortages();
	void *values = arena_alloc(&tool->arena, command->values_size);
	const struct option_set sets[] = {
		{ command->options, values },
		{ common_options, common },
		{ command->has_json ? json_options : no_options, common },
	};
	struct err err;

	if (!values)
		return tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	if (!options_parse(argv, argc, sets, 3, &tool->arena, &tool->operands, &err))
		return refuse_options(tool, &err);
	if (common->wants_help)
		return print_help(tool, command);
	if (tool->operands.count < command->operands_min || tool->operands.count > command->operands_max)
		return tool_usage(tool, "%s: %s%s%s",
				  tool->operands.count < command->operands_min ? "missing argument" : "too many arguments", command->name,
				  *command->operands ? " " : "", command->operands);
	if (common->config.ptr)
		tool->config_path = common->config;
	tool->is_json = common->wants_json;

	int code = command->run(tool, values);

	if ((code == TOOL_OK || code == TOOL_NO) && memory_shortages() != shortages)
		code = tool_fail(tool, TOOL_UNKNOWN, "out of memory");
	tool_progress("", 0, 0);
	if (tool->closed_records)
		tool_fail(tool, TOOL_OK, "%lld sealed records stay closed: their keys were destroyed, or are not for this user",
			  (long long)tool->closed_records);
	return tool_flush(tool) ? code : TOOL_UNKNOWN;
}

/* Options before the command; where it begins. */
static bool parse_main(char *const *argv, size_t argc, struct common *common, struct tool *tool, size_t *out_at, struct err *err)
{
	const struct option_set set = { main_options, common };
	size_t at = 1;

	while (at < argc && argv[at][0] == '-') {
		struct str word = str_from_c(argv[at]);
		bool has_value = str_eq(word, STR("-c")) || str_eq(word, STR("--config")) || str_eq(word, STR("--via"));
		size_t n = has_value && at + 1 < argc ? 2 : 1;

		if (!options_parse(argv + at, n, &set, 1, &tool->arena, &tool->operands, err))
			return false;
		at += n;
	}
	*out_at = at;
	return true;
}

int tool_main(struct tool *tool, char *const *argv, size_t argc)
{
	struct common common = { .wants_help = false };
	struct err err;
	size_t at, words = 0;

	if (!parse_main(argv, argc, &common, tool, &at, &err))
		return refuse_options(tool, &err);
	if (common.wants_version) {
		tool_print(tool, "sekisho " PACKAGE_VERSION "\n");
		return tool_flush(tool) ? TOOL_OK : TOOL_UNKNOWN;
	}
	if (common.via.ptr && at < argc)
		return reader_ask(tool, common.via, argv + at, argc - at);
	if (at < argc && str_eq(str_from_c(argv[at]), STR("help"))) {
		common.wants_help = true;
		at++;
	}
	if (at == argc && common.wants_help)
		return print_help(tool, NULL);
	if (at == argc) {
		struct buf overview;

		buf_init(&overview, 65536);
		write_overview(&overview);
		fputs("sekisho: which command?\n\n", stderr);
		fwrite(overview.ptr, 1, overview.len, stderr);
		buf_clear(&overview);
		return TOOL_USAGE;
	}
	tool->command = find_command(argv + at, argc - at, &words);
	if (!tool->command)
		return refuse_command(tool, argv + at, argc - at, common.wants_help);
	return run_command(tool, &common, argv + at + words, argc - at - words);
}
