#ifndef WR_NET_UPSTREAM_TALK_H
#define WR_NET_UPSTREAM_TALK_H

#include "base/buf.h"
#include "net/upstream.h"

/* The client's part of asking a proxy for a connection, without I/O: SOCKS5 (RFC
   1928, its passwords RFC 1929) and HTTP CONNECT (RFC 9110, section 9.3.6).

   A name goes over as it is, an address as an address (in whatever form it was
   written): nothing is looked up here.

   Errors. Of the proxy itself: WR_EPROXY_PROTOCOL, WR_EPROXY_AUTH (it wants a
   user and password, or others), WR_EPROXY_DENIED, WR_EPROXY_FAILED. Of the
   target, in the codes of a dial: UV_ECONNREFUSED, UV_ENETUNREACH,
   UV_EHOSTUNREACH, UV_ETIMEDOUT, WR_EUNRESOLVED. */
#define WR_UPSTREAM_HEAD_MAX 16384 /* bytes of HTTP answers */

typedef struct wr_upstream_talk {
  /* read-only */
  bool done; /* the proxy has connected: what follows is the target's */
  /* private */
  wr_upstream_kind kind;
  uint8_t step; /* of SOCKS5 */
  bool has_login;
  bool by_name;     /* the target is not an address */
  wr_buf out;       /* all that may have to be said, in order */
  size_t login;     /* bytes of the login in it, behind the greeting */
  size_t held;      /* bytes at its end that must wait for an answer */
  uint8_t in[12];   /* the beginning of the answer */
  size_t len;       /* bytes of the answer, or of the head so far */
  size_t heads_len; /* bytes of earlier heads (1xx) */
  bool line_empty;  /* of a head: nothing stands in the line yet */
} wr_upstream_talk;

/* 0, WR_ENOMEM, WR_EINVAL (port 0) or WR_EUNRESOLVED (no name has such bytes or
   such a length); nothing to be freed then. */
WR_NODISCARD int wr_upstream_talk_init(wr_upstream_talk *t, wr_mem *mem,
                                       const wr_upstream *u, const char *host,
                                       uint16_t port);
/* Wipes what is left of the secrets. */
void wr_upstream_talk_free(wr_upstream_talk *t);
/* What is to be sent now; how much of it went out is then told. */
wr_slice wr_upstream_talk_out(const wr_upstream_talk *t);
void wr_upstream_talk_sent(wr_upstream_talk *t, size_t len);
/* Everything has been sent: what takes time from here on is the target. */
bool wr_upstream_talk_asked(const wr_upstream_talk *t);
/* Takes bytes of the proxy's, up to the end of its answer and none beyond. 0 or
   the error that ends it. */
WR_NODISCARD int wr_upstream_talk_feed(wr_upstream_talk *t, const uint8_t *data,
                                       size_t len, size_t *taken);

#endif /* !defined(WR_NET_UPSTREAM_TALK_H) */
