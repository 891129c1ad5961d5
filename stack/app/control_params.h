/* Parameters of a request and members of its body: what each must be, and whether it is. Pure. */
#ifndef LWNAT_APP_CONTROL_PARAMS_H
#define LWNAT_APP_CONTROL_PARAMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#define API_PARAMS_MAX 6
#define API_ERROR_MAX 320 /* bytes of an error's text, with NUL */

enum api_type { API_UINT, API_BOOL, API_WORD, API_TEXT };

/* As the OpenAPI file has it: a test compares the two. */
struct api_param {
	const char *name; /* NULL ends an array */
	enum api_type type;
	bool required;
	uint64_t min, max;    /* of a number; of a text its length in bytes */
	const char *words;    /* API_WORD: "one|two" */
	const char *fallback; /* when it is not given; NULL: none */
};

struct api_value {
	bool given;       /* by the request: not by the fallback */
	const char *text; /* API_WORD, API_TEXT; NULL: not given, and no fallback. Borrowed. */
	uint64_t number;  /* API_UINT; 0: likewise */
	bool flag;        /* API_BOOL; false: likewise */
};

/* All of these return 0, or -EINVAL with one line in 'error' that says what is accepted. */
int api_value_from_text(const struct api_param *param, const char *text, struct api_value *ret,
			char error[API_ERROR_MAX]);
int api_value_from_json(const struct api_param *param, const json_t *json, struct api_value *ret,
			char error[API_ERROR_MAX]);
/* A whole body: an object with the members that 'params' name and no others. *ret_field is the one
 * to blame, or NULL; it lives as long as the body and 'params'. */
int api_values_from_body(const struct api_param *params, const json_t *body,
			 struct api_value ret[API_PARAMS_MAX], const char **ret_field,
			 char error[API_ERROR_MAX]);
/* Every value as if nothing were given. */
void api_values_default(const struct api_param *params, struct api_value ret[API_PARAMS_MAX]);
/* The index of a name, or -1. */
int api_param_find(const struct api_param *params, const char *name);

#endif
