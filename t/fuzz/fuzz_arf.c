/* Any octets as a feedback report. */
#include <assert.h>

#include "milter/mail/arf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arf_report report;

	if (arf_parse(str_of((const char *)data, size), &report, NULL)) {
		assert(report.feedback_type.len > 0 && report.count <= ARF_RECIPIENTS_MAX);
		for (size_t i = 0; i < report.count; i++)
			assert(str_find_byte(report.recipients[i], '@') < report.recipients[i].len);
	}
	return 0;
}
