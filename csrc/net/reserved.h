#ifndef WR_NET_RESERVED_H
#define WR_NET_RESERVED_H

#include "net/addr.h"

/* Names of control channels: answered inside of a server, never looked up. */

/* A single label that begins with "wraith-", case-insensitive, one trailing dot
   ignored. Writes the lower-case name without the dot to name. */
bool wr_reserved_name(const char *host, char name[WR_HOST_MAX + 1]);

#endif /* !defined(WR_NET_RESERVED_H) */
