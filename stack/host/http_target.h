/* A request's target (RFC 9112 section 3.2) taken apart: path and parameters, without their
 * percent-escapes. Pure. */
#ifndef LWNAT_HOST_HTTP_TARGET_H
#define LWNAT_HOST_HTTP_TARGET_H

#define HTTP_TARGET_MAX 2048 /* bytes, with NUL */
#define HTTP_PARAMS_MAX 16

struct http_param {
	const char *name, *value; /* never NULL; not empty the former */
};

struct http_target {
	const char *path; /* begins with '/', or is "*" */
	struct http_param param[HTTP_PARAMS_MAX];
	unsigned params_n;
	char bytes[HTTP_TARGET_MAX]; /* what the pointers point into */
};

/* 0; -EINVAL for what is no target, has a bad escape, an escaped NUL, a parameter twice or without
 * a name; -E2BIG for more than the limits. *ret is in no defined state then. It must not be copied.
 */
int http_target_parse(const char *text, struct http_target *ret);

#endif
