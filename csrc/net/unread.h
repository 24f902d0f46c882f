#ifndef WR_NET_UNREAD_H
#define WR_NET_UNREAD_H

#include "net/link.h"

/* A link over a link whose reader gets some bytes first that were read from the
   inner link before: for whoever had to look at the first bytes to know whose
   connection it is. Everything else passes through. */

/* Takes over inner, whose handler it sets; inner must not be reading. bytes: copied,
   at least one. 0 or WR_ENOMEM (inner is still the caller's). */
WR_NODISCARD int wr_unread_new(wr_link *inner, wr_slice bytes, wr_link **out);

#endif /* !defined(WR_NET_UNREAD_H) */
