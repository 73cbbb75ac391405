#include "milter/record/export.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "config/base/hex.h"
#include "config/base/io.h"
#include "config/base/json.h"
#include "config/base/memory.h"
#include "config/base/utf8.h"
#include "milter/record/lines.h"
#include "milter/record/scan.h"

/* --- CSV */

bool export_is_formula(struct str cell)
{
	static const struct str signs[] = { STR_INIT("="), STR_INIT("+"), STR_INIT("-"), STR_INIT("@"), STR_INIT("\t"), STR_INIT("\r"),
					    STR_INIT("\n"), STR_INIT("＝"), STR_INIT("＋"), STR_INIT("－"), STR_INIT("＠") };

	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (str_starts(cell, signs[i]))
			return true;
	return false;
}

static void add_cell_text(struct buf *out, struct str s)
{
	while (s.len) {
		size_t len = utf8_length(s);
		unsigned char c = (unsigned char)*s.ptr;

		if (len == 0 || c < 0x20 || c == 0x7f || (len == 2 && c == 0xc2 && (unsigned char)s.ptr[1] < 0xa0))
			for (size_t i = 0; i < (len ? len : 1); i++)
				buf_printf(out, "\\x%02x", (unsigned char)s.ptr[i]);
		else if (c == '"')
			buf_add_c(out, "\"\"");
		else
			buf_add(out, str_slice(s, 0, len));
		s = str_from(s, len ? len : 1);
	}
}

/* Quoted always: then no content can look like a separator. */
static void add_cell(struct buf *out, struct str s, bool is_last)
{
	buf_add_byte(out, '"');
	if (export_is_formula(s))
		buf_add_byte(out, '\'');
	add_cell_text(out, s);
	buf_add_c(out, is_last ? "\"\r\n" : "\",");
}

static void add_number(struct buf *out, int64_t value)
{
	if (value)
		buf_printf(out, "%" PRId64, value);
	buf_add_byte(out, ',');
}

static void add_list(struct buf *out, const struct str *items, size_t count)
{
	struct buf joined;

	buf_init(&joined, RECORD_LINE_MAX);
	for (size_t i = 0; i < count; i++) {
		if (i)
			buf_add_byte(&joined, ' ');
		buf_add(&joined, items[i]);
	}
	out->failed |= joined.failed;
	add_cell(out, buf_view(&joined), false);
	buf_clear(&joined);
}

void export_csv_header(struct buf *out)
{
	buf_add_c(out, "\xef\xbb\xbfseq,time,event,tenant,tseq,id,message,queue_id,host,client,auth,helo,tls,from,to,size,nrcpt,"
		       "subject_hash,verdict,rule,reply,actions,rcpt,outcome,detail,clock\r\n");
}

void export_csv_record(const struct record_line *record, struct buf *out)
{
	const struct record_event *event = &record->event;
	const struct str front[] = { event->id, event->message, event->queue_id, event->host, event->client, event->auth,
				     event->helo, event->tls, event->from };
	const struct str middle[] = { event->subject_hash, event->verdict, event->rule, event->reply };
	char time[JST_TIME_LEN + 1];

	jst_format_time(record->stamp.time_us, time);
	add_number(out, record->stamp.seq);
	add_cell(out, str_from_c(time), false);
	add_cell(out, event->event, false);
	add_cell(out, event->tenant, false);
	add_number(out, record->stamp.tseq);
	for (size_t i = 0; i < sizeof front / sizeof *front; i++)
		add_cell(out, front[i], false);
	add_list(out, event->to, event->to_count);
	add_number(out, event->size);
	add_number(out, event->nrcpt);
	for (size_t i = 0; i < sizeof middle / sizeof *middle; i++)
		add_cell(out, middle[i], false);
	add_list(out, event->actions, event->action_count);
	add_cell(out, event->rcpt, false);
	add_cell(out, event->outcome, false);
	add_cell(out, event->detail, false);
	add_cell(out, record->stamp.clock, true);
}

/* --- JSON Lines */

void export_jsonl_begin(struct export_jsonl *export)
{
	*export = (struct export_jsonl){ .records = 0 };
	digest_begin(&export->digest);
}

static void digest_line(struct export_jsonl *export, struct str line, int64_t seq)
{
	digest_add(&export->digest, line);
	digest_add(&export->digest, STR("\n"));
	if (export->records++ == 0)
		export->first = seq;
	export->last = seq;
}

void export_jsonl_record(struct export_jsonl *export, struct str line, int64_t seq, struct buf *out)
{
	digest_line(export, line, seq);
	buf_add(out, line);
	buf_add_byte(out, '\n');
}

static void finish_digest(struct export_jsonl *export, char hex[CHAIN_HEX_LEN])
{
	unsigned char octets[DIGEST_LEN];

	digest_end(&export->digest, octets);
	hex_write(octets, CHAIN_LEN, hex);
}

bool export_jsonl_end(struct export_jsonl *export, struct str node, struct str class_name, struct str tenant,
		      const struct sign_key *key, struct buf *out, struct err *err)
{
	char hex[CHAIN_HEX_LEN];
	struct buf detail;
	struct json json;

	finish_digest(export, hex);
	buf_init(&detail, RECORD_LINE_MAX);
	json_init(&json, &detail);
	json_object_open(&json);
	json_member_str(&json, "node", node);
	json_member_str(&json, "class", class_name);
	json_member_str_opt(&json, "tenant", tenant);
	json_member_i64(&json, "records", export->records);
	json_member_i64(&json, "first", export->first);
	json_member_i64(&json, "last", export->last);
	json_member_str(&json, "sha256", str_of(hex, sizeof hex));
	bool ok = statement_sign(&detail, node, class_name, "export", key, err);

	buf_add_c(out, "{\"trailer\":");
	buf_add(out, buf_view(&detail));
	buf_add_c(out, "}\n");
	buf_clear(&detail);
	return ok;
}

/* --- reading one back */

struct check {
	struct verify_report *report;
	struct export_jsonl seen;
	struct str file;
	struct str trailer;            /* in the report's arena */
	struct str wanted;             /* whose it must be; ptr NULL: anybody's */
	struct str tenant;             /* of all records so far; ptr NULL: of several, or none */
	int64_t tseq;
	bool has_tenants;              /* a record of another tenant than the first's was seen */
};

#define FIND(check, result, offset, seq, ...) verify_report_find((check)->report, result, (check)->file, offset, seq, __VA_ARGS__)

static void check_number(struct check *check, const struct line *line, const struct record_line *record)
{
	if (check->report->records == 1)
		arena_copy(&check->report->arena, record->event.tenant, &check->tenant);
	else if (!str_eq(check->tenant, record->event.tenant))
		check->has_tenants = true;
	if (check->tseq && !check->has_tenants && record->stamp.tseq != check->tseq + 1)
		FIND(check, VERIFY_UNKNOWN, line->offset, record->stamp.seq, "record %" PRId64 " of the tenant is followed by %" PRId64
		     ": records between them were left out, or this is a selection", check->tseq, record->stamp.tseq);
	check->tseq = record->stamp.tseq;
}

static void check_line(struct check *check, const struct line *line)
{
	struct verify_report *report = check->report;
	struct record_line record;
	struct arena arena;

	arena_init(&arena, 8 * RECORD_LINE_MAX);
	if (!line->is_whole || !record_parse(line->text, &arena, &record, NULL)) {
		FIND(check, VERIFY_TAMPERED, line->offset, -1, "a line that is no record");
		digest_line(&check->seen, line->text, check->seen.last);
	} else {
		if (report->records++ == 0)
			report->first_time_us = record.stamp.time_us;
		else if (record.stamp.seq <= report->last_seq)
			FIND(check, VERIFY_TAMPERED, line->offset, record.stamp.seq, "out of order");
		report->last_time_us = record.stamp.time_us;
		report->last_seq = record.stamp.seq;
		digest_line(&check->seen, line->text, record.stamp.seq);
		check_number(check, line, &record);
	}
	arena_clear(&arena);
}

static bool check_lines(struct check *check, struct lines *lines, struct err *err)
{
	struct line line;
	bool found = false, ok;

	while ((ok = lines_next(lines, &line, &found, err)) && found) {
		if (check->trailer.len)
			FIND(check, VERIFY_TAMPERED, line.offset, -1, "a line behind the trailer");
		else if (str_starts(line.text, STR("{\"trailer\":")) && line.is_whole)
			arena_copy(&check->report->arena, line.text, &check->trailer);
		else
			check_line(check, &line);
	}
	return ok;
}

/* The tenant of the trailer against those of the records, and against the one that was asked for. */
static void check_tenant(struct check *check, struct str detail)
{
	struct str tenant = STR_EMPTY;

	if (!scan_find_string(detail, STR("tenant"), &tenant))
		check->has_tenants = true;
	else if (check->report->records && (check->has_tenants || !str_eq(check->tenant, tenant)))
		FIND(check, VERIFY_TAMPERED, -1, -1, "records of other tenants than the one that the trailer names");
	if (!check->wanted.ptr || str_eq(check->wanted, tenant))
		return;
	if (tenant.len)
		FIND(check, VERIFY_TAMPERED, -1, -1, "an export of tenant " STR_FMT ", not of tenant " STR_FMT,
		     STR_ARG(str_slice(tenant, 0, 100)), STR_ARG(str_slice(check->wanted, 0, 100)));
	else
		FIND(check, VERIFY_TAMPERED, -1, -1, "an export of all tenants, not of tenant " STR_FMT,
		     STR_ARG(str_slice(check->wanted, 0, 100)));
}

static void check_trailer(struct check *check, const struct sign_publics *publics)
{
	struct verify_report *report = check->report;
	struct str detail, sha256;
	int64_t records, first, last;
	char hex[CHAIN_HEX_LEN];

	report->first_seq = check->seen.first;
	finish_digest(&check->seen, hex);
	if (check->trailer.len == 0 || !scan_find(check->trailer, STR("trailer"), &detail) ||
	    !scan_find_string(detail, STR("sha256"), &sha256) || !scan_find_i64(detail, STR("records"), &records) ||
	    !scan_find_i64(detail, STR("first"), &first) || !scan_find_i64(detail, STR("last"), &last)) {
		FIND(check, VERIFY_TAMPERED, -1, -1, "no trailer: the end is missing");
		return;
	}
	if (records != check->seen.records || first != check->seen.first || last != check->seen.last ||
	    !str_eq(sha256, str_of(hex, sizeof hex)))
		FIND(check, VERIFY_TAMPERED, -1, -1, "not the records that the trailer declares: some were altered, added or taken out");
	check_tenant(check, detail);
	switch (statement_check(detail, STR("export"), publics)) {
	case STATEMENT_GOOD:
		report->checkpoints = 1;
		report->last_checkpoint_seq = report->last_seq;
		break;
	case STATEMENT_UNSIGNED:
		FIND(check, VERIFY_UNKNOWN, -1, -1, "the trailer is not signed");
		break;
	case STATEMENT_STRANGE:
		FIND(check, VERIFY_UNKNOWN, -1, -1, "the trailer is signed with a key that was not given");
		break;
	case STATEMENT_FORGED:
		FIND(check, VERIFY_TAMPERED, -1, -1, "the trailer's signature is wrong");
		break;
	}
}

bool record_verify_export(const char *path, struct str public_key_file, struct str tenant, verify_tongue *tongue, struct verify_report *out,
			  struct err *err)
{
	struct check check = { .report = out, .file = str_from_c(path), .wanted = tenant };
	unsigned long shortages = memory_shortages();
	struct sign_publics publics;
	struct lines lines;
	struct stat st;
	char key[PATH_MAX];
	bool ok = false;

	*out = (struct verify_report){ .result = VERIFY_UNKNOWN, .files = 1, .tongue = tongue };
	arena_init(&out->arena, (size_t)4 << 20);
	snprintf(key, sizeof key, STR_FMT, STR_ARG(public_key_file));
	if (!sign_publics_load(key, &publics, err))
		return false;
	export_jsonl_begin(&check.seen);

	int fd = io_open(path, O_RDONLY, 0, err);

	if (fd >= 0 && (fstat(fd, &st) == 0 || err_errno(err, ERR_BUSY, "%s", path)) &&
	    lines_open(&lines, fd, path, 0, st.st_size, err)) {
		out->result = VERIFY_OK;
		out->bytes = st.st_size;
		ok = check_lines(&check, &lines, err);
		if (ok)
			check_trailer(&check, &publics);
		lines_close(&lines);
	}
	if (fd >= 0)
		close(fd);
	return ok && (memory_shortages() == shortages || err_memory(err));
}
