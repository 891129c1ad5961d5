#include "stack/link/virtq.h"

#include "tests/support/vq_driver.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MEM_LEN (256 * 1024)
#define SIZE 8
#define BUFFER_LEN 128

struct bed {
	struct vu_mem mem;
	struct vq_driver driver;
	struct virtq q;
	struct virtq_chain chain;
	uint8_t *bytes;
};

static struct bed bed;

static void set_up(void)
{
	memset(&bed, 0, sizeof(bed));
	bed.bytes = aligned_alloc(4096, MEM_LEN);
	memset(bed.bytes, 0, MEM_LEN);
	struct vu_region region = {VQ_GUEST_BASE, 0x7f0000000000, MEM_LEN, bed.bytes, 1};
	ck_assert_int_eq(vu_mem_add(&bed.mem, &region), 0);
	vq_init(&bed.driver, bed.bytes, 0, SIZE, BUFFER_LEN);
	bed.q = (struct virtq){.mem = &bed.mem,
			       .size = SIZE,
			       .desc = bed.bytes + vq_desc_at(&bed.driver),
			       .avail = bed.bytes + vq_avail_at(&bed.driver),
			       .used = bed.bytes + vq_used_at(&bed.driver)};
	virtq_start_at(&bed.q, 0);
}

static void tear_down(void)
{
	free(bed.bytes);
}

static int pop(void)
{
	return virtq_pop(&bed.q, &bed.chain);
}

START_TEST(test_chains_come_in_order_and_go_back_with_their_length)
{
	uint32_t id, len;

	ck_assert_int_eq(pop(), 0);
	vq_send(&bed.driver, "one", 3);
	vq_send(&bed.driver, "three", 5);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(bed.chain.out_len, 3);
	ck_assert_uint_eq(bed.chain.out_n, 1);
	ck_assert_mem_eq(bed.chain.iov[0].iov_base, "one", 3);
	virtq_push(&bed.q, bed.chain.head, 7);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(bed.chain.out_len, 5);
	virtq_push(&bed.q, bed.chain.head, 0);
	ck_assert_int_eq(pop(), 0);
	ck_assert(!vq_take_used(&bed.driver, &id, &len)); /* not before it is published */
	ck_assert(virtq_publish(&bed.q));
	ck_assert(vq_take_used(&bed.driver, &id, &len));
	ck_assert_uint_eq(id, 0);
	ck_assert_uint_eq(len, 7);
	ck_assert(vq_take_used(&bed.driver, &id, &len));
	ck_assert_uint_eq(id, 1);
	ck_assert(!vq_take_used(&bed.driver, &id, &len));
	ck_assert(!virtq_publish(&bed.q));
}
END_TEST

START_TEST(test_indices_wrap)
{
	uint32_t id, len;

	for (unsigned i = 0; i < 70000; i++) {
		vq_send(&bed.driver, "x", 1);
		ck_assert_int_eq(pop(), 1);
		virtq_push(&bed.q, bed.chain.head, i);
		ck_assert(virtq_publish(&bed.q));
		ck_assert(vq_take_used(&bed.driver, &id, &len));
		ck_assert_uint_eq(id, i % SIZE);
		ck_assert_uint_eq(len, i);
	}
}
END_TEST

START_TEST(test_a_chain_of_readable_and_writable_parts)
{
	vq_set_desc(&bed.driver, 3, (struct vq_desc){VQ_GUEST_BASE + 0x1000, 10, VQ_NEXT, 5});
	vq_set_desc(&bed.driver, 5,
		    (struct vq_desc){VQ_GUEST_BASE + 0x2000, 20, VQ_NEXT | VQ_WRITE, 1});
	vq_set_desc(&bed.driver, 1, (struct vq_desc){VQ_GUEST_BASE + 0x3000, 30, VQ_WRITE, 0});
	vq_offer(&bed.driver, 3);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(bed.chain.head, 3);
	ck_assert_uint_eq(bed.chain.out_n, 1);
	ck_assert_uint_eq(bed.chain.in_n, 2);
	ck_assert_uint_eq(bed.chain.out_len, 10);
	ck_assert_uint_eq(bed.chain.in_len, 50);
	ck_assert_ptr_eq(bed.chain.iov[2].iov_base, bed.bytes + 0x3000);
}
END_TEST

static void put_table(size_t at, const struct vq_desc *descs, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct vq_driver table = {.mem = bed.bytes, .at = at};
		vq_set_desc(&table, (uint16_t)i, descs[i]);
	}
}

START_TEST(test_an_indirect_table_is_followed)
{
	struct vq_desc table[] = {{VQ_GUEST_BASE + 0x1000, 10, VQ_NEXT, 2},
				  {VQ_GUEST_BASE + 0x1000, 1, 0, 0},
				  {VQ_GUEST_BASE + 0x2000, 5, 0, 0}};

	put_table(0x4000, table, 3);
	bed.q.indirect = true;
	vq_set_desc(&bed.driver, 0, (struct vq_desc){VQ_GUEST_BASE + 0x4000, 48, VQ_INDIRECT, 0});
	vq_offer(&bed.driver, 0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(bed.chain.out_n, 2);
	ck_assert_uint_eq(bed.chain.out_len, 15);
}
END_TEST

/* What a hostile driver may put into descriptor 0, and into a table at 0x4000. */
static const struct {
	const char *what;
	struct vq_desc desc;
	struct vq_desc table;
} broken[] = {
    {"outside of memory", {VQ_GUEST_BASE + MEM_LEN, 1, 0, 0}, {0}},
    {"one byte too long", {VQ_GUEST_BASE + MEM_LEN - 1, 2, 0, 0}, {0}},
    {"before memory", {VQ_GUEST_BASE - 1, 2, 0, 0}, {0}},
    {"an address that wraps", {UINT64_MAX, 2, 0, 0}, {0}},
    {"a length that wraps", {VQ_GUEST_BASE, UINT32_MAX, 0, 0}, {0}},
    {"a chain into itself", {VQ_GUEST_BASE, 1, VQ_NEXT, 0}, {0}},
    {"a next outside of the ring", {VQ_GUEST_BASE, 1, VQ_NEXT, SIZE}, {0}},
    {"an empty table", {VQ_GUEST_BASE + 0x4000, 0, VQ_INDIRECT, 0}, {0}},
    {"half a descriptor", {VQ_GUEST_BASE + 0x4000, 24, VQ_INDIRECT, 0}, {0}},
    {"a table outside", {VQ_GUEST_BASE + MEM_LEN, 16, VQ_INDIRECT, 0}, {0}},
    {"a table that is too long", {VQ_GUEST_BASE + 0x4000, 16 * 40000, VQ_INDIRECT, 0}, {0}},
    {"a table with a next", {VQ_GUEST_BASE + 0x4000, 16, VQ_INDIRECT | VQ_NEXT, 1}, {0}},
    {"a table in a table",
     {VQ_GUEST_BASE + 0x4000, 16, VQ_INDIRECT, 0},
     {VQ_GUEST_BASE + 0x4000, 16, VQ_INDIRECT, 0}},
    {"a loop in a table",
     {VQ_GUEST_BASE + 0x4000, 16, VQ_INDIRECT, 0},
     {VQ_GUEST_BASE, 1, VQ_NEXT, 0}},
    {"a next outside of the table",
     {VQ_GUEST_BASE + 0x4000, 16, VQ_INDIRECT, 0},
     {VQ_GUEST_BASE, 1, VQ_NEXT, 1}},
};

START_TEST(test_what_no_driver_makes_breaks_the_ring)
{
	bed.q.indirect = true;
	put_table(0x4000, &broken[_i].table, 1);
	vq_set_desc(&bed.driver, 0, broken[_i].desc);
	vq_offer(&bed.driver, 0);
	ck_assert_msg(pop() == -EPROTO, "%s", broken[_i].what);
}
END_TEST

START_TEST(test_a_readable_part_behind_a_writable_one_breaks_the_ring)
{
	vq_set_desc(&bed.driver, 0, (struct vq_desc){VQ_GUEST_BASE, 1, VQ_NEXT | VQ_WRITE, 1});
	vq_set_desc(&bed.driver, 1, (struct vq_desc){VQ_GUEST_BASE, 1, 0, 0});
	vq_offer(&bed.driver, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(test_lengths_that_add_up_to_more_than_32_bits_break_the_ring)
{
	struct vu_region huge = {UINT64_C(1) << 40, UINT64_C(1) << 41, UINT64_C(1) << 33, bed.bytes,
				 1};

	ck_assert_int_eq(vu_mem_add(&bed.mem, &huge), 0);
	for (uint16_t i = 0; i < 2; i++)
		vq_set_desc(&bed.driver, i,
			    (struct vq_desc){UINT64_C(1) << 40, 0x90000000, i ? 0 : VQ_NEXT, 1});
	vq_offer(&bed.driver, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(test_an_indirect_table_that_was_not_negotiated_breaks_the_ring)
{
	vq_set_desc(&bed.driver, 0, (struct vq_desc){VQ_GUEST_BASE + 0x4000, 16, VQ_INDIRECT, 0});
	vq_offer(&bed.driver, 0);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(test_an_index_that_jumps_breaks_the_ring)
{
	vq_set_avail(&bed.driver, SIZE);
	ck_assert_int_eq(pop(), 1);
	vq_set_avail(&bed.driver, SIZE + 2);
	for (unsigned i = 1; i < SIZE; i++)
		ck_assert_int_eq(pop(), 1);
	vq_set_avail(&bed.driver, 2 * SIZE + 1);
	ck_assert_int_eq(pop(), -EPROTO);
	vq_set_avail(&bed.driver, SIZE - 1); /* backwards */
	virtq_kicks_on(&bed.q);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(test_a_head_outside_of_the_ring_breaks_it)
{
	vq_offer(&bed.driver, SIZE);
	ck_assert_int_eq(pop(), -EPROTO);
}
END_TEST

START_TEST(test_a_buffer_across_two_regions_is_two_pieces)
{
	uint8_t *other = calloc(1, 4096);
	struct vu_region next = {VQ_GUEST_BASE + MEM_LEN, 0x7e0000000000, 4096, other, 1};

	ck_assert_int_eq(vu_mem_add(&bed.mem, &next), 0);
	vq_set_desc(&bed.driver, 0, (struct vq_desc){VQ_GUEST_BASE + MEM_LEN - 10, 30, 0, 0});
	vq_offer(&bed.driver, 0);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(bed.chain.out_n, 2);
	ck_assert_ptr_eq(bed.chain.iov[1].iov_base, other);
	ck_assert_uint_eq(bed.chain.iov[1].iov_len, 20);
	free(other);
}
END_TEST

START_TEST(test_calls_are_made_as_the_flags_say)
{
	vq_send(&bed.driver, "x", 1);
	ck_assert_int_eq(pop(), 1);
	vq_set_avail_flags(&bed.driver, 1);
	virtq_push(&bed.q, 0, 0);
	ck_assert(!virtq_publish(&bed.q));
	vq_set_avail_flags(&bed.driver, 0);
	virtq_push(&bed.q, 0, 0);
	ck_assert(virtq_publish(&bed.q));
}
END_TEST

START_TEST(test_calls_are_made_as_the_event_says)
{
	bed.q.event_idx = true;
	vq_set_used_event(&bed.driver, 2); /* wants the third */
	virtq_push(&bed.q, 0, 0);
	ck_assert(!virtq_publish(&bed.q));
	virtq_push(&bed.q, 0, 0);
	ck_assert(!virtq_publish(&bed.q));
	virtq_push(&bed.q, 0, 0);
	ck_assert(virtq_publish(&bed.q));
	virtq_push(&bed.q, 0, 0);
	ck_assert(!virtq_publish(&bed.q));
	vq_set_used_event(&bed.driver, 5);
	for (unsigned i = 0; i < 4; i++)
		virtq_push(&bed.q, 0, 0);
	ck_assert(virtq_publish(&bed.q)); /* passed in the middle of a batch */
}
END_TEST

START_TEST(test_kicks_are_asked_for_by_flag)
{
	virtq_kicks_off(&bed.q);
	ck_assert_uint_eq(vq_used_flags(&bed.driver), 1);
	ck_assert(!virtq_kicks_on(&bed.q));
	ck_assert_uint_eq(vq_used_flags(&bed.driver), 0);
	vq_send(&bed.driver, "x", 1);
	ck_assert(virtq_kicks_on(&bed.q)); /* came before we asked */
}
END_TEST

START_TEST(test_kicks_are_asked_for_by_event)
{
	bed.q.event_idx = true;
	vq_send(&bed.driver, "x", 1);
	vq_send(&bed.driver, "x", 1);
	ck_assert_int_eq(pop(), 1);
	ck_assert(!virtq_kicks_on(&bed.q)); /* the second was seen too */
	ck_assert_uint_eq(vq_avail_event(&bed.driver), 2);
	virtq_unpop(&bed.q, 1);
	vq_send(&bed.driver, "x", 1);
	ck_assert(virtq_kicks_on(&bed.q));
	ck_assert(!virtq_kicks_on(&bed.q));
	ck_assert_uint_eq(vq_avail_event(&bed.driver), 3);
}
END_TEST

START_TEST(test_what_is_put_back_comes_again)
{
	vq_send(&bed.driver, "one", 3);
	vq_send(&bed.driver, "three", 5);
	ck_assert_int_eq(pop(), 1);
	ck_assert_int_eq(pop(), 1);
	virtq_unpop(&bed.q, 2);
	ck_assert_int_eq(pop(), 1);
	ck_assert_uint_eq(bed.chain.out_len, 3);
}
END_TEST

START_TEST(test_used_entries_are_logged_as_dirty)
{
	uint8_t log[64] = {0};

	bed.mem.log = log;
	bed.mem.log_len = sizeof(log);
	virtq_push(&bed.q, 0, 0);
	virtq_publish(&bed.q);
	for (unsigned i = 0; i < sizeof(log); i++)
		ck_assert_uint_eq(log[i], 0);
	bed.q.used_logged = true;
	bed.q.used_log = 5 * VU_LOG_PAGE;
	virtq_push(&bed.q, 0, 0);
	virtq_publish(&bed.q);
	ck_assert_uint_eq(log[0], 1 << 5);
	vu_mem_dirty(&bed.mem, 8 * VU_LOG_PAGE - 1, 2);
	ck_assert_uint_eq(log[0], 1 << 5 | 1 << 7);
	ck_assert_uint_eq(log[1], 1);
	vu_mem_dirty(&bed.mem, 15 * VU_LOG_PAGE, 18 * VU_LOG_PAGE);
	ck_assert_mem_eq(log + 1, ((uint8_t[]){0x81, 0xff, 0xff, 1, 0}), 5);
	vu_mem_dirty(&bed.mem, 60 * 8 * VU_LOG_PAGE, UINT64_C(1) << 40); /* ends behind the log */
	ck_assert_mem_eq(log + 59, ((uint8_t[]){0, 0xff, 0xff, 0xff, 0xff}), 5);
	vu_mem_dirty(&bed.mem, UINT64_C(1) << 50, 1); /* outside of the log */
}
END_TEST

static bool logs_and_clears(uint8_t *log, uint8_t pages)
{
	uint8_t was = log[0];

	log[0] = 0;
	return was == pages;
}

START_TEST(test_each_write_to_the_used_ring_is_logged_where_it_is)
{
	uint8_t log[64] = {0};

	bed.mem.log = log;
	bed.mem.log_len = sizeof(log);
	bed.q.used_logged = true;
	bed.q.used_log = VU_LOG_PAGE - 4; /* entries and event are on page 1 */
	virtq_kicks_off(&bed.q);
	ck_assert(logs_and_clears(log, 1));
	virtq_kicks_on(&bed.q);
	ck_assert(logs_and_clears(log, 1));
	bed.q.event_idx = true;
	virtq_kicks_off(&bed.q);
	ck_assert(logs_and_clears(log, 0));
	virtq_kicks_on(&bed.q);
	ck_assert(logs_and_clears(log, 2));
	virtq_push(&bed.q, 0, 0);
	ck_assert(logs_and_clears(log, 2));
	virtq_publish(&bed.q);
	ck_assert(logs_and_clears(log, 1));
}
END_TEST

START_TEST(test_regions_that_wrap_or_overlap_are_refused)
{
	struct vu_region wraps = {UINT64_MAX - 10, 0, 100, bed.bytes, 1};
	struct vu_region empty = {0, 0, 0, bed.bytes, 1};
	struct vu_region overlaps = {VQ_GUEST_BASE + MEM_LEN - 1, 0, 100, bed.bytes, 1};

	ck_assert_int_eq(vu_mem_add(&bed.mem, &wraps), -EINVAL);
	ck_assert_int_eq(vu_mem_add(&bed.mem, &empty), -EINVAL);
	ck_assert_int_eq(vu_mem_add(&bed.mem, &overlaps), -EINVAL);
	while (bed.mem.n < VU_REGIONS_MAX) {
		struct vu_region next = {(bed.mem.n + 100) * UINT64_C(0x100000),
					 (bed.mem.n + 1) * UINT64_C(0x100000), 0x100000, bed.bytes,
					 1};
		ck_assert_int_eq(vu_mem_add(&bed.mem, &next), 0);
	}
	struct vu_region more = {UINT64_C(1) << 50, UINT64_C(1) << 50, 1, bed.bytes, 1};
	ck_assert_int_eq(vu_mem_add(&bed.mem, &more), -ENOSPC);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("virtq");
	TCase *tc = tcase_create("virtq");

	tcase_add_checked_fixture(tc, set_up, tear_down);
	tcase_add_test(tc, test_chains_come_in_order_and_go_back_with_their_length);
	tcase_add_test(tc, test_indices_wrap);
	tcase_add_test(tc, test_a_chain_of_readable_and_writable_parts);
	tcase_add_test(tc, test_an_indirect_table_is_followed);
	tcase_add_loop_test(tc, test_what_no_driver_makes_breaks_the_ring, 0,
			    sizeof(broken) / sizeof(broken[0]));
	tcase_add_test(tc, test_a_readable_part_behind_a_writable_one_breaks_the_ring);
	tcase_add_test(tc, test_lengths_that_add_up_to_more_than_32_bits_break_the_ring);
	tcase_add_test(tc, test_an_indirect_table_that_was_not_negotiated_breaks_the_ring);
	tcase_add_test(tc, test_an_index_that_jumps_breaks_the_ring);
	tcase_add_test(tc, test_a_head_outside_of_the_ring_breaks_it);
	tcase_add_test(tc, test_a_buffer_across_two_regions_is_two_pieces);
	tcase_add_test(tc, test_calls_are_made_as_the_flags_say);
	tcase_add_test(tc, test_calls_are_made_as_the_event_says);
	tcase_add_test(tc, test_kicks_are_asked_for_by_flag);
	tcase_add_test(tc, test_kicks_are_asked_for_by_event);
	tcase_add_test(tc, test_what_is_put_back_comes_again);
	tcase_add_test(tc, test_used_entries_are_logged_as_dirty);
	tcase_add_test(tc, test_each_write_to_the_used_ring_is_logged_where_it_is);
	tcase_add_test(tc, test_regions_that_wrap_or_overlap_are_refused);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
