/* Sessions over WebSocket links: what the stealth carriers are made of. */
#include "ssh_pair.h"

#include "net/ws.h"

static peer server_end;

static void accept_end(pair *p, wr_link *link) {
  WR_UNUSED(p);
  peer_own(&server_end, link);
  peer_go(&server_end);
}

/* The wire in *wire becomes the inner link of a WebSocket. */
static void wrap(wr_link **wire, wr_ws_role role) {
  const wr_ws_opts opts = {.role = role, .ping_ms = 7};
  wr_link *inner = *wire;
  MUST(wr_ws_new(inner, &opts, (wr_slice){NULL, 0}, wire) == 0);
}

/* Logs in over a wire with faults. */
static void start(pair *p, const wr_mempair_faults *faults) {
  pair_init(p);
  wr_mempair_set_faults(p->clink, faults);
  wr_mempair_set_faults(p->slink, faults);
  wrap(&p->clink, WR_WS_CLIENT);
  wrap(&p->slink, WR_WS_SERVER);
  p->on_accepted = accept_end;
  pair_start(p);
  for (int i = 0; i < 2000 && p->c_ready + p->s_ready < 2; i++) {
    wr_ctx_advance(&p->e.ctx, 1);
  }
  MUST(p->c_ready == 1 && p->s_ready == 1);
}

static void transfer(pair *p, uint64_t bytes) {
  opened o;
  peer x = {.to_send = bytes, .end_after = true, .out_seed = 1, .in_seed = 2};
  server_end = x;
  server_end.out_seed = 2;
  server_end.in_seed = 1;
  pair_ask(p, &o);
  for (int i = 0; i < 1000 && o.calls == 0; i++) {
    wr_ctx_advance(&p->e.ctx, 1);
  }
  MUST(o.calls == 1 && o.status == 0);
  peer_own(&x, o.link);
  peer_go(&x);
  for (int i = 0; i < 100000 && x.n_eof + server_end.n_eof < 2; i++) {
    wr_ctx_advance(&p->e.ctx, 1);
  }
  EQ_UINT(x.got, bytes);
  EQ_UINT(server_end.got, bytes);
  EQ_UINT(x.bad + server_end.bad, 0);
  wr_link_close(x.link, WR_CLOSE_ORDERLY);
  wr_ctx_advance(&p->e.ctx, 100);
  EQ_INT(x.n_close, 1);
  EQ_INT(server_end.n_close, 1);
}

TEST(bytes_arrive_whole) {
  static const wr_mempair_faults faults[] = {
      {0},
      {.max_write = 1000, .max_read = 777},
      {.max_read = 1},
      {.max_write = 3},
      {.delay_ms = 5, .max_write = 5000}};
  for (size_t i = 0; i < WR_COUNTOF(faults); i++) {
    pair p;
    start(&p, &faults[i]);
    transfer(&p, i == 0 ? 8000000 : 200000);
    pair_fini(&p);
  }
}

/* Whoever ends it, the other side is told by SSH and not by a broken wire, and
   nobody waits for a time limit. */
TEST(the_end_is_told) {
  for (int i = 0; i < 2; i++) {
    pair p;
    const wr_mempair_faults none = {0};
    start(&p, &none);
    wr_ssh_close(i == 0 ? p.c : p.s, 11, "enough");
    pair_run(&p);
    CHECK(p.c == NULL && p.s == NULL);
    EQ_INT(i == 0 ? p.c_status : p.s_status, 0);
    EQ_INT(i == 0 ? p.s_status : p.c_status, WR_EPEER_CLOSED);
    pair_fini(&p);
  }
}

TAP_MAIN()
