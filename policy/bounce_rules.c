#include "policy/bounce_rules.h"

#include <stdlib.h>

#include "config/base/io.h"
#include "config/base/memory.h"
#include "config/base/num.h"
#include "config/base/words.h"
#include "config/config_yaml.h"
#include "policy/bounce_rules_default.h"

#define PHRASES_MAX (RULES_MAX * 3)
#define DEFAULT_PATH "bounce-rules.yaml"

struct loader {
	struct bounce_rules *rules;
	struct config_report *report;
	struct str *texts;             /* of the automaton's phrases */
	bool ok;
};

static void refuse(struct loader *l, const struct node *node, const char *what)
{
	char quoted[CONFIG_QUOTE_SIZE];

	config_report_error(l->report, node_place(node), "%s: %s", config_quote(node->text, quoted), what);
	l->ok = false;
}

static bool take_reason(struct loader *l, const struct node *value, enum bounce_reason *out)
{
	if (bounce_reason_parse(value->text, out))
		return true;
	refuse(l, value, "no such reason");
	return false;
}

static void take_commands(struct loader *l, const struct node *value, struct bounce_rule *rule)
{
	struct str rest = value->text, word;
	enum smtp_command command;

	while (str_next(&rest, ' ', &word)) {
		if (smtp_command_parse(word, &command))
			rule->commands |= 1U << command;
		else
			refuse(l, value, "no such command");
	}
}

static void take_address(struct loader *l, const struct node *value, struct bounce_rule *rule)
{
	if (str_eq(value->text, STR("yes")))
		rule->address = RULE_ADDRESS_YES;
	else if (str_eq(value->text, STR("no")))
		rule->address = RULE_ADDRESS_NO;
	else
		refuse(l, value, "yes or no is expected");
}

static void take_priority(struct loader *l, const struct node *value, struct bounce_rule *rule)
{
	uint64_t priority;

	if (num_parse_u64(value->text, &priority) && priority <= 1000)
		rule->priority = (int)priority;
	else
		refuse(l, value, "a number from 0 to 1000 is expected");
}

static void take_later(struct loader *l, const struct node *value, struct bounce_rule *rule)
{
	rule->has_later = take_reason(l, value, &rule->later);
}

static void take_text_reason(struct loader *l, const struct node *value, struct bounce_rule *rule)
{
	(void)take_reason(l, value, &rule->reason);
}

#define TEXT_KEY(name, member) { name, offsetof(struct bounce_rule, member), NULL }
#define READ_KEY(name, function) { name, 0, function }

static const struct {
	const char *name;
	size_t at;
	void (*take)(struct loader *l, const struct node *value, struct bounce_rule *rule);
} keys[] = {
	TEXT_KEY("id", id), READ_KEY("priority", take_priority), READ_KEY("reason", take_text_reason),
	TEXT_KEY("text", text), TEXT_KEY("not", without), TEXT_KEY("reply", reply), TEXT_KEY("status", status),
	READ_KEY("command", take_commands), TEXT_KEY("host", host), TEXT_KEY("shape", shape), TEXT_KEY("category", category),
	READ_KEY("address", take_address), READ_KEY("later", take_later), TEXT_KEY("sample", sample),
};

static void key_unknown(struct loader *l, const struct node *value)
{
	struct config_nearest nearest = { .name = value->key };
	char quoted[CONFIG_QUOTE_SIZE], hint[CONFIG_QUOTE_SIZE];

	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		config_nearest_offer(&nearest, keys[i].name);
	config_report_error(l->report, node_key_place(value), "unknown key %s%s", config_quote(value->key, quoted),
			    config_nearest_hint(&nearest, hint));
	l->ok = false;
}

static void row_read(struct loader *l, const struct node *row, struct bounce_rule *rule)
{
	*rule = (struct bounce_rule){ .priority = -1, .place = node_place(row) };
	if (row->kind != NODE_MAP) {
		config_report_error(l->report, node_place(row), "a rule is a map of keys, here is %s",
				    node_kind_words(row));
		l->ok = false;
		return;
	}
	for node_each(value, row) {
		size_t i = 0, count = sizeof keys / sizeof *keys;

		while (i < count && !str_eq(str_from_c(keys[i].name), value->key))
			i++;
		if (i == count)
			key_unknown(l, value);
		else if (value->kind != NODE_TEXT)
			refuse(l, value, "a text is expected");
		else if (keys[i].take)
			keys[i].take(l, value, rule);
		else
			*(struct str *)((char *)rule + keys[i].at) = value->text;
	}
	if (!l->ok)
		return;
	if (rule->id.len == 0 || rule->priority < 0 || !node_find(row, STR("reason"))) {
		config_report_error(l->report, node_place(row), "a rule needs id, priority, reason and sample");
		l->ok = false;
	} else if (rule->sample.len == 0) {
		config_report_error(l->report, node_place(row), "rule " STR_FMT " is untested: it has no sample", STR_ARG(rule->id));
		l->ok = false;
	} else if (rule->text.len == 0 && rule->reply.len + rule->status.len + rule->host.len + rule->shape.len +
						  rule->category.len == 0 && rule->commands == 0) {
		config_report_error(l->report, node_place(row), "rule " STR_FMT " has neither text nor condition", STR_ARG(rule->id));
		l->ok = false;
	}
}

/* Folds one phrase. An end that is not ASCII, or is followed by `*`, need not be the end of a word. */
static bool phrase_fold(struct loader *l, struct str text, struct str *out)
{
	char folded[RULE_TEXT_MAX + 4];
	struct words words;
	struct str made;
	bool opens = str_starts(text, STR("*")), closes = str_ends(text, STR("*"));

	words_init(&words, folded, sizeof folded);
	words_add(&words, text);
	made = words_view(&words);
	if (made.len < 3 || words.is_full)
		return false;
	if (opens || (uint8_t)made.ptr[1] >= 0x80)
		made = str_from(made, 1);
	if (closes || (uint8_t)made.ptr[made.len - 2] >= 0x80)
		made.len--;
	return arena_copy(&l->rules->arena, made, out);
}

static bool phrase_add(struct loader *l, struct str text, struct bounce_phrase phrase)
{
	struct bounce_rules *rules = l->rules;

	if (rules->phrase_count == PHRASES_MAX || !phrase_fold(l, text, &l->texts[rules->phrase_count]))
		return false;
	phrase.length = (uint16_t)l->texts[rules->phrase_count].len;
	rules->phrases[rules->phrase_count++] = phrase;
	return true;
}

static bool rule_phrases(struct loader *l, struct bounce_rule *rule)
{
	uint16_t number = (uint16_t)(rule - l->rules->rules);
	struct str rest = rule->text;

	while (rest.len) {
		size_t gap = str_find(rest, STR(" .. "));
		struct str piece = str_slice(rest, 0, gap);

		if (rule->parts == RULE_PARTS_MAX ||
		    !phrase_add(l, piece, (struct bounce_phrase){ .kind = PHRASE_PART, .rule = number, .part = (uint16_t)rule->parts }))
			return false;
		rule->length += l->rules->phrases[l->rules->phrase_count - 1].length;
		rule->parts++;
		rest = str_from(rest, gap + 4);
	}
	if (rule->without.len && !phrase_add(l, rule->without, (struct bounce_phrase){ .kind = PHRASE_NOT, .rule = number }))
		return false;
	if (rule->parts > 1 || rule->without.len)
		rule->track = ++l->rules->track_count;
	return true;
}

static bool rules_compile(struct loader *l, struct config_place at)
{
	unsigned long shortages = memory_shortages();
	struct bounce_rules *rules = l->rules;
	struct err err;

	for (size_t i = 0; i < rules->count; i++) {
		struct bounce_rule *rule = &rules->rules[i];

		if (!rule_phrases(l, rule)) {
			if (memory_shortages() != shortages)
				return false;
			config_report_error(l->report, rule->place, "rule " STR_FMT ": this text is no phrase", STR_ARG(rule->id));
			return false;
		}
		if (rules->track_count > RULES_TRACKED_MAX) {
			config_report_error(l->report, rule->place, "more than %d rules with several parts or with `not`",
					    RULES_TRACKED_MAX);
			return false;
		}
		if (rule->parts == 0)
			rules->plain[rules->plain_count++] = i;
	}
	for (size_t i = 0; i < said_place_count; i++) {
		l->texts[rules->phrase_count] = said_places[i].words;
		rules->phrases[rules->phrase_count++] =
			(struct bounce_phrase){ .kind = PHRASE_COMMAND, .rule = (uint16_t)said_places[i].command };
	}
	if (phrase_set_new(l->texts, rules->phrase_count, &rules->set, &err))
		return true;
	config_report_error(l->report, at, "%s", err.text);
	return false;
}

/* One file's rows; NULL: an error was reported. */
static const struct node *list_read(struct loader *l, struct str text, const char *path, bool *out_is_alone)
{
	struct bounce_rules *rules = l->rules;
	struct str *kept = arena_alloc(&rules->arena, sizeof *kept);
	const struct node *list = NULL, *alone;
	struct node *root;

	if (!kept || !arena_copy(&rules->arena, str_from_c(path), kept) ||
	    !config_yaml_read(text, kept, &rules->arena, l->report, &root))
		return NULL;
	if (root && root->kind == NODE_MAP)
		list = node_find(root, STR("rules"));
	if (!list || list->kind != NODE_LIST || list->count > RULES_MAX) {
		config_report_error(l->report, (struct config_place){ .file = *kept },
				    "a list of at most %d rows under `rules:` is expected", RULES_MAX);
		return NULL;
	}
	alone = node_find(root, STR("alone"));
	*out_is_alone = alone && alone->kind == NODE_TEXT && str_eq(alone->text, STR("true"));
	if (alone && !*out_is_alone && !(alone->kind == NODE_TEXT && str_eq(alone->text, STR("false")))) {
		config_report_error(l->report, node_place(alone), "alone: true or false is expected");
		return NULL;
	}
	return list;
}

static bool has_id(const struct bounce_rules *rules, size_t count, struct str id)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(rules->rules[i].id, id))
			return true;
	return false;
}

/* Behind what is there already, but for rows whose id that has. */
static void rows_add(struct loader *l, const struct node *list)
{
	struct bounce_rules *rules = l->rules;
	size_t before = rules->count;

	for node_each(row, list) {
		row_read(l, row, &rules->rules[rules->count]);
		if (!has_id(rules, before, rules->rules[rules->count].id))
			rules->count++;
	}
}

/* `path` NULL: no file, only the rows that came with the program. */
static bool rules_read(struct loader *l, struct str text, const char *path, bool is_alone)
{
	struct bounce_rules *rules = l->rules;
	const struct node *lists[2] = { NULL, NULL };
	bool never;
	size_t room;

	if (path && !(lists[0] = list_read(l, text, path, is_alone ? &never : &is_alone)))
		return false;
	if (!is_alone && !(lists[1] = list_read(l, str_of(bounce_rules_default, bounce_rules_default_length), DEFAULT_PATH, &never)))
		return false;
	room = (lists[0] ? lists[0]->count : 0) + (lists[1] ? lists[1]->count : 0) + 1;
	if (room > RULES_MAX) {
		config_report_error(l->report, (struct config_place){ .file = str_from_c(path) }, "with those that came with the "
				    "program these are %zu rules, more than %d", room - 1, RULES_MAX);
		return false;
	}
	rules->rules = arena_array(&rules->arena, room, sizeof *rules->rules);
	rules->plain = arena_array(&rules->arena, room, sizeof *rules->plain);
	rules->phrases = arena_array(&rules->arena, PHRASES_MAX + said_place_count, sizeof *rules->phrases);
	if (!rules->rules || !rules->plain || !rules->phrases)
		return false;
	for (size_t i = 0; i < 2; i++) {
		if (lists[i])
			rows_add(l, lists[i]);
		rules->own_count = i == 0 ? rules->count : rules->own_count;
	}
	return l->ok;
}

static bool rules_load(struct str text, const char *path, bool is_alone, struct bounce_rules **out, struct config_report *report)
{
	struct loader l = { .report = report, .ok = true };
	struct config_place at = { .file = str_from_c(path ? path : DEFAULT_PATH) };

	l.rules = calloc(1, sizeof *l.rules);
	l.texts = calloc(PHRASES_MAX + said_place_count, sizeof *l.texts);
	if (!l.rules || !l.texts) {
		config_report_error(report, at, "out of memory");
		free(l.rules);
		free(l.texts);
		return false;
	}
	arena_init(&l.rules->arena, SIZE_MAX);

	bool ok = rules_read(&l, text, path, is_alone) && rules_compile(&l, at);

	free(l.texts);
	if (ok) {
		*out = l.rules;
		return true;
	}
	if (report->count == 0)
		config_report_error(report, at, "out of memory");
	bounce_rules_free(l.rules);
	return false;
}

bool bounce_rules_load(struct str text, const char *path, struct bounce_rules **out, struct config_report *report)
{
	return rules_load(text, path, true, out, report);
}

bool bounce_rules_load_default(struct bounce_rules **out, struct config_report *report)
{
	return rules_load(STR_EMPTY, NULL, false, out, report);
}

bool bounce_rules_load_file(const char *path, struct str named_in, struct bounce_rules **out, struct config_report *report)
{
	struct buf text;
	struct err err;
	bool ok;

	buf_init(&text, CONFIG_FILE_MAX);
	ok = io_read_file(path, &text, &err);
	if (!ok)
		config_report_error(report, (struct config_place){ .file = named_in }, "%s%s",
				    named_in.len ? "rules in bounces: " : "", err.text);
	ok = ok && rules_load(buf_view(&text), path, false, out, report);
	buf_clear(&text);
	return ok;
}

void bounce_rules_free(struct bounce_rules *rules)
{
	if (!rules)
		return;
	phrase_set_free(rules->set);
	arena_clear(&rules->arena);
	free(rules);
}
