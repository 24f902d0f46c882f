#ifndef WR_PROXY_INBOUND_H
#define WR_PROXY_INBOUND_H

#include "base/buf.h"
#include "proxy/http_body.h"
#include "proxy/spec.h"

/* The server side of SOCKS5 (RFC 1928, RFC 1929), SOCKS4, SOCKS4a, HTTP CONNECT
   and absolute-form HTTP requests (RFC 9112, section 3.2.2), told apart by the
   first byte. Sans-IO: bytes in, bytes out; names are handed on unresolved. */
#define WR_INBOUND_MAX ((size_t)16 * 1024) /* bytes of one request */

typedef enum wr_inbound_state {
  WR_INBOUND_MORE = 0, /* give it more bytes (after sending `out`) */
  WR_INBOUND_CONNECT,  /* `target` is asked for: answer with reply() */
  WR_INBOUND_FAILED    /* send `out`, then close */
} wr_inbound_state;

typedef enum wr_inbound_protocol {
  WR_INBOUND_UNKNOWN = 0,
  WR_INBOUND_SOCKS5,
  WR_INBOUND_SOCKS4,
  WR_INBOUND_HTTP_CONNECT,
  WR_INBOUND_HTTP_FORWARD
} wr_inbound_protocol;

typedef struct wr_inbound {
  /* read-only */
  wr_inbound_state state;
  wr_inbound_protocol protocol;
  wr_endpoint target;
  wr_buf out;     /* for the client: send and consume */
  wr_buf forward; /* for the target, before the client's own bytes: the request
                     head of WR_INBOUND_HTTP_FORWARD in origin form */
  /* Where the body of WR_INBOUND_HTTP_FORWARD ends: what the client sends after
     it is no business of this target. */
  wr_http_body body;
  /* private */
  int step;
  wr_buf in;
  const char *user;
  const char *password;
  bool no_reply_body; /* a HEAD request */
} wr_inbound;

/* user and password: NULL for no authentication; borrowed, must stay. */
void wr_inbound_init(wr_inbound *in, wr_mem *mem, const char *user,
                     const char *password);
void wr_inbound_reset(wr_inbound *in);
/* Takes bytes up to the end of the request; *taken says how many. What follows
   belongs to the stream. 0 (look at state) or WR_ENOMEM. */
WR_NODISCARD int wr_inbound_feed(wr_inbound *in, const uint8_t *data,
                                 size_t len, size_t *taken);
/* status 0: the target is connected. Else WR_ECHANNEL_*, WR_ETUNNEL_DOWN …: the
   reply has the code of the two functions below, names no destination, and the
   state becomes FAILED. Only in the state CONNECT. 0 or WR_ENOMEM. */
WR_NODISCARD int wr_inbound_reply(wr_inbound *in, int status);
/* SOCKS5 reply code and HTTP status for an error of the core. */
uint8_t wr_socks5_reply_code(int err);
int wr_http_status(int err);

#endif /* !defined(WR_PROXY_INBOUND_H) */
