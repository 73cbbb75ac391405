/* Any octets as a delivery status: what is read points into them, and an address is no pipe. */
#include <assert.h>

#include "milter/mail/dsn.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dsn_report report;
	struct arena arena;
	struct err err;

	arena_init(&arena, (size_t)4 << 20);
	if (dsn_parse(str_of((const char *)data, size), &arena, &report, &err)) {
		assert(report.count > 0 && report.count <= DSN_RECIPIENTS_MAX);
		for (size_t i = 0; i < report.count; i++) {
			const struct dsn_recipient *it = &report.recipients[i];

			assert(it->final.len <= size && it->diagnostic.len <= size && it->status.len < 12);
			assert(it->final.len == 0 || it->final.ptr[0] != '|');
		}
	} else {
		assert(err.kind == ERR_INPUT);
	}
	arena_clear(&arena);
	return 0;
}
