#include "config/base/memory.h"

static _Thread_local unsigned long shortages;

unsigned long memory_shortages(void)
{
	return shortages;
}

void memory_ran_out(void)
{
	shortages++;
}
