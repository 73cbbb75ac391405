#include "milter/failure.h"

#include "config/base/clock.h"
#include "config/base/log.h"
#include "policy/suppress.h"
#include "policy/tally.h"

/* 0: this failure puts nobody on the list. */
static int64_t suppress_for_us(const struct tenant *tenant, const struct failure *failure)
{
	if (tenant->suppress == SUPPRESS_MODE_OFF || failure->recipient.len == 0)
		return 0;
	if (failure->reason == BOUNCE_FEEDBACK)
		return tenant->suppress_complaint_us;
	return failure->is_hard ? tenant->suppress_hard_us : 0;
}

static bool suppress(struct store *st, const struct tenant *tenant, const struct failure *failure, struct err *err)
{
	int64_t now_us = clock_now_us(), for_us = suppress_for_us(tenant, failure);
	const struct suppression entry = {
		.recipient = failure->recipient,
		.source = failure->reason == BOUNCE_FEEDBACK ? SUPPRESS_COMPLAINT : SUPPRESS_BOUNCE,
		.reason = str_from_c(bounce_reason_name(failure->reason)),
		.by = failure->by,
		.since_us = now_us,
		.until_us = now_us + for_us,
	};

	if (for_us == 0 || suppress_add(st, tenant->name, &entry, err))
		return true;
	if (err->kind != ERR_INPUT)
		return false;
	log_warn("%s", err->text);             /* an address that no list can hold: it will not come again either */
	return true;
}

bool failure_count(struct store *st, const struct config *config, const struct tenant *tenant, const struct failure *failure,
		   bool *out_is_first, struct err *err)
{
	const struct tally_failure counted = { .message = failure->message, .recipient = failure->recipient,
					       .reason = str_from_c(bounce_reason_name(failure->reason)),
					       .is_hard = failure->is_hard, .sender = failure->sender };

	return tally_failed(st, config, tenant, &counted, out_is_first, err) && suppress(st, tenant, failure, err);
}
