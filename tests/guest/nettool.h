/* What nettool does with a network card's driver. Each returns the exit status. */
#pragma once

/* Prints how many queue pairs are used, or sets it where 'number' is not NULL. */
int card_pairs(const char *interface, const char *number);

/* Prints for each queue the packets it has seen: "tx 0 12". */
int card_packets(const char *interface);

/* Turns on what ethtool -K knows by this name, "tx-udp-segmentation". */
int card_enable(const char *interface, const char *feature);
