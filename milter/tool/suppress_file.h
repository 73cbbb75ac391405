/*
 * suppress_file - a suppression list as a file: CSV (with a heading) or JSON Lines, for other programs and spreadsheets.
 *
 *     recipient,source,reason,by,since,until,senders
 *     {"recipient":"a@b","source":"bounce","reason":"userunknown","by":"mail.log","since":"2026-11-21T...","until":...,"senders":...}
 *
 * Read back, columns may come in any order and only `recipient` must be there; times may be whatever options_parse_time
 * takes. A CSV file without that heading is a list of addresses, the first cell of each row. What another program says about
 * a recipient is believed, but each entry is looked at by itself: one that is no entry is told with its line, and the others
 * go on.
 */
#ifndef SEKISHO_TOOL_SUPPRESS_FILE_H
#define SEKISHO_TOOL_SUPPRESS_FILE_H

#include "config/base/json.h"
#include "policy/suppress.h"

void suppress_file_csv_heading(struct buf *out);
void suppress_file_csv_row(struct buf *out, const struct suppression *entry);
/* An object without the line end. */
void suppress_file_json(struct json *json, const struct suppression *entry);

/* `why` NULL: an entry; else the line holds none. The entry lives for the call. False stops. */
typedef bool suppress_file_fn(void *arg, size_t line, const struct suppression *entry, const char *why);
/* Entries without a source are `fallback`'s, and so are their reason, by, since and until. */
bool suppress_file_read(struct str text, const struct suppression *fallback, suppress_file_fn *fn, void *arg, struct err *err);

#endif
