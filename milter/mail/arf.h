/*
 * arf - read an abuse report (RFC 5965): somebody called a message spam, or asked to be left alone.
 *
 * Input    a message/feedback-report part's decoded octets
 * Memory   strings point into `text`
 * Errors   ERR_INPUT: no Feedback-Type
 * Bounds   ARF_RECIPIENTS_MAX recipients; the rest are dropped. Linear
 */
#ifndef SEKISHO_MAIL_ARF_H
#define SEKISHO_MAIL_ARF_H

#include "config/base/err.h"
#include "config/base/str.h"

#define ARF_RECIPIENTS_MAX 64

struct arf_report {
	struct str feedback_type;      /* "abuse", "opt-out", "not-spam" ... */
	struct str recipients[ARF_RECIPIENTS_MAX];     /* Original-Rcpt-To and Removal-Recipient, bare; often none */
	size_t count;
};

/* RFC 5965 3.1, RFC 6591, RFC 6650: the same form carries praise, and reports of failed authentication. */
bool arf_is_complaint(struct str feedback_type);
bool arf_parse(struct str text, struct arf_report *out, struct err *err);

#endif
