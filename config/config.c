#include "config/config.h"

#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "config/config_snapshot.h"

/* What config_acquire hands out is its first member. */
struct snapshot {
	struct config config;
	atomic_size_t references;
};
_Static_assert(offsetof(struct snapshot, config) == 0, "a config is where its snapshot is");

/*
 * Between reading `published` and counting the reference the snapshot must not go, so both happen under the lock; it is
 * held for a few instructions, once a message.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct config *published;
static uint64_t generations;

static struct snapshot *snapshot_of(struct config *config)
{
	return (struct snapshot *)config;
}

struct config *config_snapshot_new(void)
{
	struct snapshot *snapshot = calloc(1, sizeof *snapshot);

	if (!snapshot)
		return NULL;
	atomic_init(&snapshot->references, 1);
	arena_init(&snapshot->config.arena, SIZE_MAX);
	return &snapshot->config;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	arena_clear(&config->arena);
	free(snapshot_of(config));
}

struct config *config_acquire(void)
{
	pthread_mutex_lock(&lock);

	struct config *config = published;

	if (config)
		atomic_fetch_add_explicit(&snapshot_of(config)->references, 1, memory_order_relaxed);
	pthread_mutex_unlock(&lock);
	return config;
}

void config_release(struct config *config)
{
	if (!config)
		return;

	/* Release and acquire: whoever frees has seen all that the others did with it. */
	size_t before = atomic_fetch_sub_explicit(&snapshot_of(config)->references, 1, memory_order_acq_rel);

	assert(before > 0);
	if (before != 1)
		return;
	config_free(config);
	malloc_trim(0);                             /* of a large one the system gets its memory back */
}

void config_publish(struct config *config)
{
	pthread_mutex_lock(&lock);

	struct config *old = published;

	if (config)
		config->generation = ++generations;
	published = config;
	pthread_mutex_unlock(&lock);
	config_release(old);
	malloc_trim(0);                             /* what reading took, too */
}

static int tenant_order(const void *name, const void *tenant)
{
	return str_cmp(*(const struct str *)name, ((const struct tenant *)tenant)->name);
}

const struct tenant *config_find_tenant(const struct config *config, struct str name)
{
	if (config->tenant_count == 0)
		return NULL;
	return bsearch(&name, config->tenants, config->tenant_count, sizeof *config->tenants, tenant_order);
}

struct str config_bounce_class(const struct tenant *tenant)
{
	return tenant->bounce_class.len ? tenant->bounce_class : tenant->record_class;
}

const struct record_class *config_find_class(const struct config *config, struct str name)
{
	for (size_t i = 0; i < config->class_count; i++)
		if (str_eq(config->classes[i].name, name))
			return &config->classes[i];
	return NULL;
}

bool config_seals(const struct config *config, struct str class_name)
{
	return config->log_is_sealed && !str_eq(class_name, CLASS_OPS);
}
