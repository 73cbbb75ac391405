#include "milter/record/commit.h"

#include <stdio.h>
#include <sys/random.h>

#include "config/base/clock.h"
#include "config/base/json.h"
#include "config/base/log.h"
#include "config/base/num.h"
#include "milter/record/entry.h"

#define BUILD_MAX ((size_t)1 << 30)
#define SNAPSHOT_ROWS 150                           /* a line, each up to 6 * COMMIT_TENANT_MAX octets and a number */
_Static_assert(SNAPSHOT_ROWS * (6 * COMMIT_TENANT_MAX + 24) < RECORD_JSON_MAX, "a tenants line fits");
#define STEP_BACK_US US_PER_S                       /* smaller steps are a time daemon's daily work */

bool commit_open(struct commit *commit, const char *dir, int64_t preallocate, struct err *err)
{
	commit->salt_at = COMMIT_SALTS;
	commit->sync = TIMESYNC_OK;
	buf_init(&commit->group, BUILD_MAX);
	buf_init(&commit->detail, RECORD_LINE_MAX);
	buf_init(&commit->line, RECORD_LINE_MAX);
	return tail_open(&commit->tail, dir, preallocate, err);
}

void commit_close(struct commit *commit)
{
	tail_close(&commit->tail);
	buf_clear(&commit->group);
	buf_clear(&commit->detail);
	buf_clear(&commit->line);
}

static void next_salt(struct commit *commit, unsigned char out[RECORD_SALT_LEN])
{
	if (commit->salt_at == COMMIT_SALTS) {
		char *to = (char *)commit->salts;

		for (size_t got = 0; got < sizeof commit->salts;) {
			ssize_t n = getrandom(to + got, sizeof commit->salts - got, 0);

			got += n > 0 ? (size_t)n : 0;       /* EINTR: once more */
		}
		commit->salt_at = 0;
	}
	memcpy(out, commit->salts[commit->salt_at++], RECORD_SALT_LEN);
}

/* What is the same for all lines of a group. */
struct moment {
	int64_t now_us;
	struct str clock;
};

static struct moment moment_now(const struct commit *commit)
{
	struct moment moment = { .now_us = clock_now_us(), .clock = STR_EMPTY };

	if (commit->tail.file.part && jst_day(moment.now_us) < commit->tail.file.day)
		moment.clock = STR("behind");
	else if (commit->sync != TIMESYNC_OK)
		moment.clock = timesync_name(commit->sync);
	return moment;
}

static bool add_line(struct commit *commit, const struct moment *moment, struct record_body body, int64_t tseq,
		     struct err *err)
{
	struct tail_head *head = &commit->tail.head;
	struct record_stamp stamp = { .seq = head->seq + 1, .tseq = tseq, .time_us = moment->now_us, .clock = moment->clock };

	next_salt(commit, stamp.salt);
	if (!record_format_line(body, &stamp, head->chain, &commit->group, err))
		return false;
	head->seq++;
	head->time_us = moment->now_us;
	return true;
}

/* A line of the log's own, its detail being what commit->detail holds. */
static bool add_own(struct commit *commit, const struct moment *moment, struct str event, struct err *err)
{
	struct record_body body;
	struct record_event own = { .event = event };
	char id[RECORD_ID_LEN + 1];

	record_id_new(moment->now_us, id);
	own.id = str_of(id, RECORD_ID_LEN);
	return buf_done(&commit->detail, &own.detail, err) && record_format_body(&own, &commit->line, &body, err) &&
	       add_line(commit, moment, body, 0, err);
}

static bool add_snapshot(struct commit *commit, const struct moment *moment, size_t *row, struct err *err)
{
	const struct tseq *tseq = &commit->tail.tseq;
	size_t end = tseq->count - *row < SNAPSHOT_ROWS ? tseq->count : *row + SNAPSHOT_ROWS;
	struct json json;

	buf_reset(&commit->detail);
	json_init(&json, &commit->detail);
	json_object_open(&json);
	json_key(&json, "tseq");
	json_object_open(&json);
	for (; *row < end; ++*row) {
		json_key_str(&json, tseq->rows[*row].tenant);
		json_i64(&json, tseq->rows[*row].last);
	}
	json_object_close(&json);
	json_object_close(&json);
	return add_own(commit, moment, STR("tenants"), err);
}

static bool add_head(struct commit *commit, const struct moment *moment, struct err *err)
{
	struct tail *tail = &commit->tail;
	char file[RECORD_NAME_MAX], previous[RECORD_NAME_MAX];
	struct begin_entry begin = { .node = commit->node, .class_name = commit->class_name, .end = tail->before_end,
				     .after = tail->head.seq, .tenants = (int64_t)((tail->tseq.count + SNAPSHOT_ROWS - 1) / SNAPSHOT_ROWS) };
	size_t row = 0;

	record_file_name(tail->file, file);
	record_file_name(tail->before, previous);
	begin.file = str_from_c(file);
	begin.previous = str_from_c(previous);
	memcpy(begin.hash, tail->head.chain, CHAIN_LEN);
	begin_entry_write(&begin, &commit->detail);
	if (!add_own(commit, moment, STR("begin"), err))
		return false;
	while (row < tail->tseq.count)
		if (!add_snapshot(commit, moment, &row, err))
			return false;
	return true;
}

static bool add_recovered(struct commit *commit, const struct moment *moment, struct err *err)
{
	static const char *const kinds[] = {
		[REPAIR_CUT] = "cut", [REPAIR_DAMAGE] = "damaged", [REPAIR_MISSING] = "missing" };
	const struct tail_repair *repair = &commit->tail.repair;
	char file[RECORD_NAME_MAX];
	struct json json;

	if (repair->file.part == 0)
		return true;
	record_file_name(repair->file, file);
	buf_reset(&commit->detail);
	json_init(&json, &commit->detail);
	json_object_open(&json);
	json_member_str(&json, "file", str_from_c(file));
	json_member_str(&json, "kind", str_from_c(kinds[repair->kind]));
	json_member_i64(&json, "offset", repair->offset);
	json_member_i64(&json, "octets", repair->octets);
	json_object_close(&json);
	return add_own(commit, moment, STR("recovered"), err);
}

static bool add_clock(struct commit *commit, const struct moment *moment, struct str state, const char *by, int64_t by_us,
		      struct err *err)
{
	struct json json;

	buf_reset(&commit->detail);
	json_init(&json, &commit->detail);
	json_object_open(&json);
	json_member_str(&json, "state", state);
	json_member_i64(&json, by, by_us);
	json_object_close(&json);
	return add_own(commit, moment, STR("clock"), err);
}

/* The time that the last line had: own lines of this group carry the present one. */
static bool add_clock_changes(struct commit *commit, const struct moment *moment, enum timesync was, int64_t last_us,
			      struct err *err)
{
	if (commit->sync != was &&
	    !add_clock(commit, moment, timesync_name(commit->sync), "error_us", commit->clock_error_us, err))
		return false;
	return moment->now_us >= last_us - STEP_BACK_US ||
	       add_clock(commit, moment, STR("behind"), "by_us", last_us - moment->now_us, err);
}

/* Records do not wait for what only the checkpoint needs: it comes with a later group. */
static bool put_off_checkpoint(struct commit *commit, const char *why)
{
	log_error("checkpoint put off: %s", why);
	if (commit->has_once)
		once_end(&commit->once, false);
	commit->has_once = false;
	return true;
}

static bool add_checkpoint(struct commit *commit, const struct moment *moment, struct err *err)
{
	struct tail_head *head = &commit->tail.head;
	char time[JST_TIME_LEN + 1];
	struct checkpoint_entry checkpoint = { .node = commit->node, .class_name = commit->class_name, .head = head->seq,
					       .next = STR_EMPTY, .once = STR_EMPTY };
	char once[SIGN_BASE64_LEN + 1];
	struct str text;
	struct err why;

	commit->has_once = once_begin(&commit->once, commit->tail.dir, str_from_c(head->next), &why);
	if (!commit->has_once)
		return put_off_checkpoint(commit, why.text);
	jst_format_time(moment->now_us, time);
	checkpoint.time = str_of(time, JST_TIME_LEN);
	checkpoint.next = str_from_c(commit->once.next);
	memcpy(checkpoint.hash, head->chain, CHAIN_LEN);
	checkpoint_entry_text(&checkpoint, &commit->detail);
	if (!buf_done(&commit->detail, &text, err))
		return false;
	if (commit->once.current >= 0 && !once_sign(&commit->once, text, once))
		return put_off_checkpoint(commit, "OpenSSL cannot sign");
	if (commit->once.current >= 0)
		checkpoint.once = str_from_c(once);
	if (!checkpoint_entry_write(&checkpoint, commit->key, &commit->detail, err) ||
	    !add_own(commit, moment, STR("checkpoint"), err))
		return false;
	head->signed_seq = head->seq;
	snprintf(head->signed_node, sizeof head->signed_node, STR_FMT, STR_ARG(commit->node));
	snprintf(head->next, sizeof head->next, "%s", commit->once.next);
	return true;
}

static bool add_items(struct commit *commit, const struct moment *moment, struct commit_item *first, struct err *err)
{
	struct tseq *tseq = &commit->tail.tseq;

	for (struct commit_item *item = first; item; item = item->next) {
		if (item->tenant.len)
			item->row = tseq_row(tseq, item->tenant);
		if (item->tenant.len && item->row == SIZE_MAX)
			return err_memory(err);
		if (!add_line(commit, moment, item->body, item->tenant.len ? tseq->rows[item->row].last + 1 : 0, err))
			return false;
		item->is_counted = item->tenant.len > 0;
		if (item->is_counted)
			tseq->rows[item->row].last++;
	}
	return true;
}

static void undo_items(struct commit *commit, struct commit_item *first)
{
	for (struct commit_item *item = first; item; item = item->next) {
		if (item->is_counted)
			commit->tail.tseq.rows[item->row].last--;
		item->is_counted = false;
	}
}

static bool build(struct commit *commit, struct commit_item *first, bool is_signed, enum timesync was, struct err *err)
{
	struct moment moment = moment_now(commit);
	int64_t last_us = commit->tail.head.time_us;

	buf_reset(&commit->group);
	if (commit->tail.size == 0 && !add_head(commit, &moment, err))
		return false;
	if (!add_recovered(commit, &moment, err) || !add_clock_changes(commit, &moment, was, last_us, err) ||
	    !add_items(commit, &moment, first, err))
		return false;
	return !is_signed || !commit->key || add_checkpoint(commit, &moment, err);
}

static enum tail_result try_group(struct commit *commit, struct commit_item *first, bool is_signed, enum timesync was,
				  struct err *err)
{
	const struct tail_head head = commit->tail.head;
	int64_t begin = clock_mono_us();
	enum tail_result result = TAIL_WRITE_FAILED;

	if (build(commit, first, is_signed, was, err))
		result = commit->group.len ? tail_append(&commit->tail, buf_view(&commit->group), err) : TAIL_OK;
	if (commit->has_once)
		once_end(&commit->once, result == TAIL_OK);
	commit->has_once = false;
	if (result != TAIL_OK) {
		undo_items(commit, first);
		commit->tail.head = head;
		return result;
	}
	commit->sync_us = clock_mono_us() - begin;
	commit->octets = (int64_t)commit->group.len;
	commit->damages += commit->tail.repair.file.part && commit->tail.repair.kind != REPAIR_CUT;
	commit->tail.repair.file.part = 0;
	return TAIL_OK;
}

/* The last line of a day that was written to is a checkpoint, though its time may be after midnight. */
static bool sign_day(struct commit *commit, struct err *err)
{
	if (!commit->key || commit->tail.is_spoilt || commit->tail.size == 0 ||
	    commit->tail.head.signed_seq == commit->tail.head.seq)
		return true;
	return try_group(commit, NULL, true, commit->sync, err) != TAIL_WRITE_FAILED;
}

static bool is_full(const struct commit *commit)
{
	return commit->part_max > 0 && commit->tail.size >= commit->part_max;
}

/* A part of a file that could not be cut back says where that ends; a file of the next day cannot. */
static bool end_rest(struct commit *commit, struct err *err)
{
	return !commit->tail.has_rest || (tail_new_file(&commit->tail, commit->tail.file.day, err) &&
					  try_group(commit, NULL, true, commit->sync, err) == TAIL_OK);
}

/* The file that this moment's records belong into: never an older day's than the current one. */
static bool choose_file(struct commit *commit, struct err *err)
{
	struct tail *tail = &commit->tail;
	int64_t day = jst_day(clock_now_us());

	if (tail->file.part == 0)
		return tail_new_file(tail, day, err);
	if (day > tail->file.day)
		return sign_day(commit, err) && end_rest(commit, err) && tail_new_file(tail, day, err);
	if (!tail->is_spoilt && is_full(commit))
		return sign_day(commit, err) && tail_new_file(tail, tail->file.day, err);
	return !tail->is_spoilt || tail_new_file(tail, tail->file.day, err);
}

static bool commit_locked(struct commit *commit, struct commit_item *first, bool is_signed, struct err *err)
{
	enum timesync was = commit->sync;

	commit->clock_error_us = timesync_error_us();
	commit->sync = timesync_judge(commit->clock_error_us);

	enum tail_result result = choose_file(commit, err) ? try_group(commit, first, is_signed, was, err) : TAIL_WRITE_FAILED;

	/* A failed sync is never tried again: the group goes into a new file, once. */
	if (result == TAIL_SYNC_FAILED && tail_new_file(&commit->tail, commit->tail.file.day, err))
		result = try_group(commit, first, is_signed, was, err);
	if (result != TAIL_OK)
		commit->sync = was;
	return result == TAIL_OK;
}

bool commit_group(struct commit *commit, struct commit_item *first, bool is_signed, struct err *err)
{
	commit->tail.is_signing = commit->key != NULL;
	if (!tail_lock(&commit->tail, err))
		return false;
	bool ok = commit_locked(commit, first, is_signed, err);

	tail_unlock(&commit->tail);
	return ok;
}
