/*
 * bounce_rules_default - config/bounce-rules.yaml as it was when the program was built.
 */
#ifndef SEKISHO_BOUNCE_RULES_DEFAULT_H
#define SEKISHO_BOUNCE_RULES_DEFAULT_H

#include <stddef.h>

extern const char bounce_rules_default[];
extern const size_t bounce_rules_default_length;

#endif
