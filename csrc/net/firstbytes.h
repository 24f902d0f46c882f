#ifndef WR_NET_FIRSTBYTES_H
#define WR_NET_FIRSTBYTES_H

#include "net/http_head.h"
#include "net/knock.h"

/* What the first bytes of a connection, decrypted, say it is: a tunnel, or a
   visitor of the web site. Sans-IO, and nothing is consumed: whoever answers in
   the end gets all bytes from the first one on.

   The answer depends on the bytes alone, not on how they are split, and takes no
   more of them than it needs. A connection goes to the web site at the byte that
   no tunnel sends, so that the site can complain when a web server would. What is
   secret (the path, the proof) is looked at only once the whole head is there:
   until then all requests that a web server would wait with are waited with.

   Time is the owner's: nginx waits 60 s for a head (client_header_timeout); what
   has not become anything by then is the web site's to answer. */
/* Most that are needed by default. nginx has four buffers of 8 KiB; however lines
   fall into them there is room for this much, so what is waited with is never so
   large that nginx would complain. */
#define WR_FIRSTBYTES_MAX ((size_t)16 * 1024)

typedef enum wr_first {
  WR_FIRST_MORE = 0, /* more bytes are needed */
  WR_FIRST_SSH,      /* an SSH banner begins */
  WR_FIRST_UPGRADE, /* head.len bytes ask for the tunnel; key is to be answered */
  WR_FIRST_DECOY    /* everything else */
} wr_first;

typedef struct wr_firstbytes_opts {
  bool ssh;         /* an SSH banner counts: without a secret, or under a right
                       knock */
  const char *path; /* of the upgrade, wr_ws_path_ok(); NULL: there is none */
  /* The proof; an empty secret asks for none. All of it has to stay. */
  wr_slice secret;
  wr_slice exporter; /* of the TLS connection; empty where TLS ends elsewhere */
  wr_knock_cache *cache;
  size_t line_max; /* 0: WR_HTTP_LINE_MAX */
  size_t head_max; /* 0: WR_FIRSTBYTES_MAX */
} wr_firstbytes_opts;

typedef struct wr_firstbytes {
  /* read-only */
  wr_first verdict;
  wr_http_head head;      /* of WR_FIRST_UPGRADE */
  wr_slice key;           /* its Sec-WebSocket-Key, in the text that was fed */
  bool knocked;           /* a proof for our path was looked at */
  wr_knock_verdict knock; /* what it was found to be */
  /* private */
  const wr_firstbytes_opts *opts;
} wr_firstbytes;

/* opts is borrowed. */
void wr_firstbytes_init(wr_firstbytes *f, const wr_firstbytes_opts *opts);
/* data: everything from the first byte on, len bytes so far, which are those of
   the calls before and more. now_s: seconds since 1970, for the proof. Returns the
   verdict; after one that is not MORE nothing is fed. */
wr_first wr_firstbytes_feed(wr_firstbytes *f, const uint8_t *data, size_t len,
                            uint64_t now_s);

#endif /* !defined(WR_NET_FIRSTBYTES_H) */
