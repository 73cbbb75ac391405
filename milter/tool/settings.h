/*
 * settings - what a tenant's settings say, in words: one line a setting of sekisho.yaml(5).
 *
 * Memory   texts live in the tool's arena, or in the configuration
 */
#ifndef SEKISHO_SETTINGS_H
#define SEKISHO_SETTINGS_H

#include "milter/tool/tool.h"

struct setting_line {
	const char *name;              /* NULL ends the table */
	struct str (*text)(struct tool *tool, const struct tenant *tenant);
};
extern const struct setting_line setting_lines[];

/* Of the setting of that name; empty: there is none. */
struct str setting_text(struct tool *tool, const struct tenant *tenant, const char *name);

#endif
