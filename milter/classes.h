/*
 * classes - the classes of records that a host really has.
 *
 * A class that was taken out of the configuration, most likely with its last tenant, is a former one as long as LOGDIR holds
 * files of it: nobody promises to keep those any longer, and nobody purges them. An erasure takes its records like any
 * other's, a verification by retention says that it is overdue, and whoever loads such a configuration is warned.
 */
#ifndef SEKISHO_CLASSES_H
#define SEKISHO_CLASSES_H

#include "config/config_report.h"

/* Of each former class, in no order; false ends it. None without LOGDIR. A directory that cannot be listed is an error, after the
 * others. */
typedef bool classes_fn(void *arg, struct str name, struct err *err);
bool classes_former(const struct config *config, classes_fn *fn, void *arg, struct err *err);

/* Is it no former class, but a copy of another that lies beside it, as before a restore? Its first line names that other. */
bool classes_is_copy(const struct config *config, struct str name);

/* Must its directory be there? The gate begins relay and ops at its start: where one is, the other was taken away. */
bool classes_is_due(const struct config *config, struct str name);

void classes_check(const struct config *config, struct config_report *report);

#endif
