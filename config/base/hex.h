/*
 * hex - octets as hexadecimal digits, in one spelling: lower case.
 */
#ifndef SEKISHO_HEX_H
#define SEKISHO_HEX_H

#include "config/base/str.h"

/* `out` holds 2 * n octets and gets no NUL. */
void hex_write(const unsigned char *octets, size_t n, char *out);
/* Lower case only, as hex_write has it: one spelling for each value. `out` is written either way. */
bool hex_read(struct str hex, unsigned char *out, size_t n);

#endif
