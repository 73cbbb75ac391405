#include "milter/bell.h"

enum bell_call bell_look(struct bell *bell, bool is_wrong, bool is_shock, int64_t now_us, int64_t again_us)
{
	bool is_cool = !bell->was_told || now_us - bell->told_us >= again_us, was_ringing = bell->is_ringing;

	if (!is_wrong) {
		bell->is_ringing = false;
		return was_ringing ? BELL_OVER : BELL_QUIET;
	}
	if (!is_cool)
		return BELL_QUIET;
	*bell = (struct bell){ .is_ringing = !is_shock, .was_told = true, .told_us = now_us };
	return was_ringing ? BELL_AGAIN : BELL_RAISED;
}
