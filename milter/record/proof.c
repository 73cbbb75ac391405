#include "milter/record/proof.h"

#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "config/base/clock.h"
#include "milter/record/reader.h"

struct walk {
	int64_t next, head;            /* seq of the record that is due, and of the last one */
	proof_fn *emit;
	void *arg;
};

static bool emit_leaf(const struct walk *walk, const struct record_link *link)
{
	unsigned char leaf[CHAIN_LEN], line[PROOF_LEAF_BASE64_LEN + 1];

	record_link_leaf(link, leaf);
	EVP_EncodeBlock(line, leaf, CHAIN_LEN);
	line[PROOF_LEAF_BASE64_LEN] = '\n';
	return walk->emit(walk->arg, str_of((const char *)line, sizeof line));
}

static bool walk_lines(struct walk *walk, struct record_reader *reader, struct err *err)
{
	struct record_link link;
	struct str line;
	bool is_torn, found, ok = true;

	while (walk->next <= walk->head && (ok = record_reader_next(reader, &line, &is_torn, &found, err)) && found) {
		if (is_torn || !record_parse_link(line, &link) || link.seq < walk->next)
			continue;
		if (link.seq > walk->next)
			break;
		if (!emit_leaf(walk, &link))
			return true;
		walk->next++;
	}
	if (ok && walk->next <= walk->head)
		return err_set(err, ERR_INPUT, "record %" PRId64 " is not there: it was purged, or is missing", walk->next);
	return ok;
}

bool proof_write(struct str dir, const struct note *old, int64_t head, proof_fn *emit, void *arg, struct err *err)
{
	struct walk walk = { .next = old->head + 1, .head = head, .emit = emit, .arg = arg };
	struct record_reader *reader;
	char first[40 + 2 * ENTRY_NAME_MAX + 16];
	int64_t time_us;

	/* The record after that checkpoint cannot stand in a file of an earlier day. */
	if (!jst_parse_time(old->time, &time_us))
		return err_set(err, ERR_INPUT, "the earlier checkpoint has no time");
	if (!record_reader_open(dir, jst_day(time_us) - 1, INT64_MAX, false, &reader, err))
		return false;

	snprintf(first, sizeof first, "old %" PRId64 " " STR_FMT "\n", old->head, STR_ARG(old->origin));
	emit(arg, str_from_c(first));

	bool ok = walk_lines(&walk, reader, err);

	emit(arg, STR("\n"));
	record_reader_close(reader);
	return ok;
}

bool proof_leaf(struct str line, unsigned char out[CHAIN_LEN])
{
	unsigned char raw[CHAIN_LEN + 1], again[PROOF_LEAF_BASE64_LEN + 1];

	if (line.len != PROOF_LEAF_BASE64_LEN ||
	    EVP_DecodeBlock(raw, (const unsigned char *)line.ptr, PROOF_LEAF_BASE64_LEN) != (int)sizeof raw)
		return false;
	EVP_EncodeBlock(again, raw, CHAIN_LEN);
	memcpy(out, raw, CHAIN_LEN);
	return memcmp(again, line.ptr, PROOF_LEAF_BASE64_LEN) == 0;
}
