#include "app/server_internal.h"

/* Connections that are turned away. Who comes over and over must not fill the
   log: a rejection has a record of its own once a minute (for each address, or
   for all of them where the address is not the reason), or once in a penalty.
   The others are summed up a minute later. */

#define QUIET_MS 60000u

static const char *const reasons[REJECT_REASONS] = {
    [REJECT_NONE] = "",
    [REJECT_PENALTY] = "penalty",
    [REJECT_PER_IP] = "max-connections-per-ip",
    [REJECT_STARTUPS] = "max-startups",
    [REJECT_SESSIONS] = "max-sessions",
    [REJECT_PROXY_HEADER] = "proxy-header"};

static void on_timer(wr_timer *timer) {
  wr__reject_sums(wr_container_of(timer, wr_server, rejects.timer));
}

void wr__reject_init(wr_server *s) {
  wr_timer_init(&s->rejects.timer, s->ctx, on_timer);
}

bool wr__reject_is_due(const wr_server *s, uint64_t *quiet_ms) {
  uint64_t now = wr_ctx_now(s->ctx);
  if (now < *quiet_ms) {
    return false;
  }
  *quiet_ms = now + QUIET_MS;
  return true;
}

void wr__reject(wr_server *s, const char *address, const char *transport,
                reject_reason reason, bool own) {
  wr_counts_add(&s->past.rejections, reasons[reason]);
  if (own) {
    wr__log_rejected(s, address, transport, reasons[reason]);
    return;
  }
  s->rejects.unlogged[reason]++;
  if (!wr_timer_active(&s->rejects.timer)) {
    wr_timer_start(&s->rejects.timer, QUIET_MS);
  }
}

void wr__reject_sums(wr_server *s) {
  wr_timer_stop(&s->rejects.timer);
  for (size_t i = 0; i < REJECT_REASONS; i++) {
    if (s->rejects.unlogged[i] > 0) {
      wr__log_rejected_sum(s, reasons[i], s->rejects.unlogged[i]);
      s->rejects.unlogged[i] = 0;
    }
  }
}
