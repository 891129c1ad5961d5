/* The control API's requests: the table of what is served, the checking of what was sent, and the
 * replies. Each group of resources has a file of its own, control_*.c. */
#ifndef LWNAT_APP_CONTROL_API_H
#define LWNAT_APP_CONTROL_API_H

#include "stack/app/control.h"
#include "stack/app/control_params.h"
#include "stack/app/guests.h"
#include "stack/app/network.h"
#include "stack/host/http_server.h"

#include <jansson.h>

#define API_ARG_MAX 256 /* bytes of a path's variable part, with NUL */

struct api_call;

struct api_route {
	const char *method;
	const char *path; /* "{guest}" at the end stands for the variable part */
	const struct api_param *query, *body; /* NULL: none */
	void (*handle)(struct api_call *call);
};

/* One request on its way through a handler; gone with the handler's return. */
struct api_call {
	const struct network *net;
	struct control *control;
	struct http_exchange *x;
	struct api_value query[API_PARAMS_MAX], body[API_PARAMS_MAX];
	char arg[API_ARG_MAX]; /* the variable part of the path */
};

/* All routes; HEAD is served wherever GET is. */
const struct api_route *api_routes(unsigned *ret_n);
/* http_server_config.request and .fault; 'ctx' is the control. */
void api_request(void *ctx, struct http_exchange *x);
void api_fault(void *ctx, struct http_exchange *x, unsigned status, const char *text);

/* ---- replies; they may come later too ---- */

/* 'field' is the parameter or member to blame; NULL: none. */
void api_error(struct http_exchange *x, unsigned status, const char *field, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Takes 'json' over; NULL (no memory) becomes a 500. */
void api_reply(struct http_exchange *x, unsigned status, json_t *json);

/* ---- what handlers share ---- */

/* The guest that a parameter means. 0, or the error has been replied: 404, or 400 for no form of a
 * name. */
int api_find_guest(struct api_call *call, const char *field, const char *spec,
		   struct guests_found *ret);
/* The same for a guest that must be attached; *ret is untouched on failure. */
int api_find_attached(struct api_call *call, const char *field, const char *spec,
		      const struct guest_record **ret);
json_t *api_text_or_null(const char *text); /* null for NULL and "" */
json_t *api_addr(const struct addr *addr);
json_t *api_endpoint(const struct endpoint *endpoint);
json_t *api_mac(const struct mac *mac);
json_t *api_subnet(const struct subnet *net);
/* Seconds between two of the loop's times. */
json_t *api_seconds(uint64_t from_ms, uint64_t to_ms);

/* ---- the handlers ---- */

void api_get_healthz(struct api_call *call);
void api_get_metrics(struct api_call *call);
void api_get_status(struct api_call *call);
void api_get_guests(struct api_call *call);
void api_get_leases(struct api_call *call);
void api_get_dns(struct api_call *call);
void api_get_flows(struct api_call *call);
void api_get_hostfwd(struct api_call *call);
void api_post_hostfwd(struct api_call *call);
void api_delete_hostfwd(struct api_call *call);
void api_get_log(struct api_call *call);
void api_put_log(struct api_call *call);
void api_get_captures(struct api_call *call);
void api_get_pcap(struct api_call *call);
void api_post_pcap(struct api_call *call);
void api_delete_pcap(struct api_call *call);
void api_get_connect(struct api_call *call);
void api_get_ping(struct api_call *call);
void api_get_why(struct api_call *call);

#endif
