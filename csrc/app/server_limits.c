#include "app/server_internal.h"

#include <string.h>

/* How many may come: connections per address, logins under way, sessions. */

/* NULL if it has no connection. */
static server_peer *peer_of(const server_session *ss) {
  return wr_map_get(ss->server->by_peer, ss->peer_key, ss->peer_key_len);
}

/* IPv6 hosts have a /64 to themselves. What is no address was named by the
   application, which knows what it means. */
size_t wr__peer_key(const char *address, uint8_t key[WR_ADDR_TEXT_MAX]) {
  wr_ip ip;
  if (wr_ip_parse(address, &ip) == 0) {
    return wr_ip_peer_key(&ip, key);
  }
  size_t len = strlen(address);
  memcpy(key, address, len);
  return len;
}

/* Whether the address has as many connections as it may. *quiet_ms: where its
   rejections are noted. */
static bool is_full(wr_server *s, const char *address, uint64_t **quiet_ms) {
  uint8_t key[WR_ADDR_TEXT_MAX];
  uint32_t most = s->opts.max_connections_per_ip;
  if (most == 0 || address[0] == '\0') {
    return false;
  }
  server_peer *peer = wr_map_get(s->by_peer, key, wr__peer_key(address, key));
  if (peer == NULL || peer->connections < most) {
    return false;
  }
  *quiet_ms = &peer->quiet_ms;
  return true;
}

bool wr__limits_address(wr_server *s, const char *address,
                        const char *transport) {
  bool first = false;
  uint64_t *quiet_ms;
  if (wr__penalty_holds(s, address, &first)) {
    wr__reject(s, address, transport, REJECT_PENALTY, first);
    return false;
  }
  if (is_full(s, address, &quiet_ms)) {
    bool own = wr__reject_is_due(s, quiet_ms);
    wr__reject(s, address, transport, REJECT_PER_IP, own);
    return false;
  }
  return true;
}

/* Whether one more that has not logged in is dropped: none up to the start, from
   there a share that rises from the rate to all at the full number. So those who
   flood get less and less, while who comes by chance has a chance. */
static bool is_dropped(const wr_server *s) {
  const wr_server_opts *o = &s->opts;
  if (s->startups < o->startups_start) {
    return false;
  }
  if (s->startups >= o->max_startups) {
    return true;
  }
  uint64_t over = s->startups - o->startups_start;
  uint64_t range = o->max_startups - o->startups_start;
  uint64_t share =
      o->startups_rate * range + (uint64_t)(100 - o->startups_rate) * over;
  return wr_ctx_rand64(s->ctx) % (100 * range) < share;
}

/* For reasons that have nothing to do with the address. */
static void reject_any(wr_server *s, const char *address, const char *transport,
                       reject_reason reason) {
  bool own = wr__reject_is_due(s, &s->rejects.quiet_ms[reason]);
  wr__reject(s, address, transport, reason, own);
}

bool wr__limits_startups(wr_server *s, const char *address,
                         const char *transport) {
  bool dropped = is_dropped(s);
  if (dropped) {
    reject_any(s, address, transport, REJECT_STARTUPS);
  }
  return !dropped;
}

bool wr__limits_sessions(wr_server *s, const char *address,
                         const char *transport) {
  bool full = s->n_live >= s->opts.max_sessions;
  if (full) {
    reject_any(s, address, transport, REJECT_SESSIONS);
  }
  return !full;
}

static int count_peer(server_session *ss) {
  wr_server *s = ss->server;
  server_peer *peer = peer_of(ss);
  if (peer == NULL) {
    peer = wr_calloc(&s->ctx->mem, 1, sizeof(*peer));
    if (peer == NULL) {
      return WR_ENOMEM;
    }
    int err = wr_map_set(s->by_peer, ss->peer_key, ss->peer_key_len, peer);
    if (err != 0) {
      wr_free(&s->ctx->mem, peer);
      return err;
    }
  }
  peer->connections++;
  return 0;
}

static void uncount_peer(server_session *ss) {
  server_peer *peer = peer_of(ss);
  WR_ASSERT(peer != NULL && peer->connections > 0);
  if (--peer->connections == 0) {
    wr_map_remove(ss->server->by_peer, ss->peer_key, ss->peer_key_len);
    wr_free(&ss->server->ctx->mem, peer);
  }
}

int wr__limits_enter(server_session *ss) {
  if (ss->server->opts.max_connections_per_ip != 0) {
    ss->peer_key_len = wr__peer_key(ss->address, ss->peer_key);
  }
  if (ss->peer_key_len > 0) {
    int err = count_peer(ss);
    if (err != 0) {
      return err;
    }
  }
  ss->server->n_live++;
  ss->server->startups++;
  return 0;
}

void wr__limits_logged_in(server_session *ss) {
  WR_ASSERT(ss->state == SESSION_UP && ss->server->startups > 0);
  ss->server->startups--;
}

void wr__limits_leave(server_session *ss) {
  if (ss->peer_key_len > 0) {
    uncount_peer(ss);
  }
  ss->server->n_live--;
  if (ss->state != SESSION_UP) {
    ss->server->startups--;
  }
}
