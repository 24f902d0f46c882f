#ifndef WR_PROXY_SPEC_H
#define WR_PROXY_SPEC_H

#include "base/common.h"
#include "net/addr.h"
#include "net/reserved.h"

/* Forward specifications of ssh(1): -L and -R share the shape
     [bind:]port:host:hostport   [bind:]port:path
     path:host:hostport          path:path
   IPv6 addresses in brackets; a path begins with '/', and may hold anything but
   ':' unless it is in brackets too. */
typedef struct wr_endpoint {
  bool is_unix;
  char host[WR_HOST_MAX + 1]; /* name, address without brackets, or path */
  uint16_t port;
} wr_endpoint;

typedef struct wr_forward_spec {
  /* host "" where none was given: the default. "*" for all addresses, also for
     an address that was given as nothing (":80:host:80"). */
  wr_endpoint bind;
  bool bind_given;
  wr_endpoint target;
} wr_forward_spec;

/* Port 0 of a bind is chosen by the side that listens. remote: a reserved name
   with port 0 may be listened on; without a target (reverse SOCKS) it is
   refused. 0 or WR_ESPEC; *why then is a fixed text that says what is wrong
   ("the port is not a number from 1 to 65535"). */
WR_NODISCARD int wr_forward_spec_parse(const char *text, bool remote,
                                       wr_forward_spec *out, const char **why);
/* "host:port", "[v6]:port" or "unix:/path", and a bare reserved name
   ("wraith-…", port 1 then). Same errors. */
WR_NODISCARD int wr_destination_parse(const char *text, wr_endpoint *out,
                                      const char **why);

#endif /* !defined(WR_PROXY_SPEC_H) */
