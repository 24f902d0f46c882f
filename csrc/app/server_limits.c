#include "app/server_internal.h"

#include <string.h>

/* How many may come: connections per address, logins under way, sessions. */

/* NULL if it has no connection. */
static server_peer *peer_of(const server_session *ss) {
  return wr_map_get(ss->server->by_peer, ss->peer_key, ss->peer_key_len);
}

/* IPv6 hosts have a /64 to themselves. What is no address was named by the
   application, which knows what it means. */
static void set_peer_key(server_session *ss) {
  wr_ip ip;
  if (wr_ip_parse(ss->address, &ip) == 0) {
    ss->peer_key_len = wr_ip_peer_key(&ip, ss->peer_key);
    return;
  }
  ss->peer_key_len = strlen(ss->address);
  memcpy(ss->peer_key, ss->address, ss->peer_key_len);
}

const char *wr__limits_reject(server_session *ss) {
  const wr_server *s = ss->server;
  uint32_t per_ip = s->opts.max_connections_per_ip;
  if (per_ip != 0 && ss->address[0] != '\0') {
    set_peer_key(ss);
    const server_peer *peer = peer_of(ss);
    if (peer != NULL && peer->connections >= per_ip) {
      return "max-connections-per-ip";
    }
  }
  if (s->startups >= s->opts.max_startups) {
    return "max-startups";
  }
  return s->n_live >= s->opts.max_sessions ? "max-sessions" : NULL;
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
