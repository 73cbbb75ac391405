#include "milter/rulebook.h"

static void free_rules(void *rules)
{
	bounce_rules_free(rules);
}

static bool load_default(struct rulebook *book, struct err *err)
{
	struct config_report report;
	struct bounce_rules *rules;

	config_report_init(&report);

	bool ok = bounce_rules_load_default(&rules, &report);

	if (!ok)
		config_report_first(&report, err);
	config_report_clear(&report);
	return ok && shared_replace(&book->rules, rules, err);
}

bool rulebook_open(struct rulebook *book, struct err *err)
{
	*book = (struct rulebook){ .reader = NULL };
	shared_init(&book->rules, free_rules);
	return report_reader_new(&book->reader, err) && load_default(book, err);
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
