#ifndef WR_NET_STREAM_INTERNAL_H
#define WR_NET_STREAM_INTERNAL_H

#include "loop/timer.h"
#include "net/stream.h"

/* Most that a stream buffers for a socket that takes no more. */
#define WBUF_SIZE ((size_t)16 * 1024)
/* One read. More would only make the rest that has to be kept larger when the
   other side is slow. */
#define READ_SIZE ((size_t)64 * 1024)

typedef enum stream_state {
  STREAM_NEW = 0,    /* not connected */
  STREAM_CONNECTING, /* connect_cb is owed */
  STREAM_OPEN,
  STREAM_LINGERING, /* closed by the owner, the last bytes are on their way */
  STREAM_CLOSED     /* uv_close() was called; only on_close is to come */
} stream_state;

struct wr_stream {
  wr_link link;
  union {
    uv_handle_t handle;
    uv_stream_t stream;
    uv_tcp_t tcp;
    uv_pipe_t pipe;
  } u;
  uv_connect_t connect_req;
  uv_write_t write_req;
  uv_shutdown_t shutdown_req;
  wr_stream_connect_cb connect_cb;
  wr_timer linger;
  wr_obj obj;   /* in teardown's list while the stream lingers without owner */
  wr_task task; /* offers the rest again; starts the socket's reading */
  stream_state state;
  int status;         /* for on_close; set while open: a write has failed */
  bool reading;       /* the owner wants bytes */
  bool uv_reading;    /* uv_read_start() is in force */
  bool postponed;     /* the owner had no memory for the read just now */
  bool eof;           /* the peer has ended; on_eof was called */
  bool writing;       /* write_req is under way */
  bool want_writable; /* on_writable is owed */
  bool shut;          /* our direction has ended */
  uint8_t *wbuf;      /* WBUF_SIZE, while the socket is congested */
  uint8_t *rest;      /* what the owner did not take; NULL: nothing */
  size_t rest_at;     /* first byte of it that counts */
  size_t rest_len;    /* bytes of it that count */
  /* From the start: the system forgets it when the connection ends. */
  struct sockaddr_in6 peer; /* or a sockaddr_in; family 0: unknown */
  uint64_t bytes_in;
  uint64_t bytes_out;
};

wr_stream *wr__stream_of(wr_link *link);
/* Ends the stream because of an error. */
void wr__stream_fail(wr_stream *s, int status);

int wr__stream_read_start(wr_link *link);
void wr__stream_read_stop(wr_link *link);
/* Stops reading for good. */
void wr__stream_stop(wr_stream *s);
void wr__stream_on_task(wr_task *task);
/* Reads away what has arrived: closing a socket with unread bytes makes the
   kernel send a reset, which may destroy our own last bytes on their way. */
void wr__stream_discard_input(wr_stream *s);

/* sa: an address of the internet; anything else is not kept. */
void wr__stream_set_peer(wr_stream *s, const struct sockaddr *sa);

/* 0, or why this path can be no Unix socket. */
int wr__unix_path_check(const char *path);

#endif /* !defined(WR_NET_STREAM_INTERNAL_H) */
