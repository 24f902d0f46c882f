#ifndef WR_LOOP_INTERNAL_H
#define WR_LOOP_INTERNAL_H

#include "loop/resolve.h"

/* What the files of this folder (and its tests) share. */

/* Timers. */
void wr__timers_arm(wr_ctx *ctx);
/* Runs what is due by `now`; timers started meanwhile wait for the next call. */
void wr__timers_run(wr_ctx *ctx, uint64_t now);

/* One lookup on libuv's pool. It outlives the wr_resolve it works for when
   that one is cancelled or times out, since a thread cannot be stopped. */
typedef struct wr_resolve_job {
  uv_getaddrinfo_t req;
  wr_list node; /* in wr_resolver.queued or .active */
  wr_ctx *ctx;
  wr_resolve *r;     /* NULL: nobody waits any more */
  const void *owner; /* compared only */
  uint64_t round;    /* of the round robin */
  char host[];
} wr_resolve_job;

typedef int (*wr__lookup_fn)(uv_loop_t *loop, uv_getaddrinfo_t *req,
                             uv_getaddrinfo_cb cb, const char *node,
                             const char *service, const struct addrinfo *hints);

typedef struct wr_resolver {
  wr_list queued; /* by round, then by time of arrival */
  wr_list active;
  size_t n_queued;
  size_t n_active;
  uint64_t round; /* of the job started last */
  /* uv_getaddrinfo, uv_cancel and uv_freeaddrinfo, except in tests */
  wr__lookup_fn lookup;
  int (*cancel)(uv_req_t *req);
  void (*free_result)(struct addrinfo *res);
} wr_resolver;

/* NULL when out of memory. */
wr_resolver *wr__resolver_new(wr_mem *mem);
/* Teardown: drops what waits, cancels what runs. */
void wr__resolver_shutdown(wr_ctx *ctx);

#endif /* !defined(WR_LOOP_INTERNAL_H) */
