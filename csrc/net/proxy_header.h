#ifndef WR_NET_PROXY_HEADER_H
#define WR_NET_PROXY_HEADER_H

#include "net/addr.h"

/* The header that a load balancer puts in front of a connection to say whom it
   speaks for: the PROXY protocol, versions 1 (a line of text) and 2 (binary),
   as HAProxy specifies it. */
typedef enum wr_proxy_state {
  WR_PROXY_MORE = 0, /* the header is not through */
  WR_PROXY_NONE,     /* there is none */
  WR_PROXY_PEER,     /* through; it leaves the connection's peer as it is */
  WR_PROXY_SOURCE,   /* through; source is set */
  WR_PROXY_UNIX      /* through; the client came by a Unix socket */
} wr_proxy_state;

#define WR_PROXY_LINE_MAX 107 /* of version 1, with its CR and LF */

typedef struct wr_proxy_header {
  /* read-only */
  wr_proxy_state state;
  wr_ip source;
  size_t len; /* bytes in head; 0: nothing has come */
  /* private */
  size_t need; /* version 2: bytes of head that count; 0: not known yet */
  size_t skip; /* version 2: bytes behind them that are not looked at */
  uint8_t head[WR_PROXY_LINE_MAX];
} wr_proxy_header;

void wr_proxy_header_init(wr_proxy_header *h);
/* Takes bytes up to the end of the header and none beyond. SSH and TLS do not begin
   as a header does, so that nothing is taken of them; of HTTP the len bytes in
   head may have been taken when it turns out that there is none ("P" of POST). 0,
   or WR_EMALFORMED (then it is over). */
WR_NODISCARD int wr_proxy_header_feed(wr_proxy_header *h, const uint8_t *data,
                                      size_t len, size_t *taken);

#endif /* !defined(WR_NET_PROXY_HEADER_H) */
