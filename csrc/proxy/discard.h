#ifndef WR_PROXY_DISCARD_H
#define WR_PROXY_DISCARD_H

#include "net/link.h"

/* Resets a link that nobody wants and that nobody will hear of again. */
void wr__link_discard(wr_link *link);

#endif /* !defined(WR_PROXY_DISCARD_H) */
