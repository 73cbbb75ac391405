#include "milter/tool/japanese.h"

#include <stddef.h>
#include <string.h>

const char *japanese_of(const char *english)
{
	const struct japanese_row *const tables[] = { japanese_doctor, japanese_reconcile, japanese_verify };

	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
		for (const struct japanese_row *row = tables[i]; row->english; row++)
			if (strcmp(row->english, english) == 0)
				return row->japanese;
	return english;
}
