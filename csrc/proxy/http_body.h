#ifndef WR_PROXY_HTTP_BODY_H
#define WR_PROXY_HTTP_BODY_H

#include "base/common.h"

/* Finds the end of an HTTP/1.1 request's body (RFC 9112, section 6) without
   changing it. A connection that carries one request to one origin must not
   carry the next one, which may be meant for somebody else, to it as well. */
#define WR_HTTP_BODY_OVERHEAD_MAX ((size_t)16 * 1024) /* extensions, trailers */

typedef struct wr_http_body {
  bool done;       /* read-only: the body has ended */
  int step;        /* private: of the chunked coding */
  uint64_t left;   /* private: bytes of the body or the chunk to come */
  size_t overhead; /* private: bytes of extensions and trailers so far */
} wr_http_body;

void wr_http_body_init_length(wr_http_body *b, uint64_t length);
void wr_http_body_init_chunked(wr_http_body *b);
/* *taken bytes belong to the body; less than len only once it is done. 0 or
   WR_EMALFORMED. */
WR_NODISCARD int wr_http_body_feed(wr_http_body *b, const uint8_t *data,
                                   size_t len, size_t *taken);

#endif /* !defined(WR_PROXY_HTTP_BODY_H) */
