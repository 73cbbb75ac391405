/*
 * token_text - base64url (RFC 4648 5) without padding, one spelling for each value; for token.c alone.
 */
#ifndef SEKISHO_LINK_TOKEN_TEXT_H
#define SEKISHO_LINK_TOKEN_TEXT_H

#include "config/base/buf.h"

void token_text_write(struct str octets, struct buf *out);
/* `out` has room for s.len octets. False: not what token_text_write writes. */
bool token_text_read(struct str s, unsigned char *out, size_t *out_len);

#endif
