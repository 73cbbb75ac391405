/* Any octets as a line of a mail log. */
#include <assert.h>

#include "milter/mail/outcome.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str line = str_of((const char *)data, size);
	struct outcome outcome;

	(void)outcome_is_log(line);
	if (outcome_read(line, &outcome)) {
		assert(outcome.kind != OUTCOME_NONE);
		assert(outcome.queue_id.len >= 5 && outcome.recipient.len <= size && outcome.said.len <= size);
	}
	return 0;
}
