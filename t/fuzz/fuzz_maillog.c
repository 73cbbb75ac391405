/* Any octets as lines of the MTA's log: no crash, and what is found stands in the line. */
#include <assert.h>

#include "milter/maillog_line.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str line)
{
	struct maillog_line got;
	struct str recipient;
	int64_t us;

	if (!maillog_line_read(line, &got))
		return;
	assert(got.queue_id.len >= 5 && got.queue_id.ptr >= line.ptr && got.queue_id.ptr < line.ptr + line.len);
	assert(got.more.len <= line.len);
	while (maillog_line_next(&got.more, &recipient))
		assert(recipient.ptr > line.ptr && recipient.ptr + recipient.len < line.ptr + line.len);
	(void)maillog_stamp_us(got.stamp, INT64_C(1795000000000000), &us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_of((const char *)data, size), line;

	check(rest);
	while (str_next(&rest, '\n', &line))
		check(line);
	return 0;
}
