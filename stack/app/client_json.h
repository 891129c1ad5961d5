/* The API's JSON as the commands read it: what is missing or of another type is a stand-in, for a
 * newer or older lwnat may answer. */
#ifndef LWNAT_APP_CLIENT_JSON_H
#define LWNAT_APP_CLIENT_JSON_H

#include "stack/app/table.h"

#include <jansson.h>
#include <stdbool.h>

const char *json_text(const json_t *object, const char *name, const char *otherwise);
double json_number(const json_t *object, const char *name); /* 0 when missing */
json_int_t json_count(const json_t *object, const char *name);
bool json_yes(const json_t *object, const char *name);
/* An array of strings as one text, "-" when empty. The caller frees it; NULL without memory. */
char *json_join(const json_t *array, const char *separator);
/* "12.3 MB" */
const char *json_bytes(const json_t *object, const char *name, char text[TABLE_UNIT_MAX]);
/* "12 s", "-" for null */
const char *json_seconds(const json_t *object, const char *name, char text[TABLE_UNIT_MAX]);
/* With a newline, for --json. */
void json_print(FILE *out, const json_t *value);
/* Text from the network for a terminal, what is unprintable as '?'. */
void print_safe(FILE *out, const char *text);

#endif
