/* A strict reader of Prometheus's text format 0.0.4. */
#ifndef LWNAT_TESTS_PROM_H
#define LWNAT_TESTS_PROM_H

#include <stddef.h>

/* Fails the test, quoting the line, when the text breaks the format or the naming conventions:
 * HELP, then TYPE, then all samples of a family, each family once; names of letters, digits and
 * '_'; counters end in _total and nothing else does; escapes as they must be; no sample twice. */
void prom_check(const char *text, size_t len);
/* The value of a sample as it stands ("lwnat_guests", "x{a=\"b\"}"); -1: there is none. */
double prom_value(const char *text, const char *sample);

#endif
