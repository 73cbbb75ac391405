/*
 * commands - the rows of sekisho(1), each defined beside what it does, in tool_*.c; the help, the manual and the command
 * line follow the groups.
 */
#ifndef SEKISHO_COMMANDS_H
#define SEKISHO_COMMANDS_H

#include "milter/tool/tool.h"

extern const struct tool_command command_check, command_doctor, command_explain, command_status, command_reload, command_top;
extern const struct tool_command command_tenant_list, command_tenant_show, command_tenant_suspend, command_tenant_resume;
extern const struct tool_command command_quota_show, command_quota_reset;
extern const struct tool_command command_log_show, command_log_search, command_log_verify, command_key_new;
extern const struct tool_command command_log_checkpoint, command_log_export, command_log_purge, command_log_report;
extern const struct tool_command command_log_index, command_log_serve;
extern const struct tool_command command_witness, command_log_reconcile;
extern const struct tool_command command_tenant_erase, command_cert_verify;
extern const struct tool_command command_log_redact;
extern const struct tool_command command_suppress_list, command_suppress_add, command_suppress_remove, command_suppress_import,
	command_suppress_export;
extern const struct tool_command command_bounce_classify, command_bounce_count, command_bounce_rules;
extern const struct tool_command command_hold_list, command_hold_release, command_hold_drop;
extern const struct tool_command command_store_copy;
extern const struct tool_command command_backup_run, command_backup_list, command_backup_verify, command_backup_prune,
	command_backup_restore;
extern const struct tool_command command_rewrite, command_link_decode, command_key_list, command_key_rotate;
extern const struct tool_command command_track_stats, command_track_forget, command_track_deny, command_track_allow;

struct command_group {
	const char *title;
	const struct tool_command *commands[16];       /* ends with NULL */
};
extern const struct command_group command_groups[];               /* ends with a NULL title */

#define each_command(group, row) (const struct tool_command *const *row = (group).commands; *row; row++)

#endif
