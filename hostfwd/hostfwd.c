#include "hostfwd/hostfwd.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct numbered {
	int number;
	struct hostfwd_rule rule;
};

struct hostfwd_table {
	unsigned rules_max, rules_n;
	int last_number;         /* numbers are given out once */
	struct numbered rules[]; /* in order of their numbers */
};

/* Whether a listener on one would take what the other is for. */
static bool addrs_overlap(const struct addr *a, const struct addr *b)
{
	if (addr_is_v4(a) != addr_is_v4(b))
		return false;
	return addr_is_unspecified(a) || addr_is_unspecified(b) || addr_eq(a, b);
}

/* The addresses a rule listens on; returns how many. */
static unsigned listens_on(const struct hostfwd_rule *rule, struct addr addrs[2])
{
	static const struct addr loopback6 = {{[15] = 1}};

	addrs[0] = rule->host_addr_given ? rule->host_addr : addr_v4(0x7f000001);
	addrs[1] = loopback6;
	return rule->host_addr_given ? 1 : 2;
}

static bool rules_overlap(const struct hostfwd_rule *a, const struct hostfwd_rule *b)
{
	struct addr of_a[2], of_b[2];

	if (a->path[0] || b->path[0])
		return strcmp(a->path, b->path) == 0;
	/* Port 0 becomes a free one when it is opened. */
	if (a->proto != b->proto || a->host_port == 0 || b->host_port == 0)
		return false;
	if (a->host_port + (uint32_t)a->ports_n <= b->host_port ||
	    b->host_port + (uint32_t)b->ports_n <= a->host_port)
		return false;
	unsigned a_n = listens_on(a, of_a), b_n = listens_on(b, of_b);
	for (unsigned i = 0; i < a_n; i++) {
		for (unsigned j = 0; j < b_n; j++) {
			if (addrs_overlap(&of_a[i], &of_b[j]))
				return true;
		}
	}
	return false;
}

int hostfwd_new(struct hostfwd_table **ret, unsigned rules_max)
{
	struct hostfwd_table *table =
	    calloc(1, sizeof(*table) + (size_t)rules_max * sizeof(table->rules[0]));

	if (!table)
		return -ENOMEM;
	table->rules_max = rules_max;
	*ret = table;
	return 0;
}

void hostfwd_free(struct hostfwd_table *table)
{
	free(table);
}

int hostfwd_add(struct hostfwd_table *table, const struct hostfwd_rule *rule,
		char error[HOSTFWD_ERROR_MAX])
{
	char text[HOSTFWD_TEXT_MAX];

	for (unsigned i = 0; i < table->rules_n; i++) {
		if (rules_overlap(&table->rules[i].rule, rule)) {
			snprintf(error, HOSTFWD_ERROR_MAX, "its host side overlaps that of '%s'",
				 hostfwd_format(&table->rules[i].rule, text));
			return -EEXIST;
		}
	}
	if (table->rules_n == table->rules_max || table->last_number == INT_MAX) {
		snprintf(error, HOSTFWD_ERROR_MAX, "there are %u forwards already", table->rules_n);
		return -ENOSPC;
	}
	table->rules[table->rules_n++] = (struct numbered){++table->last_number, *rule};
	return table->last_number;
}

/* The index of the first rule with a number above 'number'. */
static unsigned index_above(const struct hostfwd_table *table, int number)
{
	unsigned first = 0, end = table->rules_n;

	while (first < end) {
		unsigned middle = first + (end - first) / 2;

		if (table->rules[middle].number <= number)
			first = middle + 1;
		else
			end = middle;
	}
	return first;
}

const struct hostfwd_rule *hostfwd_get(const struct hostfwd_table *table, int number)
{
	unsigned i = index_above(table, number);

	return i > 0 && table->rules[i - 1].number == number ? &table->rules[i - 1].rule : NULL;
}

int hostfwd_remove(struct hostfwd_table *table, int number)
{
	unsigned i = index_above(table, number);

	if (!hostfwd_get(table, number))
		return -ENOENT;
	memmove(&table->rules[i - 1], &table->rules[i],
		(table->rules_n - i) * sizeof(table->rules[0]));
	table->rules_n--;
	return 0;
}

int hostfwd_next(const struct hostfwd_table *table, int number)
{
	unsigned i = index_above(table, number);

	return i < table->rules_n ? table->rules[i].number : 0;
}
