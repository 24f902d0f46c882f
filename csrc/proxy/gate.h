#ifndef WR_PROXY_GATE_H
#define WR_PROXY_GATE_H

#include "net/link.h"
#include "proxy/http_body.h"

/* A link over a link that ends the reading direction where its owner says: after
   an HTTP request's body (what follows it may be meant for another origin), or
   at once because the end of the stream was met before. Writing passes through.
   Only for the few connections that need it: all others go without. */

/* Takes over inner, whose handler it sets. body NULL: everything passes; it is
   copied. ended: on_eof comes as soon as somebody reads. 0 or WR_ENOMEM (inner is
   still the caller's). */
WR_NODISCARD int wr__gate_new(wr_link *inner, const wr_http_body *body,
                              bool ended, wr_link **out);

#endif /* !defined(WR_PROXY_GATE_H) */
