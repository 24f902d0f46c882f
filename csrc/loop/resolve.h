#ifndef WR_LOOP_RESOLVE_H
#define WR_LOOP_RESOLVE_H

#include "loop/timer.h"

/* Name resolution on libuv's pool: at most two threads of it at a time (the
   host application shares the pool), fair between owners (round robin over
   them), a bounded queue, a time limit that includes the wait. */
#define WR_RESOLVE_MAX_ACTIVE 2
#define WR_RESOLVE_MAX_QUEUED 1024
#define WR_RESOLVE_MAX_PER_OWNER 256 /* one owner's share of the queue */
#define WR_RESOLVE_MAX_ADDRS 16
#define WR_RESOLVE_TIMEOUT_MS 10000

typedef struct wr_resolve wr_resolve;

/* status 0: addrs holds n > 0 addresses in the system's order, their ports 0.
   WR_EUNRESOLVED, WR_ETIMEOUT or WR_ECANCELED otherwise. Called from the loop,
   never from inside wr_resolve_start. */
typedef void (*wr_resolve_cb)(wr_resolve *r, int status,
                              const struct sockaddr_storage *addrs, size_t n);

struct wr_resolve {
  /* private */
  wr_ctx *ctx;
  wr_resolve_cb cb;           /* NULL: idle */
  struct wr_resolve_job *job; /* lives on after a cancel, to the thread's end */
  wr_timer timer;
  wr_task task;                 /* answers that need no thread */
  int status;                   /* what the task reports */
  struct sockaddr_storage addr; /* of an address in text */
};

/* owner: whose turn it takes in the round robin (a session). host: a name or an
   address in text, at most 255 bytes, copied. 0, WR_EBUSY (the queue or the
   owner's share of it is full), WR_ENOMEM, WR_EINVAL. The wr_resolve must stay until the callback or
   wr_resolve_cancel. */
WR_NODISCARD int wr_resolve_start(wr_ctx *ctx, wr_resolve *r, const void *owner,
                                  const char *host, wr_resolve_cb cb);
/* The callback will not be called. Does nothing on an idle one. */
void wr_resolve_cancel(wr_resolve *r);

#endif /* !defined(WR_LOOP_RESOLVE_H) */
