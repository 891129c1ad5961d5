#include "stack/app/port_holder.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TCP_STATE_LISTEN 0x0a /* include/net/tcp_states.h */

/* The kernel prints an address as native 32-bit words of its network-order bytes. */
static bool parse_hex_addr(const char *hex, struct addr *ret)
{
	size_t len = strlen(hex);
	struct addr addr = addr_v4(0);
	uint8_t *out = len == 8 ? addr.b + 12 : addr.b;

	if (len != 8 && len != 32)
		return false;
	for (size_t i = 0; i < len; i += 8) {
		char word_hex[9];
		uint32_t word;

		memcpy(word_hex, hex + i, 8);
		word_hex[8] = '\0';
		word = (uint32_t)strtoul(word_hex, NULL, 16);
		memcpy(out + i / 2, &word, sizeof(word));
	}
	*ret = addr;
	return true;
}

bool port_holder_line(const char *line, bool udp, const struct endpoint *at,
		      unsigned long *ret_inode)
{
	char addr_hex[33], port_hex[9], state_hex[9], inode[21];
	struct addr addr;

	/* "sl local:port remote:port st tx:rx tr:when retrnsmt uid timeout inode" */
	if (sscanf(line, " %*s %32[^: ]:%8s %*s %8s %*s %*s %*s %*s %*s %20s", addr_hex, port_hex,
		   state_hex, inode) != 4)
		return false;
	if (strtoul(port_hex, NULL, 16) != at->port ||
	    (!udp && strtoul(state_hex, NULL, 16) != TCP_STATE_LISTEN) ||
	    !parse_hex_addr(addr_hex, &addr))
		return false;
	if (!addr_eq(&addr, &at->addr) && !addr_is_unspecified(&addr) &&
	    !addr_is_unspecified(&at->addr))
		return false;
	*ret_inode = strtoul(inode, NULL, 10);
	return true;
}

static bool find_inode(bool udp, const struct endpoint *at, unsigned long *ret)
{
	static const char *const files[2][2] = {{"/proc/net/tcp", "/proc/net/tcp6"},
						{"/proc/net/udp", "/proc/net/udp6"}};
	bool found = false;
	char line[512];

	for (unsigned i = 0; i < 2 && !found; i++) {
		FILE *in = fopen(files[udp][i], "re");

		while (in && !found && fgets(line, sizeof(line), in))
			found = port_holder_line(line, udp, at, ret);
		if (in)
			fclose(in);
	}
	return found;
}

static bool has_socket(const char *pid, const char *link_wanted)
{
	char path[300], link[64];
	struct dirent *entry;
	bool found = false;
	ssize_t n;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	dir = opendir(path);
	while (dir && !found && (entry = readdir(dir)) != NULL) {
		n = readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
		link[n > 0 ? n : 0] = '\0';
		found = strcmp(link, link_wanted) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

static void read_name(const char *pid, struct port_holder *ret)
{
	char path[300];
	FILE *in;

	snprintf(path, sizeof(path), "/proc/%s/comm", pid);
	in = fopen(path, "re");
	memcpy(ret->name, "?", sizeof("?"));
	if (in && fgets(ret->name, sizeof(ret->name), in))
		ret->name[strcspn(ret->name, "\n")] = '\0';
	if (in)
		fclose(in);
	for (char *c = ret->name; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

bool port_holder_find(bool udp, const struct endpoint *at, struct port_holder *ret)
{
	struct dirent *entry;
	unsigned long inode;
	bool found = false;
	char link[64];
	DIR *dir;

	if (!find_inode(udp, at, &inode))
		return false;
	snprintf(link, sizeof(link), "socket:[%lu]", inode);
	dir = opendir("/proc");
	while (dir && !found && (entry = readdir(dir)) != NULL) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !has_socket(entry->d_name, link))
			continue;
		found = true;
		ret->pid = strtol(entry->d_name, NULL, 10);
		read_name(entry->d_name, ret);
	}
	if (dir)
		closedir(dir);
	return found;
}
