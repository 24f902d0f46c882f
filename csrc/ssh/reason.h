#ifndef WR_SSH_REASON_H
#define WR_SSH_REASON_H

#include "base/common.h"

/* Why a channel could not be opened: reason codes of RFC 4254, section 5.1, with
   a fixed token in the description. Never a name or address. */
#define WR_REASON_PROHIBITED 1u
#define WR_REASON_CONNECT_FAILED 2u
#define WR_REASON_UNKNOWN_TYPE 3u
#define WR_REASON_SHORTAGE 4u

typedef struct wr_reason {
  uint32_t code;
  const char *token;
} wr_reason;

/* For an error of ours or of libuv's. */
wr_reason wr__reason_from_error(int err);
/* WR_ECHANNEL_*, from what a peer says: our tokens, the texts of the C library's
   errors that sshd passes on, else the code alone. */
int wr__reason_to_error(uint32_t code, wr_slice text);

#endif /* !defined(WR_SSH_REASON_H) */
