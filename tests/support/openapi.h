/* The OpenAPI file of the control API (stack/app/openapi.json), to hold the program against. */
#ifndef LWNAT_TESTS_OPENAPI_H
#define LWNAT_TESTS_OPENAPI_H

#include <jansson.h>
#include <stdbool.h>

/* The caller's; the test fails when it is no JSON. */
json_t *openapi_load(void);
/* Follows "$ref". */
const json_t *openapi_schema(const json_t *doc, const json_t *schema);
/* paths.PATH.METHOD ("get"), or NULL. */
const json_t *openapi_operation(const json_t *doc, const char *path, const char *method);
/* The schema of a JSON reply; NULL when the operation knows no such status, or it is no JSON. */
const json_t *openapi_reply_schema(const json_t *operation, int status);
/* Fails the test, naming the place, when a value is not what the schema says. */
void openapi_check(const json_t *doc, const json_t *schema, const json_t *value, const char *where);

#endif
