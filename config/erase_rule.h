/*
 * erase_rule - when what is known of a tenant goes after its contract has ended.
 *
 *   next-month-10   at 00:00 JST of that day (1 to 28) of the following month: 2026-12-31 -> 2027-01-10
 *   72h             so many hours after the end; it is done within the hour before
 *   P6M             so many months (M), days (D) or years (Y) after it, at 00:00 JST; a day that the month does not have is the
 *                   1st of the next
 */
#ifndef SEKISHO_ERASE_RULE_H
#define SEKISHO_ERASE_RULE_H

#include "config/base/str.h"

#define ERASE_RULE_WORDS "next-month-10, 72h or P6M"

struct erase_rule {
	enum { ERASE_NEXT_MONTH, ERASE_HOURS, ERASE_DAYS, ERASE_MONTHS } kind;
	int64_t n;
};

bool erase_rule_parse(struct str text, struct erase_rule *out);
/* The moment by which it must be done. */
int64_t erase_rule_due_us(struct erase_rule rule, int64_t ended_us);

#endif
