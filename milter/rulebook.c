#include "milter/rulebook.h"

#include <limits.h>
#include <stdio.h>

static void free_rules(void *rules)
{
	bounce_rules_free(rules);
}

bool rulebook_load(struct rulebook *book, struct str path, struct err *err)
{
	struct config_report report;
	struct bounce_rules *rules;
	char name[PATH_MAX];
	bool ok;

	if (path.len >= sizeof name)
		return err_set(err, ERR_CONFIG, "the path of the bounce rules is too long");
	snprintf(name, sizeof name, STR_FMT, STR_ARG(path));
	config_report_init(&report);
	ok = path.len ? bounce_rules_load_file(name, STR_EMPTY, &rules, &report) : bounce_rules_load_default(&rules, &report);
	if (!ok) {
		config_report_log(&report);
		config_report_first(&report, err);
	}
	config_report_clear(&report);
	return ok && shared_replace(&book->rules, rules, err);
}

bool rulebook_open(struct rulebook *book, struct str path, struct err *err)
{
	*book = (struct rulebook){ .reader = NULL };
	shared_init(&book->rules, free_rules);
	return report_reader_new(&book->reader, err) && rulebook_load(book, path, err);
}

void rulebook_close(struct rulebook *book)
{
	report_reader_free(book->reader);
	shared_clear(&book->rules);
}

struct holding *rulebook_acquire(struct rulebook *book)
{
	return shared_acquire(&book->rules);
}

const struct bounce_rules *rulebook_rules(const struct holding *set)
{
	return holding_thing(set);
}

void rulebook_release(struct rulebook *book, struct holding *set)
{
	shared_release(&book->rules, set);
}
