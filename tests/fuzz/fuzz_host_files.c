/* Names that guests send: by openat2() and by hand they lead to the same file or to none, and never
 * to one outside of the directory. */
#include "stack/host/host_files.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLACE "build/fuzz-host-files"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(int truth)
{
	if (!truth)
		abort();
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	expect(file != NULL);
	fputs(text, file);
	expect(fclose(file) == 0);
}

/* What is inside says so. */
static void make_tree(void)
{
	static const char *const links[][2] = {
	    {"b/f", "l"},        {"../f", "b/u"},    {"b", "d"},
	    {"../o", "x"},       {"../../o", "b/x"}, {"/etc/passwd", "a"},
	    {"..", "p"},         {"y", "y"},         {"b/../b/./c/../u", "w"},
	    {"../in/f", "back"}, {"b/c/", "slash"},
	};
	char path[128];

	(void)mkdir("build", 0755);
	(void)mkdir(PLACE, 0755);
	(void)mkdir(PLACE "/in", 0755);
	(void)mkdir(PLACE "/in/b", 0755);
	(void)mkdir(PLACE "/in/b/c", 0755);
	put(PLACE "/o", "outside");
	put(PLACE "/in/f", "inside");
	put(PLACE "/in/b/f", "inside");
	put(PLACE "/in/b/c/f", "inside");
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
		snprintf(path, sizeof(path), PLACE "/in/%s", links[i][1]);
		(void)unlink(path);
		expect(symlink(links[i][0], path) == 0);
	}
}

/* The file's number, or 0 for none. */
static ino_t look(const struct host_files *files, const char *name)
{
	struct host_file file;
	char text[16] = "";
	struct stat st;

	if (host_files_open(files, name, &file) < 0)
		return 0;
	expect(fstat(file.fd, &st) == 0 && S_ISREG(st.st_mode));
	expect(host_files_read(file.fd, 0, text, sizeof(text) - 1) == 6);
	expect(strcmp(text, "inside") == 0 && file.size == 6);
	close(file.fd);
	return st.st_ino;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct host_files *kernel, *by_hand;
	char *name = malloc(size + 1);

	expect(name != NULL);
	if (!kernel) {
		make_tree();
		expect(host_files_new(&kernel, PLACE "/in") == 0);
		expect(host_files_new(&by_hand, PLACE "/in") == 0);
		host_files_without_openat2(by_hand);
	}
	memcpy(name, data, size);
	name[size] = '\0';
	expect(look(kernel, name) == look(by_hand, name));
	free(name);
	return 0;
}
