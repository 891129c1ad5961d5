/* A terminal for a live view: one key without Enter, its size, and put back in order at the end. */
#ifndef LWNAT_APP_SCREEN_H
#define LWNAT_APP_SCREEN_H

#include <stdbool.h>
#include <termios.h>

struct screen {
	bool live;              /* false: output is no terminal, text simply follows text */
	int signals;            /* a signalfd */
	unsigned width, height; /* columns and lines; 0 where there is no limit */
	struct termios before;
	bool has_before;
};

enum screen_event { SCREEN_TIMEOUT, SCREEN_RESIZED, SCREEN_QUIT };

/* 'live' is wished; it becomes so only where standard output is a terminal. 0 or a negative errno.
 */
int screen_open(struct screen *screen, bool live);
void screen_close(struct screen *screen);
/* Waits for 'q', Ctrl-C, SIGTERM, another size, or until 'ms' have passed. */
enum screen_event screen_wait(struct screen *screen, int ms);
/* Puts 'text' in place of what was there; cuts it at the screen's height. */
void screen_show(struct screen *screen, const char *text);

#endif
