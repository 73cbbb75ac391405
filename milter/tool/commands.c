#include "milter/tool/commands.h"

const struct command_group command_groups[] = {
	{ "The gate", { &command_check, &command_doctor, &command_explain, &command_status, &command_top, &command_reload } },
	{ "Tenants", { &command_tenant_list, &command_tenant_show, &command_tenant_suspend, &command_tenant_resume,
		       &command_quota_show, &command_quota_reset } },
	{ "Held mail", { &command_hold_list, &command_hold_release, &command_hold_drop } },
	{ "Opens and clicks", { &command_rewrite, &command_link_decode, &command_key_list, &command_key_rotate,
				&command_track_stats,
				&command_track_forget, &command_track_deny, &command_track_allow } },
	{ "The relay log", { &command_log_show, &command_log_search, &command_log_index, &command_log_serve,
			     &command_log_verify, &command_key_new,
			     &command_log_report, &command_log_export, &command_log_checkpoint, &command_log_purge,
			     &command_tenant_erase, &command_log_redact, &command_cert_verify } },
	{ "The relay log, from outside", { &command_witness, &command_log_reconcile } },
	{ "The suppression list", { &command_suppress_list, &command_suppress_add, &command_suppress_remove,
				    &command_suppress_import, &command_suppress_export } },
	{ "The store", { &command_store_copy } },
	{ "Backups", { &command_backup_run, &command_backup_list, &command_backup_verify, &command_backup_prune,
		       &command_backup_restore } },
	{ "Returned mail", { &command_bounce_classify, &command_bounce_count, &command_bounce_rules } },
	{ NULL },
};
