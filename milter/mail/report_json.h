/*
 * report_json - bounces and complaints that Amazon SES sends as JSON through SNS.
 *
 * Reads the members of bouncedRecipients and complainedRecipients and nothing else; the JSON comes wrapped in a mail,
 * often with line ends inside its strings, so it is scanned, not parsed.
 *
 * Memory   recipients in `arena`, strings in the text where nothing was escaped
 * Bounds   REPORT_RECIPIENTS_MAX recipients; linear
 */
#ifndef SEKISHO_MAIL_REPORT_JSON_H
#define SEKISHO_MAIL_REPORT_JSON_H

#include "milter/mail/report.h"

/* A text without such a notice leaves `out` as it is. False: the arena is used up. */
bool report_json_read(struct str text, struct arena *arena, struct report *out);

#endif
