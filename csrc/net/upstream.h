#ifndef WR_NET_UPSTREAM_H
#define WR_NET_UPSTREAM_H

#include "net/addr.h"

/* A proxy that connections are made through, as its URL names it:

     socks5://[user[:password]@]host:port   (socks5h:// is the same)
     http://[user[:password]@]host:port     (CONNECT)

   User and password may be percent-encoded; IPv6 stands in brackets. */
#define WR_UPSTREAM_LOGIN_MAX 255 /* bytes of a user and of a password */

typedef enum wr_upstream_kind {
  WR_UPSTREAM_SOCKS5 = 1,
  WR_UPSTREAM_HTTP
} wr_upstream_kind;

typedef struct wr_upstream {
  wr_upstream_kind kind;
  char host[WR_HOST_MAX + 1]; /* without brackets */
  uint16_t port;
  bool has_login;
  char user[WR_UPSTREAM_LOGIN_MAX + 1];
  char password[WR_UPSTREAM_LOGIN_MAX + 1]; /* may be empty */
} wr_upstream;

/* 0, or WR_EMALFORMED with *why, a fixed text (the URL holds a secret). */
WR_NODISCARD int wr_upstream_parse(const char *url, wr_upstream *out,
                                   const char **why);
/* For whoever holds one, at its end. */
void wr_upstream_wipe(wr_upstream *u);

#endif /* !defined(WR_NET_UPSTREAM_H) */
