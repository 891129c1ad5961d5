/* What upstream servers have answered, for as long as they allow (RFC 1035 section 7.4, RFC 2181
 * section 5.2, RFC 2308). One block of memory, filled round and round: the oldest answers go first,
 * and nothing is allocated after dnscache_new(). */
#ifndef LWNAT_DNS_CACHE_H
#define LWNAT_DNS_CACHE_H

#include "dns/dnsfwd.h"
#include "stack/base/siphash.h"

#include <stdint.h>

#define DNSCACHE_ANSWER_MAX 8192 /* bytes; longer ones are not kept */
#define DNSCACHE_TTL_MAX_S 86400
#define DNSCACHE_NEGATIVE_MAX_S 900 /* RFC 2308 section 5 allows hours; names appear sooner */
#define DNSCACHE_FAILURE_S 1        /* SERVFAIL; RFC 9520 section 3.2: at least this */

struct dnscache_config {
	uint32_t bytes;     /* of all answers; at least 65,536 */
	uint32_t answers_n; /* at most */
	struct siphash_key hash_key;
};

struct dnscache_counters {
	uint64_t hits, misses;
	uint64_t stored, evicted; /* evicted: before their time, to make room */
	uint64_t flushes;
};

struct dnscache_state {
	struct dnscache_counters counters;
	uint32_t answers_n, answers_max; /* expired ones count until they are overwritten */
	uint32_t bytes_n, bytes_max;
};

struct dnscache;

/* 0, -ENOMEM, -EINVAL. */
int dnscache_new(struct dnscache **ret, const struct dnscache_config *config);
void dnscache_free(struct dnscache *cache); /* NULL is fine */

/* The answer to such a question, its TTLs counted down, for dnsfwd_answer(). Room for
 * DNSCACHE_ANSWER_MAX bytes. false: there is none. */
bool dnscache_get(struct dnscache *cache, const struct dnsfwd_pending *question, uint64_t now_ms,
		  struct wire_out *ret);
/* Keeps an answer, which dnsfwd_answer() has found to belong to the question, if it may be kept. */
void dnscache_put(struct dnscache *cache, const struct dnsfwd_pending *question,
		  struct wire_in answer, uint64_t now_ms);
/* Forgets all: other servers know other names. */
void dnscache_flush(struct dnscache *cache);
void dnscache_state(const struct dnscache *cache, struct dnscache_state *ret);

/* Seconds that an answer may be kept; 0: not at all. */
uint32_t dnscache_ttl(struct wire_in answer);

#endif
