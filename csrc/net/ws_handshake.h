#ifndef WR_NET_WS_HANDSHAKE_H
#define WR_NET_WS_HANDSHAKE_H

#include "net/http_head.h"
#include "net/ws.h"

/* The upgrade from HTTP/1.1 to WebSocket (RFC 6455, section 4), of both roles. */
#define WR_WS_DIAL_MS 15000
#define WR_WS_HOST_MAX 300 /* name, brackets, port */
#define WR_WS_PATH_MAX 255
#define WR_WS_SERVER_NAME "nginx/1.22.1"

/* True for a path that may be the owner's: from the root, of letters, digits and
   -._~ only, without empty or dot segments. So a web server has nothing to
   complain about before it has the whole head. */
bool wr_ws_path_ok(const char *path);

/* Client. */
typedef struct wr_ws_dial wr_ws_dial;
/* status 0: link is open and the callee's. Else link is NULL, what was under way
   is closed, and http_status is the server's answer for WR_EWS_REFUSED, else 0.
   Exactly one call, later. */
typedef void (*wr_ws_dial_cb)(void *user, int status, int http_status,
                              wr_link *link);

typedef struct wr_ws_dial_opts {
  wr_ws_opts ws; /* the role is set here */
  const char
      *host; /* as in the Host field, with a port where it belongs there */
  const char *path; /* wr_ws_path_ok() */
  /* The knock's secret; empty: no Authorization field. */
  wr_slice secret;
  wr_slice exporter;   /* of the TLS connection below, see net/knock.h */
  uint64_t timeout_ms; /* 0: WR_WS_DIAL_MS */
} wr_ws_dial_opts;

/* Takes over inner, whose handler it sets. Nothing of opts has to stay. 0, or an
   error and no callback (inner is still the caller's): WR_EINVAL for a host or
   path that cannot be, WR_ENOMEM, or no randomness. */
WR_NODISCARD int wr_ws_dial_start(wr_link *inner, const wr_ws_dial_opts *opts,
                                  wr_ws_dial_cb cb, void *user,
                                  wr_ws_dial **out);
/* The callback will not come; the inner link is closed. */
void wr_ws_dial_cancel(wr_ws_dial *d);

/* Server. */
/* True if the head asks for an upgrade to WebSocket 13 in every point; *key is
   then its Sec-WebSocket-Key. */
bool wr_ws_is_upgrade(const wr_http_head *h, const uint8_t *text,
                      wr_slice *key);
/* Answers 101 as nginx does for a server behind it, and gives back the link. inner:
   what follows the request's head is still to be read from it; it is taken over.
   server: for the Server field; NULL: WR_WS_SERVER_NAME. The role is set here. 0
   or WR_ENOMEM (inner is still the caller's). */
WR_NODISCARD int wr_ws_accept(wr_link *inner, const wr_ws_opts *opts,
                              wr_slice key, const char *server, wr_link **out);

#endif /* !defined(WR_NET_WS_HANDSHAKE_H) */
