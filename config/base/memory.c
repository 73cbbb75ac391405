#include "config/base/memory.h"

#include <stdlib.h>

static _Thread_local unsigned long shortages;

unsigned long memory_shortages(void)
{
	return shortages;
}

void memory_ran_out(void)
{
	shortages++;
}

void *memory_malloc(size_t size)
{
	void *ptr = malloc(size);

	if (!ptr)
		memory_ran_out();
	return ptr;
}

void *memory_calloc(size_t count, size_t size)
{
	void *ptr = calloc(count, size);

	if (!ptr)
		memory_ran_out();
	return ptr;
}
