/* The API's lists as tables. */
#ifndef LWNAT_APP_CMD_SHOW_H
#define LWNAT_APP_CMD_SHOW_H

#include <jansson.h>
#include <stdio.h>

void show_guests(FILE *out, const json_t *guests, unsigned width);
void show_flows(FILE *out, const json_t *flows, unsigned width);
void show_forwards(FILE *out, const json_t *forwards, unsigned width);

#endif
