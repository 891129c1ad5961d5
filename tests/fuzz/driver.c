/* Runs a fuzz target without a fuzzing engine: every file of its corpus, then inputs made from them
 * by a generator that gives the same sequence for the same seed.
 *
 *   fuzz_X              replay tests/fuzz/corpus/X, then mutate
 *   fuzz_X FILE...      run these inputs only (to look at one that failed)
 *
 * FUZZ_RUNS and FUZZ_SECONDS bound the mutations, whichever is reached first; FUZZ_SEED chooses the
 * sequence. The target runs in a child, so that whatever ends it (a sanitizer, an assert, a signal,
 * 30 s in one input) the parent still has the input and writes it to build/fuzz-crash-X. */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
	INPUT_MAX = 128 * 1024,
	SEEDS_MAX = 4096,
	RUNS_DEFAULT = 200000,
	SECONDS_DEFAULT = 4,
	INPUT_SECONDS = 30,
};

struct input {
	uint8_t *data;
	size_t len;
};

/* Seen by parent and child. */
struct shared {
	uint64_t replayed_n, mutated_n;
	bool done;
	char name[256]; /* the corpus file, empty for a mutation */
	size_t len;
	uint8_t data[INPUT_MAX];
};

struct driver {
	const char *target;
	struct input seeds[SEEDS_MAX];
	size_t seeds_n;
	uint64_t rng;
	struct shared *shared;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* splitmix64 */
static uint64_t next_u64(struct driver *driver)
{
	uint64_t z = (driver->rng += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static size_t below(struct driver *driver, size_t limit)
{
	return limit ? (size_t)(next_u64(driver) % limit) : 0;
}

static uint64_t env_number(const char *name, uint64_t fallback)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 0) : fallback;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* The target gets a copy of exactly the input's size, so that reading past its end is seen. */
static void run_input(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	if (!copy)
		return;
	if (len)
		memcpy(copy, data, len);
	alarm(INPUT_SECONDS);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void overwrite_number(struct driver *driver, uint8_t *data, size_t len)
{
	static const uint32_t values[] = {
	    0,      1,      4,      13,     14,      15,         63,         64,
	    127,    128,    255,    256,    511,     512,        1023,       1500,
	    0x7fff, 0x8000, 0xc000, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};
	uint32_t value = values[below(driver, sizeof values / sizeof *values)];
	size_t width = (size_t)1 << below(driver, 3);

	if (len < width)
		return;
	data += below(driver, len - width + 1);
	for (size_t i = 0; i < width; i++)
		data[i] = (uint8_t)(value >> (8 * (width - 1 - i)));
}

/* Puts 'n' bytes taken from 'from' (or random ones) in at 'at'. */
static size_t insert(struct driver *driver, uint8_t *data, size_t len, const struct input *from)
{
	uint8_t chunk[256];
	size_t n = 1 + below(driver, sizeof chunk), at = below(driver, len + 1);

	if (from && from->len == 0)
		return len;
	if (from && n > from->len)
		n = from->len;
	if (len + n > INPUT_MAX)
		return len;
	if (from)
		memcpy(chunk, from->data + below(driver, from->len - n + 1), n);
	else
		for (size_t i = 0; i < n; i++)
			chunk[i] = (uint8_t)next_u64(driver);
	memmove(data + at + n, data + at, len - at);
	memcpy(data + at, chunk, n);
	return len + n;
}

static size_t erase(struct driver *driver, uint8_t *data, size_t len)
{
	size_t at = below(driver, len), n = 1 + below(driver, 64);

	if (n > len - at)
		n = len - at;
	memmove(data + at, data + at + n, len - at - n);
	return len - n;
}

/* The head of this input and the tail of another. */
static size_t cross_over(struct driver *driver, uint8_t *data, size_t len,
			 const struct input *other)
{
	size_t head = below(driver, len + 1), from = below(driver, other->len + 1);
	size_t tail = other->len - from;

	if (tail > INPUT_MAX - head)
		tail = INPUT_MAX - head;
	if (tail)
		memcpy(data + head, other->data + from, tail);
	return head + tail;
}

static size_t mutate_once(struct driver *driver, uint8_t *data, size_t len)
{
	const struct input *other = &driver->seeds[below(driver, driver->seeds_n)];

	if (len == 0)
		return insert(driver, data, len, other->len ? other : NULL);
	switch (below(driver, 10)) {
	case 0:
		data[below(driver, len)] ^= (uint8_t)(1u << below(driver, 8));
		return len;
	case 1:
		data[below(driver, len)] = (uint8_t)next_u64(driver);
		return len;
	case 2:
	case 3:
		overwrite_number(driver, data, len);
		return len;
	case 4:
		return insert(driver, data, len, NULL);
	case 5:
		return insert(driver, data, len, other);
	case 6:
		return erase(driver, data, len);
	case 7:
		return below(driver, len); /* cut short */
	case 8:
		return cross_over(driver, data, len, other);
	default: {
		size_t at = below(driver, len);

		data[at] = (uint8_t)(data[at] + 1 + below(driver, 8) - 4);
		return len;
	}
	}
}

static void run_mutations(struct driver *driver)
{
	struct shared *shared = driver->shared;
	uint64_t runs = env_number("FUZZ_RUNS", RUNS_DEFAULT);
	double end = seconds_now() + (double)env_number("FUZZ_SECONDS", SECONDS_DEFAULT);

	shared->name[0] = 0;
	while (shared->mutated_n < runs && seconds_now() < end) {
		const struct input *seed = &driver->seeds[below(driver, driver->seeds_n)];
		size_t steps = 1 + below(driver, 6);

		memcpy(shared->data, seed->data, seed->len);
		shared->len = seed->len;
		for (size_t i = 0; i < steps; i++)
			shared->len = mutate_once(driver, shared->data, shared->len);
		run_input(shared->data, shared->len);
		shared->mutated_n++;
	}
}

static int add_seed(struct driver *driver, const char *path)
{
	struct shared *shared = driver->shared;
	struct input *seed = &driver->seeds[driver->seeds_n];
	FILE *file = fopen(path, "rb");

	if (!file || driver->seeds_n == SEEDS_MAX)
		return file ? -ENOSPC : -errno;
	seed->len = fread(shared->data, 1, INPUT_MAX, file);
	fclose(file);
	seed->data = malloc(seed->len ? seed->len : 1);
	if (!seed->data)
		return -ENOMEM;
	memcpy(seed->data, shared->data, seed->len);
	driver->seeds_n++;
	return 0;
}

static void replay(struct driver *driver, const char *path)
{
	struct shared *shared = driver->shared;
	const struct input *seed = &driver->seeds[driver->seeds_n - 1];

	snprintf(shared->name, sizeof shared->name, "%s", path);
	shared->len = seed->len;
	run_input(seed->data, seed->len);
	shared->replayed_n++;
}

static int not_hidden(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Sorted by name: the order must not depend on the file system. */
static void replay_corpus(struct driver *driver)
{
	char folder[256], path[600];
	struct dirent **entries = NULL;
	int n;

	snprintf(folder, sizeof folder, "tests/fuzz/corpus/%s", driver->target);
	n = scandir(folder, &entries, not_hidden, alphasort);
	for (int i = 0; i < n; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, entries[i]->d_name);
		if (!add_seed(driver, path))
			replay(driver, path);
		free(entries[i]);
	}
	free(entries);
	if (driver->seeds_n == 0) {
		driver->seeds[0].data = calloc(1, 64);
		driver->seeds[0].len = driver->seeds[0].data ? 64 : 0;
		driver->seeds_n = 1;
	}
}

static int run_child(struct driver *driver, char **files)
{
	int ret = 0;

	if (*files) {
		for (; *files; files++) {
			if (add_seed(driver, *files)) {
				fprintf(stderr, "%s: cannot be read\n", *files);
				ret = 2;
				continue;
			}
			replay(driver, *files);
		}
	} else {
		replay_corpus(driver);
		run_mutations(driver);
	}
	alarm(0);
	for (size_t i = 0; i < driver->seeds_n; i++)
		free(driver->seeds[i].data);
	driver->shared->done = true;
	return ret;
}

static void report_crash(const struct driver *driver, int status)
{
	const struct shared *shared = driver->shared;
	char path[300];
	FILE *file;

	if (WIFSIGNALED(status))
		fprintf(stderr, "fuzz_%s: ended by signal %d (%s)", driver->target,
			WTERMSIG(status), strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "fuzz_%s: ended with status %d", driver->target,
			WEXITSTATUS(status));
	if (shared->done) {
		fprintf(stderr, " after the last input: a leak?\n");
		return;
	}
	if (shared->name[0]) {
		fprintf(stderr, " in %s\n", shared->name);
		return;
	}
	snprintf(path, sizeof path, "build/fuzz-crash-%s", driver->target);
	file = fopen(path, "wb");
	if (!file || fwrite(shared->data, 1, shared->len, file) != shared->len)
		fprintf(stderr, " (%s: %s)", path, strerror(errno));
	if (file)
		fclose(file);
	fprintf(stderr, " in mutation %llu; input of %zu bytes written to %s\n",
		(unsigned long long)shared->mutated_n, shared->len, path);
}

int main(int argc, char **argv)
{
	static struct driver driver;
	const char *slash = strrchr(argv[0], '/'), *base = slash ? slash + 1 : argv[0];
	uint64_t seed = env_number("FUZZ_SEED", 1);
	double start = seconds_now();
	int status = 0;
	pid_t child;

	driver.target = strncmp(base, "fuzz_", 5) ? base : base + 5;
	driver.rng = seed;
	driver.shared = mmap(NULL, sizeof *driver.shared, PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (driver.shared == MAP_FAILED) {
		perror("mmap");
		return 2;
	}
	child = fork();
	if (child < 0) {
		perror("fork");
		return 2;
	}
	if (child == 0)
		exit(run_child(&driver, argv + (argc > 0)));
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (status)
		report_crash(&driver, status);
	printf("fuzz_%s: %llu files, %llu mutations, seed %llu, %.1f s\n", driver.target,
	       (unsigned long long)driver.shared->replayed_n,
	       (unsigned long long)driver.shared->mutated_n, (unsigned long long)seed,
	       seconds_now() - start);
	printf("%d passed, %d failed\n", !status, !!status);
	return status ? 1 : 0;
}
