#include "stack/link/vu_map_uv.h"

#include "tests/support/suite.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAME "lwnat-test-map"
#define MIB (UINT64_C(1) << 20)

static int memory(unsigned flags, uint64_t len)
{
	int fd = memfd_create(NAME, MFD_CLOEXEC | flags);

	if (fd >= 0)
		ck_assert_int_eq(ftruncate(fd, (off_t)len), 0);
	return fd;
}

static unsigned mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[400];
	unsigned n = 0;

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		n += strstr(line, NAME) != NULL;
	fclose(maps);
	return n;
}

START_TEST(test_memory_is_shared_from_its_offset_on)
{
	int fd = memory(0, MIB);
	struct vu_map map;
	uint8_t *bytes, byte = 0;

	ck_assert_int_eq(vu_map(&map, fd, 12345, 1000, &bytes), 0);
	bytes[7] = 42;
	ck_assert_int_eq(pread(fd, &byte, 1, 12345 + 7), 1);
	ck_assert_uint_eq(byte, 42);
	vu_unmap(&map);
	ck_assert_uint_eq(mappings(), 0);
	close(fd);
}
END_TEST

START_TEST(test_what_reaches_behind_the_end_is_refused)
{
	int fd = memory(0, MIB);
	struct vu_map map;
	uint8_t *bytes;

	ck_assert_int_eq(vu_map(&map, fd, 0, 0, &bytes), -EINVAL);
	ck_assert_int_eq(vu_map(&map, fd, 0, MIB + 1, &bytes), -EINVAL);
	ck_assert_int_eq(vu_map(&map, fd, MIB, 1, &bytes), -EINVAL);
	ck_assert_int_eq(vu_map(&map, fd, UINT64_MAX, 1, &bytes), -EINVAL);
	ck_assert_int_eq(vu_map(&map, fd, UINT64_MAX - 10, 10, &bytes), -EINVAL);
	ck_assert_uint_eq(mappings(), 0);
	close(fd);
}
END_TEST

/* QEMU's memory above 4 GiB, say: a part of the file, at no border of a huge page. mmap() takes
 * such a length, munmap() only whole pages. (No huge page must be free for this.) */
START_TEST(test_huge_pages_are_mapped_and_unmapped_whole)
{
	int fd = memory(MFD_HUGETLB, 8 * MIB);
	struct vu_map map;
	struct stat st;
	uint8_t *bytes;

	if (fd < 0) {
		printf("no huge pages in this kernel: skipped\n");
		return;
	}
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(vu_map(&map, fd, 3 * MIB, MIB + 4096, &bytes), 0);
	ck_assert_ptr_eq(bytes, map.bytes + 3 * MIB);
	ck_assert_uint_eq(map.len % (uint64_t)st.st_blksize, 0);
	ck_assert_uint_eq(mappings(), 1);
	vu_unmap(&map);
	ck_assert_uint_eq(mappings(), 0);
	close(fd);
}
END_TEST

/* A front-end that reserved none: the access fails like one behind the end of a file. */
START_TEST(test_huge_pages_that_are_not_there_are_lost_memory)
{
	int fd = memory(MFD_HUGETLB, 4 * MIB);
	struct vu_map map;
	uint8_t *bytes;

	if (fd < 0 || vu_map(&map, fd, 0, 4 * MIB, &bytes) < 0) {
		printf("no huge pages in this kernel: skipped\n");
		return;
	}
	*(volatile uint8_t *)bytes = 1;
	ck_assert_uint_eq(*(volatile uint8_t *)bytes, 1);
	ck_assert(map.lost || mappings() == 1);
	vu_unmap(&map);
	ck_assert_uint_eq(mappings(), 0);
	close(fd);
}
END_TEST

START_TEST(test_memory_cut_short_reads_as_zeroes_and_says_so)
{
	int fd = memory(0, MIB), other_fd = memory(0, MIB);
	struct vu_map map, other;
	uint8_t *bytes, *other_bytes;

	ck_assert_int_eq(vu_map(&map, fd, 0, MIB, &bytes), 0);
	ck_assert_int_eq(vu_map(&other, other_fd, 0, MIB, &other_bytes), 0);
	memset(bytes, 1, MIB);
	memset(other_bytes, 1, MIB);
	ck_assert_int_eq(ftruncate(fd, 0), 0);
	ck_assert_uint_eq(*(volatile uint8_t *)(bytes + 5000), 0);
	ck_assert(map.lost);
	ck_assert(!other.lost);
	ck_assert_uint_eq(other_bytes[5000], 1);
	vu_unmap(&map);
	vu_unmap(&other);
	ck_assert_uint_eq(mappings(), 0);
	close(fd);
	close(other_fd);
}
END_TEST

int main(void)
{
	return SUITE_RUN("vu_map", test_memory_is_shared_from_its_offset_on,
			 test_what_reaches_behind_the_end_is_refused,
			 test_huge_pages_are_mapped_and_unmapped_whole,
			 test_huge_pages_that_are_not_there_are_lost_memory,
			 test_memory_cut_short_reads_as_zeroes_and_says_so);
}
