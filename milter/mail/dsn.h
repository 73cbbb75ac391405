/*
 * dsn - read a delivery status notification (RFC 3464, RFC 6533).
 *
 * A message/delivery-status part has one group of fields about the message, then one per recipient (RFC 3464 2.1).
 * This module reads them as they are met in the wild: blank before the colon, any case, groups without a blank line
 * between them, fields in any order, comments, folded values, `<>` around addresses, types left out or misspelt. It
 * does not judge them: see policy/bounce.h.
 *
 * Input    the part's decoded octets; anybody on the internet may have written them
 * Memory   the report lives in `arena`; its strings point into `text`, which must outlive it, or into the arena where
 *          a value was folded
 * Errors   ERR_INPUT: no recipient in it; ERR_BUSY: arena full
 * Bounds   DSN_RECIPIENTS_MAX recipients; the rest are counted in `dropped`. Linear
 */
#ifndef SEKISHO_MAIL_DSN_H
#define SEKISHO_MAIL_DSN_H

#include "config/base/arena.h"
#include "config/base/err.h"

#define DSN_RECIPIENTS_MAX 1000

enum dsn_action {
	DSN_ACTION_NONE,               /* the field is missing or unknown */
	DSN_FAILED, DSN_DELAYED, DSN_DELIVERED, DSN_RELAYED, DSN_EXPANDED,
};

struct dsn_recipient {
	struct str final, original, actual;    /* without type and brackets; empty: missing or no address */
	enum dsn_action action;
	struct str status;             /* "5.1.1"; empty: none that can be read */
	struct str comment;            /* what else the Status field says */
	struct str remote_mta;         /* without type */
	struct str diagnostic_type;    /* "smtp", "x-unix" ... */
	struct str diagnostic;
	struct str category;           /* X-PowerMTA-BounceCategory */
};

struct dsn_report {
	struct str reporting_mta;      /* without type */
	struct dsn_recipient *recipients;
	size_t count, dropped;
};

bool dsn_parse(struct str text, struct arena *arena, struct dsn_report *out, struct err *err);

#endif
