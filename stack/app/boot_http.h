/* A directory's files by HTTP: GET and HEAD, ranges; for firmware and boot loaders. */
#ifndef LWNAT_APP_BOOT_HTTP_H
#define LWNAT_APP_BOOT_HTTP_H

#include "stack/host/host_files.h"

#include <uv.h>

#define BOOT_HTTP_CONNECTIONS_MAX 128 /* each holds two descriptors, with its file */

struct boot_http;

/* 'files' is borrowed for the life of the server. 0 or a negative errno. */
int boot_http_new(struct boot_http **ret, uv_loop_t *loop, const struct host_files *files);
/* A connection of the guest on this port: takes 'fd' over, also when this fails. 0 or a negative
 * errno. */
int boot_http_accept(struct boot_http *http, int fd, uint32_t port_id);
/* The rest of the memory goes when libuv has closed the handles. NULL is fine. */
void boot_http_close(struct boot_http *http);

#endif
