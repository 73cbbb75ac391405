/*
 * configured - a configuration for a test. What is wrong with it fails the test.
 *
 * The caller publishes it or frees it.
 */
#ifndef SEKISHO_T_CONFIGURED_H
#define SEKISHO_T_CONFIGURED_H

#include "config/config.h"

/* The file of this name in unit_dir(), written first, as by printf(3). */
struct config *configured(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
struct config *configured_file(const char *path);

#endif
