/* A tunnel whose owner acts in the same pass of timers in which the tunnel's own
   timer is due: no task has run in between. */
#include "app_help.h"

static app a;
static client c;

static void on_timer(wr_timer *timer) {
  WR_UNUSED(timer);
  wr_tunnel_disconnect(c.t);
}

/* A dial that is under way, as far as the fake clock goes, and given up in the
   very millisecond of its time-out. */
TEST(a_dial_is_given_up_as_it_times_out) {
  wr_timer timer;
  app_open(&a, true);
  app_serve(&a, 1, NULL);
  a.port = dead_port(&a.e);
  client_open(&c, &a, 0);
  c.timeout_ms = 1000;
  wr_timer_init(&timer, &a.e.ctx, on_timer);
  wr_timer_start(&timer, 1000); /* the older of two that are due comes first */
  client_start(&c, NULL);
  wr_ctx_advance(&a.e.ctx, 1000);
  EQ_INT(c.downs, 1);
  EQ_INT(c.status, 0);
  client_close(&c);
  while (a.e.ctx.uv_handles > 5) { /* the socket of the dial */
    uv_run(&a.e.loop, UV_RUN_NOWAIT);
  }
  app_close(&a);
}

TAP_MAIN()
