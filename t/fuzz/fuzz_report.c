/* Any octets as a message: an answer or none in bounded memory, the same one twice, and each recipient judged. */
#include <assert.h>

#include "milter/returned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MEMORY ((size_t)8 << 20)

static void judge(const struct report_reader *reader, const struct bounce_rules *rules, struct str message, struct arena *arena,
		  struct returned *out)
{
	struct err err;

	arena_init(arena, MEMORY);
	assert(returned_judge(reader, rules, message, false, arena, out, &err));
	assert(out->report.count <= REPORT_RECIPIENTS_MAX);
	assert(out->report.kind != REPORT_NONE || out->report.count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct report_reader *reader;
	static struct bounce_rules *rules;
	struct config_report report;
	struct arena arenas[2];
	struct returned out[2];

	if (!reader) {
		config_report_init(&report);
		assert(report_reader_new(&reader, NULL) && bounce_rules_load_default(&rules, &report));
		config_report_clear(&report);
	}
	for (int i = 0; i < 2; i++)
		judge(reader, rules, str_of((const char *)data, size), &arenas[i], &out[i]);
	assert(out[0].report.count == out[1].report.count);
	for (size_t i = 0; i < out[0].report.count; i++) {
		assert(str_eq(out[0].report.recipients[i].address, out[1].report.recipients[i].address));
		assert(out[0].verdicts[i].rule == out[1].verdicts[i].rule);
	}
	arena_clear(&arenas[0]);
	arena_clear(&arenas[1]);
	return 0;
}
