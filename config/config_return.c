#include "config/config_return.h"

#include <stdlib.h>

uint32_t config_return_mark(struct str tenant)
{
	return (uint32_t)str_hash(tenant);
}

static int domain_order(const void *domain, const void *owner)
{
	return str_cmp(*(const struct str *)domain, ((const struct return_owner *)owner)->domain);
}

static int order(const void *a, const void *b)
{
	const struct return_owner *x = a, *y = b;
	int by_domain = str_cmp(x->domain, y->domain);

	return by_domain ? by_domain : (x->mark > y->mark) - (x->mark < y->mark);
}

bool config_return_build(struct reader *r, struct config *config)
{
	struct return_owner *owners;
	size_t count = 0, at = 0;

	for (size_t i = 0; i < config->tenant_count; i++)
		count += config->tenants[i].return_domain.len > 0;
	owners = arena_array(r->arena, count, sizeof *owners);
	if (!owners)
		return config_no_memory(r);
	for (size_t i = 0; i < config->tenant_count; i++) {
		const struct tenant *tenant = &config->tenants[i];

		if (tenant->return_domain.len)
			owners[at++] = (struct return_owner){ tenant->return_domain, config_return_mark(tenant->name),
							      tenant };
	}
	if (count)
		qsort(owners, count, sizeof *owners, order);
	config->return_owners = owners;
	config->return_owner_count = count;
	return true;
}

bool config_is_return_domain(const struct config *config, struct str domain)
{
	return config->return_owner_count &&
	       bsearch(&domain, config->return_owners, config->return_owner_count, sizeof *config->return_owners, domain_order);
}

const struct return_owner *config_return_owners(const struct config *config, struct str domain, uint32_t mark, size_t *out_count)
{
	const struct return_owner want = { .domain = domain, .mark = mark };
	const struct return_owner *owners = config->return_owners;
	size_t low = 0, high = config->return_owner_count, count = 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (order(&owners[middle], &want) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	while (low + count < config->return_owner_count && order(&owners[low + count], &want) == 0)
		count++;
	*out_count = count;
	return owners + low;
}
