/*
 * export - records for people outside: CSV for spreadsheets, JSON Lines that prove themselves.
 *
 * CSV (RFC 4180, UTF-8 with BOM): a cell that a spreadsheet would take for a formula begins with an apostrophe; control
 * characters and octets that are no UTF-8 stand as \xNN.
 *
 * JSON Lines: the records' lines as they stand in the log, then a trailer, a statement (entry.h) of event "export":
 *   {"trailer":{"node","class","tenant","records":N,"first":SEQ,"last":SEQ,"sha256":HEX,"key":ID,"sig":BASE64}}
 * sha256 is over all octets before the trailer's line; first and last are seq of the first and last record, 0 without any.
 * Records of one tenant carry its own gap-free numbers, so its auditor sees from the export alone that none is missing between
 * the first and the last.
 *
 * Input    record_verify_export: a file that anybody may have written; read in a line at a time
 */
#ifndef SEKISHO_RECORD_EXPORT_H
#define SEKISHO_RECORD_EXPORT_H

#include "config/base/digest.h"
#include "milter/record/entry.h"
#include "milter/record/verify.h"

/* Would a spreadsheet take the cell for a formula? A Japanese one reads the wide signs, too. */
bool export_is_formula(struct str cell);
void export_csv_header(struct buf *out);
void export_csv_record(const struct record_line *record, struct buf *out);

struct export_jsonl {
	struct digest digest;
	int64_t records, first, last;
};
void export_jsonl_begin(struct export_jsonl *export);
/* A line without its newline. */
void export_jsonl_record(struct export_jsonl *export, struct str line, int64_t seq, struct buf *out);
/* The trailer. `key` NULL: not signed. */
bool export_jsonl_end(struct export_jsonl *export, struct str node, struct str class_name, struct str tenant,
		      const struct sign_key *key, struct buf *out, struct err *err);

/*
 * The report's records, bytes, first and last seq and times are filled in. VERIFY_OK: these are the lines that the holder
 * of the key exported, none altered, none missing between the first and the last of the tenant named in the trailer. `tenant`
 * is whose export it must be; ptr NULL: anybody's.
 */
bool record_verify_export(const char *path, struct str public_key_file, struct str tenant, verify_tongue *tongue,
			  struct verify_report *out, struct err *err);

#endif
