/*
 * qp - quoted-printable (RFC 2045 6.7), both ways and edited in place.
 *
 * The decoder takes what is really sent: lower-case digits, escapes that are none (the `=` stays as text), blanks after
 * a soft break, a soft break as the last thing, LF for CRLF. Blanks at the end of a line were added in transport and go.
 *
 * Edits    qp_edit changes decoded octets inside encoded text: lines that no edit touches stay as they are, octet for
 *          octet; touched ones come out with at most QP_LINE_MAX octets
 * Bounds   linear; the output's ceiling is the buf's
 */
#ifndef SEKISHO_MAIL_QP_H
#define SEKISHO_MAIL_QP_H

#include "milter/mail/edit.h"

#define QP_LINE_MAX 76                 /* CRLF not counted */

/* False when readers could disagree: some take blanks behind a soft break for a break that is none. `out` is as RFC 2045
 * 6.7 (3) has it. */
bool qp_decode(struct str in, struct buf *out);

/* `eol`, "\r\n" or "\n", is what ends a line in `in` and in `out`; other CR and LF become =0D and =0A. */
void qp_encode(struct str in, struct str eol, struct buf *out);

/* `edits` speak about the octets that qp_decode(in) gives. */
void qp_edit(struct str in, const struct edit_list *edits, struct str eol, struct buf *out);

#endif
