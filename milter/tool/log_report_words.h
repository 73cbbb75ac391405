/*
 * log_report_words - what the report says, a row a sentence, in each language.
 *
 * Values are HTML: they are written as they stand.
 */
#ifndef SEKISHO_LOG_REPORT_WORDS_H
#define SEKISHO_LOG_REPORT_WORDS_H

#include "milter/tool/log_report.h"

enum report_word {
	W_TITLE, W_PERIOD, W_NODE, W_TENANT, W_ALL, W_MADE, W_VOLUME, W_ACCEPTED, W_DEFERRED, W_REJECTED, W_HELD, W_RECIPIENTS,
	W_DELIVERED, W_FAILED, W_BY_DAY, W_RULES, W_BOUNCES, W_INTEGRITY, W_INTACT, W_TAMPERED, W_RETENTION_BROKEN, W_UNKNOWN,
	W_CHECKED, W_SIGNED, W_UNSIGNED, W_PURGED, W_ERASED, W_RECOVERED, W_FINDINGS, W_NOT_PROVED, W_RETENTION, W_PROMISED,
	W_OLDEST, W_CLOCK, W_CLOCK_GOOD, W_ACCESS, W_NONE, W_OTHERS, W_MESSAGES, W_TIMES,
	W_STRIPS, W_STRIP_VERIFIED, W_STRIP_COMPLETE, W_STRIP_CLOCK, W_GOOD, W_WARN, W_BAD, W_NOT_TOLD, W_GAPS, W_LONGEST, W_HOURS,
	W_QUOTAS, W_KEPT_NOW, W_KEPT_MIN, W_KEPT_MAX, W_DAYS, REPORT_WORDS
};

const char *report_word(enum report_word word, enum report_lang lang);
/* The word for so many of them: 1 message, 2 messages. */
const char *report_unit(enum report_word plural, enum report_lang lang, int64_t n);
/* What a word of the log means (a bounce reason, a state of the clock). NULL: it says so itself, or is nobody's but the operator's. */
const char *report_term(struct str name, enum report_lang lang);

#endif
