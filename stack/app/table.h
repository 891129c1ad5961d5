/* Aligned columns for people. */
#ifndef LWNAT_APP_TABLE_H
#define LWNAT_APP_TABLE_H

#include <stdint.h>
#include <stdio.h>

#define TABLE_COLUMNS_MAX 12
#define TABLE_UNIT_MAX 16 /* bytes of a number with its unit, with NUL */

struct table {
	const char *heading[TABLE_COLUMNS_MAX]; /* one that begins with '>' stands right */
	unsigned columns_n;
	char **cell; /* rows of columns_n */
	unsigned cells_n, cells_room;
	int failed; /* no memory for a cell */
};

/* 'headings' is split at '|'; the string must outlive the table. */
void table_init(struct table *table, char *headings);
/* The next cell. What is unprintable in it is shown as '?': guests choose their names. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees. Lines are cut at 'width' columns, 0: not. */
void table_print(struct table *table, FILE *out, unsigned width);

/* "1.2 MB", "340 B"; decimal, as network rates are. */
const char *table_bytes(double bytes, char text[TABLE_UNIT_MAX]);
/* "0.4 s", "3 min", "2 h", "5 d" */
const char *table_seconds(double seconds, char text[TABLE_UNIT_MAX]);

#endif
