#ifndef WR_NET_FORWARDED_H
#define WR_NET_FORWARDED_H

#include "net/addr.h"
#include "net/http_head.h"

/* Whom a request came from, by its X-Forwarded-For fields: each proxy adds, at
   the end, the address that it was asked from. So they are read from the end, as
   long as the address before is one of the n trusted networks; the first that is
   not is the answer, or the last that can be read. Addresses are those of a
   socket, with or without a port ("192.0.2.1:5", "[2001:db8::1]:5"). False:
   there is none. */
bool wr_forwarded_for(const wr_http_head *h, const uint8_t *text,
                      const wr_cidr *trusted, size_t n, wr_ip *source);

#endif /* !defined(WR_NET_FORWARDED_H) */
