/*
 * config_hint - what usually is behind a file that cannot be read, for people who do not write YAML every day.
 *
 * Each hint is a half sentence that follows an error, from "; " on, or nothing when there is nothing to guess. The error
 * itself says what is wrong; a hint may be mistaken and never decides anything.
 */
#ifndef SEKISHO_CONFIG_HINT_H
#define SEKISHO_CONFIG_HINT_H

#include "config/base/str.h"

#define CONFIG_HINT_SIZE 120

/* Of a file that is not UTF-8, or has a control character: the octet that says so. */
const char *config_hint_encoding(struct str text, int octet);
/* Of the place, both from 1, where YAML ends: tabs, signs that want quotation marks, what a Japanese keyboard writes. */
const char *config_hint_syntax(struct str text, size_t line, size_t column, char out[CONFIG_HINT_SIZE]);
/* Of a key or a value that is not what was expected: the first full-width sign in it. */
const char *config_hint_wide(struct str value, char out[CONFIG_HINT_SIZE]);

#endif
