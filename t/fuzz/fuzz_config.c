/* Any octets as the configuration's file: a snapshot whose tenants can be found, or errors that say where. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/base/io.h"
#include "config/config_report.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

extern const int replay_rounds;
const int replay_rounds = 100;         /* a snapshot takes milliseconds */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int file = -1;
	static char path[64];
	struct config_report report;
	struct config *config;
	struct err err = { .text = "" };

	if (file < 0) {
		file = memfd_create("config", MFD_CLOEXEC);
		snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	}
	if (ftruncate(file, 0) != 0 || lseek(file, 0, SEEK_SET) != 0 || !io_write_all(file, str_of((const char *)data, size), path, &err))
		abort();
	if (config_load(path, &config, &report)) {
		assert(config->tenant_count > 0 && config->node.len > 0);
		config_free(config);
	} else {
		config_report_first(&report, &err);
		assert(err.kind == ERR_CONFIG && err.text[0]);
	}
	config_report_clear(&report);
	return 0;
}
