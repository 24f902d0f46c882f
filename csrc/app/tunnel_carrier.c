#include "app/tunnel_internal.h"

/* What lies between the connection that was dialled and SSH: TLS, and WebSocket
   frames within it or without it. */

/* What comes upon the link has begun, or has not for this reason. */
static void begun(wr_tunnel *t, int err, wr_link *link) {
  if (err != 0) {
    wr_link_close(link, WR_CLOSE_RESET);
    wr__connect_failed(t, err);
  }
}

static void on_upgraded(void *user, int status, int http_status,
                        wr_link *link) {
  wr_tunnel *t = user;
  t->upgrade = NULL;
  t->http_status = http_status;
  if (status != 0) {
    wr__connect_failed(t, status);
  } else {
    begun(t, wr__connect_ssh(t, link), link);
  }
}

static int upgrade(wr_tunnel *t, wr_link *link) {
  const tunnel_try *y = &t->try_;
  uint8_t exporter[WR_TLS_EXPORT_LEN];
  wr_tls *tls = wr_tls_from_link(link);
  wr_ws_dial_opts opts = {.host = y->ws_host,
                          .path = y->ws_path,
                          .secret = y->secret,
                          .timeout_ms = UINT32_MAX,
                          .ws = {.ping_ms = y->keepalive_ms}};
  if (y->bind_tls && tls != NULL &&
      wr_tls_export(tls, WR_KNOCK_LABEL, exporter) == 0) {
    opts.exporter = (wr_slice){exporter, sizeof(exporter)};
  }
  t->state = TUNNEL_UPGRADE;
  int err = wr_ws_dial_start(link, &opts, on_upgraded, t, &t->upgrade);
  wr_bzero(exporter, sizeof(exporter));
  return err;
}

static int above_tls(wr_tunnel *t, wr_link *link) {
  wr_tls_pad(link);
  return t->try_.ws_path != NULL ? upgrade(t, link) : wr__connect_ssh(t, link);
}

static void on_tls(void *user, int status, wr_link *link) {
  wr_tunnel *t = user;
  t->tls = NULL;
  if (status != 0) {
    wr__connect_failed(t, status);
  } else {
    begun(t, above_tls(t, link), link);
  }
}

int wr__carrier_begin(wr_tunnel *t, wr_link *link) {
  const tunnel_try *y = &t->try_;
  const wr_tls_options opts = {.timeout_ms = UINT32_MAX,
                               .server_name = y->tls_name};
  if (y->tls == NULL) {
    return above_tls(t, link);
  }
  t->state = TUNNEL_TLS;
  return wr_tls_start(link, y->tls, &opts, on_tls, t, &t->tls);
}

void wr__carrier_dialled(wr_tunnel *t, wr_link *link) {
  begun(t, wr__carrier_begin(t, link), link);
}

void wr__carrier_cancel(wr_tunnel *t) {
  if (t->tls != NULL) {
    wr_tls_cancel(t->tls);
    t->tls = NULL;
  }
  if (t->upgrade != NULL) {
    wr_ws_dial_cancel(t->upgrade);
    t->upgrade = NULL;
  }
}
