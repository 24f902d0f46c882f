#ifndef WR_PROXY_INBOUND_INTERNAL_H
#define WR_PROXY_INBOUND_INTERNAL_H

#include "proxy/inbound.h"

/* Between inbound.c, which tells the protocols apart, and one file for each. All
   of them look at in->in, which holds the bytes of the current step. */
typedef enum inbound_step {
  STEP_START = 0,
  STEP_SOCKS5_METHODS,
  STEP_SOCKS5_AUTH,
  STEP_SOCKS5_REQUEST,
  STEP_SOCKS4,
  STEP_HTTP,
  STEP_DONE
} inbound_step;

#define SOCKS4_HEAD ((size_t)8) /* version, command, port, address */
/* Two texts with their zeros are the longest request. */
#define SOCKS4_MAX (SOCKS4_HEAD + (size_t)2 * (WR_HOST_MAX + 1))

/* Bytes of the step in all, as far as in->in tells; the step is complete once
   they are there. */
size_t wr__socks5_need(const wr_inbound *in);
/* The step is complete. */
WR_NODISCARD int wr__socks5_step(wr_inbound *in);
WR_NODISCARD int wr__socks5_reply(wr_inbound *in, uint8_t code);
/* Bytes were added, at most up to a zero. */
WR_NODISCARD int wr__socks4_step(wr_inbound *in);
WR_NODISCARD int wr__socks4_reply(wr_inbound *in, bool granted);
/* Bytes were added, at most up to a line feed. */
WR_NODISCARD int wr__http_step(wr_inbound *in);
/* text is fixed and names no destination. The state becomes FAILED. */
WR_NODISCARD int wr__http_error(wr_inbound *in, int status, const char *text);

/* Ends the request with the target that was read. */
void wr__inbound_connect(wr_inbound *in);
void wr__inbound_failed(wr_inbound *in);
/* False for an empty or too long one and for bytes that are in no name. */
bool wr__inbound_set_host(wr_inbound *in, wr_slice host);
/* Takes the same time wherever a wrong one differs. */
bool wr__inbound_password_ok(const wr_inbound *in, wr_slice user,
                             wr_slice password);

#endif /* !defined(WR_PROXY_INBOUND_INTERNAL_H) */
