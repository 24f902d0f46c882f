#include "ssh/internal.h"

/* A round trip is measured at most this often, and the smallest of the last two
   epochs counts: what waits in queues only adds to it. */
#define PING_EVERY_MS 1000u
#define EPOCH_MS 5000u
/* So long after the last traffic the buffers of a busy session go back. */
#define TRIM_AFTER_MS 2000u
#define KEEPALIVE "keepalive@openssh.com"

static void on_pong(void *user, int status, wr_slice payload) {
  wr_ssh *s = user;
  WR_UNUSED(payload);
  wr_ssh_liveness *l = &s->live;
  /* Both answers are one: OpenSSH says no, others say yes. */
  if (status != 0 && status != WR_EFORWARD_REFUSED) {
    return;
  }
  l->ping_out = false;
  uint64_t us = wr_ctx_hrtime(s->ctx) / 1000 - l->ping_us;
  us = WR_MAX(us, (uint64_t)1);
  uint32_t rtt_us = us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
  uint64_t now_ms = wr_ctx_now(s->ctx);
  if (now_ms - l->epoch_ms >= EPOCH_MS) {
    l->rtt_before_us = l->rtt_now_us;
    l->rtt_now_us = 0;
    l->epoch_ms = now_ms;
  }
  if (l->rtt_now_us == 0 || rtt_us < l->rtt_now_us) {
    l->rtt_now_us = rtt_us;
  }
}

static void ping(wr_ssh *s) {
  wr_ssh_liveness *l = &s->live;
  if (l->ping_out) {
    return;
  }
  l->ping_ms = wr_ctx_now(s->ctx);
  l->ping_us = wr_ctx_hrtime(s->ctx) / 1000;
  l->ping_out =
      wr__conn_request(s, KEEPALIVE, (wr_slice){NULL, 0}, on_pong, s) == 0;
}

uint32_t wr__live_rtt(const wr_ssh *s) {
  const wr_ssh_liveness *l = &s->live;
  if (l->rtt_now_us == 0 || l->rtt_before_us == 0) {
    return WR_MAX(l->rtt_now_us, l->rtt_before_us);
  }
  return WR_MIN(l->rtt_now_us, l->rtt_before_us);
}

void wr__live_ping(wr_ssh *s) {
  if (!s->live.ping_out &&
      wr_ctx_now(s->ctx) - s->live.ping_ms >= PING_EVERY_MS) {
    ping(s);
  }
}

void wr__live_heard(wr_ssh *s) {
  s->live.heard_ms = wr_ctx_now(s->ctx);
}

/* Milliseconds until the next look at the peer's silence. */
static uint64_t check_peer(wr_ssh *s) {
  wr_ssh_liveness *l = &s->live;
  if (l->keepalive_ms == UINT64_MAX) {
    return UINT64_MAX;
  }
  if ((s->holds & ~(unsigned)HOLD_BACKLOG) != 0) {
    wr__live_heard(s); /* we are the ones who do not listen */
  }
  uint64_t silent_ms = wr_ctx_now(s->ctx) - l->heard_ms;
  if (silent_ms < l->keepalive_ms) {
    return l->keepalive_ms - silent_ms;
  }
  if (silent_ms / 2 >= l->keepalive_ms) {
    wr__ssh_end(s, WR_EPEER_DEAD, DISCONNECT_NONE,
                "the peer no longer answers");
    return UINT64_MAX;
  }
  if (l->asked_ms != l->heard_ms) {
    l->asked_ms = l->heard_ms;
    /* An old round trip may be out still: this one asks anew. */
    int rc = wr__conn_request(s, KEEPALIVE, (wr_slice){NULL, 0},
                              l->ping_out ? NULL : on_pong, s);
    if (rc == 0 && !l->ping_out) {
      l->ping_out = true;
      l->ping_ms = wr_ctx_now(s->ctx);
      l->ping_us = wr_ctx_hrtime(s->ctx) / 1000;
    }
  }
  return 2 * l->keepalive_ms - silent_ms;
}

/* Milliseconds until buffers may be given back; does so if they may now. */
static uint64_t check_buffers(wr_ssh *s) {
  wr_ssh_liveness *l = &s->live;
  if (!l->busy) {
    return UINT64_MAX;
  }
  uint64_t silent_ms = wr_ctx_now(s->ctx) - l->heard_ms;
  if (silent_ms < TRIM_AFTER_MS) {
    return TRIM_AFTER_MS - silent_ms;
  }
  l->busy = false;
  wr__transport_trim(s->tp);
  return UINT64_MAX;
}

static void on_timer(wr_timer *timer) {
  wr_ssh *s = wr_container_of(timer, wr_ssh, live.timer);
  if (s->state == SSH_ENDING) {
    wr__ssh_farewell_over(s);
    return;
  }
  if (s->state != SSH_UP) {
    wr__ssh_end(s, WR_EAUTH_TIMEOUT, DISCONNECT_NONE,
                "login grace time exceeded");
    return;
  }
  uint64_t peer_ms = check_peer(s);
  if (!wr__ssh_alive(s)) {
    return;
  }
  uint64_t trim_ms = check_buffers(s);
  uint64_t next_ms = WR_MIN(peer_ms, trim_ms);
  if (next_ms != UINT64_MAX) {
    wr_timer_start(timer, next_ms);
  }
}

void wr__live_busy(wr_ssh *s) {
  if (s->live.busy || s->state != SSH_UP) {
    return;
  }
  s->live.busy = true;
  wr_timer_start(&s->live.timer,
                 WR_MIN((uint64_t)TRIM_AFTER_MS, s->live.keepalive_ms));
}

void wr__live_init(wr_ssh *s, const wr_ssh_opts *opts) {
  wr_ssh_liveness *l = &s->live;
  wr_timer_init(&l->timer, s->ctx, on_timer);
  l->grace_ms =
      opts->login_grace_ms != 0 ? opts->login_grace_ms : WR_LOGIN_GRACE_MS;
  l->keepalive_ms =
      opts->keepalive_ms != 0 ? opts->keepalive_ms : WR_KEEPALIVE_MS;
  wr__live_heard(s);
}

void wr__live_up(wr_ssh *s) {
  wr__live_heard(s);
  s->live.epoch_ms = s->live.heard_ms;
  ping(s);
  /* The key exchange took buffers too. This starts the timer. */
  wr__live_busy(s);
}
