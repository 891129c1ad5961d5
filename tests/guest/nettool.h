/* What nettool does with a network card's driver and with routes. Each returns the exit status. */
#pragma once

/* Prints how many queue pairs are used, or sets it where 'number' is not NULL. */
int card_pairs(const char *interface, const char *number);

/* Prints for each queue the packets it has seen: "tx 0 12". */
int card_packets(const char *interface);

/* TCP to this neighbour resends after a minute without an answer, no sooner. */
int route_patient(const char *interface, const char *ipv4);
