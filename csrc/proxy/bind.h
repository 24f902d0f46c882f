#ifndef WR_PROXY_BIND_H
#define WR_PROXY_BIND_H

#include "net/listener.h"

/* Listens where a forward says: "localhost" means both loopback addresses with
   one port, as ssh(1) and sshd(8) do it, which takes two sockets. "*" is every
   address of both families, anything else one address in text. */
#define WR_BIND_MAX 2

/* Where a remote forward for `host` listens, as sshd(8) reads the address. Without
   gateway_ports that is loopback, whatever was asked for; 127.0.0.1 and ::1
   choose one of the two. false: no address of ours can be meant. */
bool wr_bind_choose(const char *host, bool gateway_ports,
                    char bind[WR_HOST_MAX + 1]);
/* out[1] is NULL if one socket does. 0 or the system's error. */
WR_NODISCARD int wr__bind_tcp(wr_ctx *ctx, const char *host, uint16_t port,
                              const wr_listener_handler *handler, void *user,
                              wr_listener *out[WR_BIND_MAX]);
uint16_t wr__bind_port(const wr_listener *l);

#endif /* !defined(WR_PROXY_BIND_H) */
