/* Any octets as lines of the MTA's log: no crash, what is found stands in the line, and what the follower remembers of queue
 * ids and of who waits stays whole. */
#include <assert.h>
#include <stdlib.h>

#include "milter/maillog_line.h"
#include "milter/maillog_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str line)
{
	struct maillog_line got;
	struct str recipient;
	int64_t us;

	if (!maillog_line_read(line, &got))
		return;
	assert(got.queue_id.len >= 5 && got.queue_id.ptr >= line.ptr && got.queue_id.ptr < line.ptr + line.len);
	assert(got.outcome.more.len <= line.len);
	while (outcome_next(&got.outcome.more, &recipient))
		assert(recipient.ptr > line.ptr && recipient.ptr + recipient.len < line.ptr + line.len);
	(void)maillog_stamp_us(got.stamp, INT64_C(1795000000000000), &us);
}

/* As the follower does, for messages that are all ours. */
static void remember(struct maillog_map *map, struct str text)
{
	struct maillog_message message;
	struct maillog_open *open;
	struct maillog_line line;

	if (!maillog_line_read(text, &line))
		return;
	if (line.kind != MAILLOG_REQUEUED && !maillog_map_find(map, line.queue_id, &message))
		maillog_map_add(map, line.queue_id, STR("M"), STR("acme"), line.outcome.recipient);
	if (line.kind == MAILLOG_REQUEUED)
		maillog_map_rename(map, line.old_id, line.queue_id);
	else if (line.kind == MAILLOG_REMOVED)
		maillog_map_done(map, line.queue_id);
	else if (line.kind == MAILLOG_OUTCOME && line.outcome.kind == OUTCOME_DELAYED)
		maillog_map_wait(map, line.queue_id, line.outcome.recipient, line.outcome.status, line.outcome.reply);
	else if (line.kind == MAILLOG_OUTCOME)
		maillog_map_settle(map, line.queue_id, line.outcome.recipient);
	while (line.kind == MAILLOG_EXPIRED && (open = maillog_map_take(map, line.queue_id))) {
		assert(open->recipient.len <= OUTCOME_LINE_MAX && open->said.len <= OUTCOME_LINE_MAX);
		free(open);
	}
	if (line.kind == MAILLOG_OUTCOME)
		assert(maillog_map_find(map, line.queue_id, &message) && strcmp(message.tenant, "acme") == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_of((const char *)data, size), line;
	struct maillog_map *map = maillog_map_new();

	check(rest);
	while (str_next(&rest, '\n', &line)) {
		check(line);
		if (map)
			remember(map, line);
	}
	maillog_map_free(map);
	return 0;
}
