/*
 * japanese - what the tool says to people, in Japanese: a row a sentence, found by its English.
 *
 * The conversions of both are the same, in the same order; "%.0s" in the Japanese takes an English ending ("s") and shows
 * nothing. What has no row is said in English. Names, file names, SMTP's texts and lines to be copied are no sentences and stay.
 */
#ifndef SEKISHO_JAPANESE_H
#define SEKISHO_JAPANESE_H

struct japanese_row {
	const char *english, *japanese;
};
/* A table a subject; it ends with a row of NULLs. */
extern const struct japanese_row japanese_doctor[], japanese_reconcile[], japanese_verify[];

/* The same sentence, or `english` where there is none. */
const char *japanese_of(const char *english) __attribute__((format_arg(1)));

#endif
