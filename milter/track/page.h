/*
 * page - what people see of the endpoint: asking before an unsubscription, its result, and that a link leads nowhere.
 *
 * Whole pages without script, pictures or anything from elsewhere, in Japanese and English. They read well aloud (one
 * main part, one heading, a labelled button, a title that says what was done), with large type, and in the dark.
 *
 * Input    the recipient's address may hold any octets: it is escaped
 */
#ifndef SEKISHO_PAGE_H
#define SEKISHO_PAGE_H

#include "config/base/buf.h"

enum page {
	PAGE_ASK,                      /* unsubscribe this address? */
	PAGE_DONE,
	PAGE_LATER,                    /* it could not be stored: asks again */
	PAGE_SHORT,                    /* a link that could not be read just now */
	PAGE_UNKNOWN,                  /* no link of ours */
	PAGE_EXPIRED,                  /* one that was good once */
	PAGE_DENIED,                   /* one that was taken out of use */
	PAGE_WRONG,                    /* a request that nobody's browser makes */
	PAGE_COUNT
};

enum page_language { PAGE_JA, PAGE_EN, PAGE_LANGUAGE_COUNT };

/* By the Accept-Language field (RFC 9110 12.5.4): the better of the two; Japanese where it says nothing, English where
 * it names neither. */
enum page_language page_language_of(struct str accept_language);

/* `recipient` for PAGE_ASK and PAGE_DONE. */
void page_write(enum page page, enum page_language language, struct str recipient, struct buf *out);

#endif
