#ifndef WR_TEST_C_MEM_DUO_H
#define WR_TEST_C_MEM_DUO_H

/* Two owners at the ends of a memory pair, under a clock that stands still. */

#include "net_help.h"

#include "net/mempair.h"

typedef struct duo {
  env e;
  peer a;
  peer b;
} duo;

/* The halves are for peers_own(), which may be given links over them. */
static void duo_wire(duo *d, size_t capacity, wr_link **a, wr_link **b) {
  memset(d, 0, sizeof(*d));
  env_open(&d->e);
  wr_ctx_fake_clock(&d->e.ctx);
  MUST(wr_mempair_new(&d->e.ctx, capacity, a, b) == 0);
}

static void duo_close(duo *d) {
  peers_close(&d->a, &d->b);
  wr_ctx_run_tasks(&d->e.ctx);
  peers_check(&d->a, &d->b);
  env_close(&d->e);
}

#endif /* !defined(WR_TEST_C_MEM_DUO_H) */
