#ifndef WR_NET_WS_H
#define WR_NET_WS_H

#include "net/link.h"

/* WebSocket (RFC 6455) after its handshake: a link over a link. What is written
   goes out in binary frames; the payload of binary messages, however they are cut
   into frames, is what is read. Pings are answered: the latest one, should they
   come faster than answers go out, and none while the owner does not read. What
   breaks the protocol ends the link with WR_EWS_PROTOCOL, after a Close frame with
   the code that says why.

   The end of a direction. RFC 6455 has no half-close, but its Close frame is the
   sender's last one and the peer may still finish what it is saying. So shutdown
   sends Close after what was written; the peer's Close is on_eof, and is answered
   by our own shutdown or close. Between two links of this kind the directions are
   independent; other implementations answer a Close at once and then say nothing
   more, which cuts off what they had not written by then. SSH is not touched: it
   ends by messages of its own. A connection that ends without a Close frame has
   failed: WR_EEOF.

   An orderly close sends what was taken and a Close frame, then waits a moment for
   the peer's, as a socket that is closed before may take our last bytes with it. A
   reset goes to the inner link as it is, without a frame. */
#define WR_WS_FRAME_MAX ((size_t)64 * 1024) /* payload of a frame of ours */
#define WR_WS_TAKE_MAX ((uint64_t)16 * 1024 * 1024) /* of one of the peer's */
#define WR_WS_LINGER_MS 30000
#define WR_WS_ANSWER_MS 2000

typedef enum wr_ws_role { WR_WS_CLIENT = 0, WR_WS_SERVER } wr_ws_role;

typedef struct wr_ws_opts {
  wr_ws_role role;
  uint64_t max_frame; /* payload of one frame of the peer; 0: WR_WS_TAKE_MAX.
                         It bounds no memory: payload is never collected. */
  /* Our own pings, so that nothing on the way thinks the connection idle; 0:
     none. Whether the peer lives is for SSH to find out. */
  uint64_t ping_ms;
  uint64_t linger_ms; /* how long the last bytes may take; 0: WR_WS_LINGER_MS */
  uint64_t answer_ms; /* the peer's Close, after that; 0: WR_WS_ANSWER_MS */
} wr_ws_opts;

/* Takes over inner, whose handler it sets. first: goes out before all frames (the
   end of a handshake); copied. 0 or WR_ENOMEM (inner is still the caller's). */
WR_NODISCARD int wr_ws_new(wr_link *inner, const wr_ws_opts *opts,
                           wr_slice first, wr_link **out);

#endif /* !defined(WR_NET_WS_H) */
