/* Any octets as a file of rules: a set of rules or an error with a place, and a set judges without a fault. */
#include <assert.h>

#include "policy/bounce.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bounce_facts facts = { .diagnostic = STR("550 5.1.1 neko mike tora"), .text = STR("neko mike tora hachi") };
	struct bounce_verdict verdict;
	struct bounce_rules *rules;
	struct config_report report;
	struct arena arena;

	config_report_init(&report);
	if (bounce_rules_load(str_of((const char *)data, size), "rules.yaml", &rules, &report)) {
		arena_init(&arena, (size_t)1 << 20);
		bounce_judge(rules, &facts, &arena, &verdict);
		assert(verdict.reason < BOUNCE_REASON_COUNT);
		arena_clear(&arena);
		bounce_rules_free(rules);
	} else {
		assert(report.count > 0);
	}
	config_report_clear(&report);
	return 0;
}
