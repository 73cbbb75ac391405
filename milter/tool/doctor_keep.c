/* sekisho doctor: what must not be kept, and what must: keys of sealed records, erasures that are due, backups. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/base/clock.h"
#include "milter/backup.h"
#include "milter/erasure_order.h"
#include "milter/tool/doctor.h"

#define BACKUP_LATE_DAYS 2

static enum doctor_level look_keyring(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->log_keyring));
	struct stat st;

	if (!doctor->config->log_is_sealed)
		return doctor_say(doctor, DOCTOR_FINE, NULL,
				  "relay_log.personal_data is plain: there is nothing to open");
	if (stat(path, &st) != 0)
		return doctor_say_errno(doctor, path,
					doctor_text(doctor, "install -d -m 700 -o sekisho -g sekisho %s", path));
	/* Its mode was looked at with the configuration. */
	return doctor_say(doctor, DOCTOR_NOTE, doctor_text(doctor, "leave %s out of every backup (it carries a CACHEDIR.TAG)", path),
			  "records are sealed with the keys in %s: a copy of it outlives what is to be destroyed", path);
}

static enum doctor_level look_operator_key(struct doctor *doctor)
{
	const char *path = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->operator_key_file)), *public;

	public = doctor_text(doctor, "%s.pub", path);
	if (!*path || access(public, F_OK) != 0)
		return doctor_say(doctor, DOCTOR_NOTE, "sekisho key new --operator --owner sekisho",
				  "there is no operator key: no tenant can be erased, and no backup restored");
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%s says who may take records out", public);
}

static enum doctor_level look_orders(struct doctor *doctor)
{
	int64_t now_us = clock_now_us();
	struct erasure_order *orders;
	struct err err;
	size_t count;

	if (!erasure_orders_read(doctor->config, &doctor->tool->arena, &orders, &count, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "it cannot be looked at: %s", err.text);
	for (size_t i = 0; i < count; i++) {
		if (!orders[i].is_good)
			return doctor_say(doctor, DOCTOR_FAULT, doctor_text(doctor, "rm " STR_FMT, STR_ARG(orders[i].file)),
					  STR_FMT ": not signed with the operator's key", STR_ARG(orders[i].file));
		if (orders[i].due_us < now_us)
			return doctor_say(doctor, DOCTOR_FAULT,
					  doctor_text(doctor, "remove %.*s from the configuration; sekisho reload", STR_ARG(orders[i].tenant)),
					  "tenant " STR_FMT " was to be erased by now", STR_ARG(orders[i].tenant));
	}
	return doctor_say(doctor, DOCTOR_FINE, NULL, "%zu former tenants are to be erased by rule, none is late", count);
}

/* "20261121T180405" */
static int64_t day_of(const char *name)
{
	int64_t number = 0;

	for (size_t i = 0; i < 8; i++)
		number = number * 10 + (name[i] - '0');
	return jst_day_from_civil((int)(number / 10000), (int)(number / 100 % 100), (int)(number % 100));
}

static enum doctor_level look_backups(struct doctor *doctor)
{
	const char *dir = doctor_text(doctor, STR_FMT, STR_ARG(doctor->config->backup_dir));
	char (*names)[BACKUP_NAME_LEN + 1];
	struct err err;
	size_t count;

	if (!backup_list(dir, &names, &count, &err))
		return doctor_say(doctor, DOCTOR_UNSEEN, "run this as root", "it cannot be looked at: %s", err.text);
	int64_t age = count ? jst_day(clock_now_us()) - day_of(names[count - 1]) : 0;

	free(names);
	if (count == 0)
		return doctor_say(doctor, DOCTOR_NOTE, "daily: sekisho backup run && sekisho backup verify && sekisho backup prune",
				  "there are no backups in %s", dir);
	if (age > BACKUP_LATE_DAYS)
		return doctor_say(doctor, DOCTOR_FAULT, "sekisho backup run", "the newest backup is %lld days old", (long long)age);
	return doctor_say(doctor, DOCTOR_FINE, NULL, age ? "%zu backups, the newest of the last days" : "%zu backups, the newest of today",
			  count);
}

const struct doctor_check doctor_keep_checks[] = {
	{ "keyring", DOCTOR_CONFIG, "Records that were sealed can be read as long as their keys are there, and no longer.", look_keyring },
	{ "operator_key", DOCTOR_CONFIG, "Who takes over the gate must not be able to take records away.", look_operator_key },
	{ "erasures", DOCTOR_CONFIG, "What was promised at the end of a contract has a date.", look_orders },
	{ "backups", DOCTOR_CONFIG, "A disk can be lost as a whole.", look_backups },
	{ NULL },
};
