/*
 * base64 - RFC 2045 6.8, both ways.
 *
 * The decoder takes what is really sent: lines of any width, blanks, octets outside the alphabet (passed over), no
 * padding. It says when what it read is not what every reader would have read.
 *
 * Bounds   linear; the output's ceiling is the buf's
 */
#ifndef SEKISHO_MAIL_BASE64_H
#define SEKISHO_MAIL_BASE64_H

#include "config/base/buf.h"

#define BASE64_LINE 76

/* False when readers could disagree: foreign octets, data after padding, a last group of one digit. What could be read is in
 * `out`. */
bool base64_decode(struct str in, struct buf *out);
/* Lines of BASE64_LINE digits, each with `eol`, the last one too; an empty eol: one line without end. */
void base64_encode(struct str in, struct str eol, struct buf *out);

#endif
