#include "proxy/bind.h"

#include <string.h>
#include <strings.h>

#include "base/errors.h"

bool wr_bind_choose(const char *host, bool gateway_ports,
                    char bind[WR_HOST_MAX + 1]) {
  wr_ip ip;
  if (strcmp(host, "127.0.0.1") != 0 && strcmp(host, "::1") != 0) {
    if (!gateway_ports || strcasecmp(host, "localhost") == 0) {
      host = "localhost";
    } else if (host[0] == '\0' || strcmp(host, "*") == 0) {
      host = "*";
    } else if (wr_ip_parse(host, &ip) != 0) {
      return false; /* names are not looked up for this */
    }
  }
  snprintf(bind, WR_HOST_MAX + 1, "%s", host);
  return true;
}

uint16_t wr__bind_port(const wr_listener *l) {
  struct sockaddr_storage ss;
  wr_listener_addr(l, &ss);
  return wr_sockaddr_port((const struct sockaddr *)&ss);
}

static bool family_missing(int err) {
  return err == UV_EADDRNOTAVAIL || err == UV_EAFNOSUPPORT;
}

/* A port that is taken on ::1 alone is no reason to refuse: 127.0.0.1 is where
   most programs look. */
static int bind_loopback(wr_ctx *ctx, uint16_t port,
                         const wr_listener_handler *handler, void *user,
                         wr_listener *out[WR_BIND_MAX]) {
  int err =
      wr_listener_tcp(ctx, "127.0.0.1", port, false, handler, user, &out[0]);
  if (family_missing(err)) {
    return wr_listener_tcp(ctx, "::1", port, false, handler, user, &out[0]);
  }
  if (err != 0) {
    return err;
  }
  port = wr__bind_port(out[0]);
  if (wr_listener_tcp(ctx, "::1", port, false, handler, user, &out[1]) != 0) {
    out[1] = NULL;
  }
  return 0;
}

int wr__bind_tcp(wr_ctx *ctx, const char *host, uint16_t port,
                 const wr_listener_handler *handler, void *user,
                 wr_listener *out[WR_BIND_MAX]) {
  out[0] = out[1] = NULL;
  if (strcasecmp(host, "localhost") == 0) {
    return bind_loopback(ctx, port, handler, user, out);
  }
  bool all = host[0] == '*' && host[1] == '\0';
  return wr_listener_tcp(ctx, host, port, all, handler, user, &out[0]);
}
