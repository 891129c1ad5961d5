#include "stack/link/vu_map_uv.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* A signal handler gets no context: the one list there is. Changed only where no guest memory is
 * touched, so that the handler never meets it half-changed. */
static struct vu_map *mapped;

static void on_sigbus(int number, siginfo_t *info, void *context)
{
	const uint8_t *at = info->si_addr;

	(void)context;
	for (struct vu_map *map = mapped; map; map = map->next) {
		if (at < map->bytes || at >= map->bytes + map->len)
			continue;
		map->lost = true;
		if (mmap(map->bytes, map->len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
			 0) != MAP_FAILED)
			return;
	}
	signal(number, SIG_DFL); /* not ours: the access is made again, and ends the process */
}

static int catch_sigbus(void)
{
	struct sigaction action = {.sa_sigaction = on_sigbus, .sa_flags = SA_SIGINFO};

	sigemptyset(&action.sa_mask);
	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

/* Bytes to map from the file's start: huge pages want whole ones (st_blksize is their size on
 * hugetlbfs). */
static int whole_len(int fd, uint64_t end, uint64_t *ret)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	uint64_t page = st.st_blksize > 4096 ? (uint64_t)st.st_blksize : 4096;
	uint64_t len = (end + page - 1) / page * page;
	if (len < end || (S_ISREG(st.st_mode) && (uint64_t)st.st_size < end))
		return -EINVAL;
	*ret = len;
	return 0;
}

int vu_map(struct vu_map *ret, int fd, uint64_t offset, uint64_t len, uint8_t **ret_bytes)
{
	uint64_t whole = 0;

	if (len == 0 || offset + len < len)
		return -EINVAL;
	int result = whole_len(fd, offset + len, &whole);
	if (result == 0 && !mapped)
		result = catch_sigbus();
	if (result < 0)
		return result;
	void *bytes = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (bytes == MAP_FAILED)
		return -errno;
	/* A core file of ours is not the place for a guest's memory. */
	(void)madvise(bytes, whole, MADV_DONTDUMP);
	*ret = (struct vu_map){.bytes = bytes, .len = whole, .next = mapped, .link = &mapped};
	if (mapped)
		mapped->link = &ret->next;
	mapped = ret;
	*ret_bytes = ret->bytes + offset;
	return 0;
}

void vu_unmap(struct vu_map *map)
{
	*map->link = map->next;
	if (map->next)
		map->next->link = map->link;
	munmap(map->bytes, map->len);
	map->bytes = NULL;
}
