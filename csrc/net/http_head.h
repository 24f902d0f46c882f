#ifndef WR_NET_HTTP_HEAD_H
#define WR_NET_HTTP_HEAD_H

#include "base/common.h"

/* The head of an HTTP/1.x message (RFC 9112), read byte by byte: the bytes stay
   where the caller keeps them, the head only says where its parts lie. Strict:
   every line ends in CR LF, no folded lines, no control characters, and what
   servers are known to read in different ways is refused, not repaired. */
#define WR_HTTP_FIELDS_MAX 100
#define WR_HTTP_LINE_MAX ((size_t)8 * 1024)  /* with its CR LF */
#define WR_HTTP_HEAD_MAX ((size_t)32 * 1024) /* most that a head may have */

typedef enum wr_http_kind {
  WR_HTTP_REQUEST = 0,
  WR_HTTP_RESPONSE
} wr_http_kind;

/* Why a head is refused. */
typedef enum wr_http_fault {
  WR_HTTP_FINE = 0,
  WR_HTTP_BAD_START,   /* malformed request or status line */
  WR_HTTP_BAD_VERSION, /* neither 1.0 nor 1.1 nor another 1.x */
  WR_HTTP_BAD_FIELD,   /* malformed name, no colon, folded */
  WR_HTTP_BAD_VALUE,   /* control characters */
  WR_HTTP_BAD_END,     /* a line does not end in CR LF */
  WR_HTTP_MANY_FIELDS,
  WR_HTTP_LONG_LINE,
  WR_HTTP_LONG_HEAD
} wr_http_fault;

/* A part of the head's text. */
typedef struct wr_http_span {
  uint16_t at;
  uint16_t len;
} wr_http_span;

typedef struct wr_http_field {
  wr_http_span name;
  wr_http_span value; /* without the blanks around it */
} wr_http_field;

typedef struct wr_http_head {
  /* read-only */
  bool done;           /* the empty line was seen */
  wr_http_fault fault; /* of a failed feed */
  size_t len;          /* bytes read; all of the head's once it is done */
  wr_http_span method;
  wr_http_span target;
  wr_http_span version; /* "HTTP/1.1" */
  uint8_t minor;        /* the last digit of it */
  int status;           /* of a response */
  size_t n;
  wr_http_field fields[WR_HTTP_FIELDS_MAX];
  /* private */
  wr_http_kind kind;
  int step;
  size_t line; /* where the line began */
  size_t part; /* where the part of it began */
  size_t line_max;
  size_t head_max;
} wr_http_head;

/* Limits: 0 for those above; head_max is never more. */
void wr_http_head_init(wr_http_head *h, wr_http_kind kind, size_t line_max,
                       size_t head_max);
/* text: the message from its first byte, len bytes so far; only those that are
   new are looked at, the others must be the same as before. 0 (look at done),
   WR_EMALFORMED or WR_ELIMIT; fault tells more. Nothing is fed after an error
   or once it is done. */
WR_NODISCARD int wr_http_head_feed(wr_http_head *h, const uint8_t *text,
                                   size_t len);
wr_slice wr_http_text(const uint8_t *text, wr_http_span span);
/* The value of the first field of that name; *count says how many there are.
   {NULL, 0} if there is none. */
wr_slice wr_http_find(const wr_http_head *h, const uint8_t *text,
                      const char *name, size_t *count);
/* True if `token` is an element of such a field, whose value is a list with
   commas; letters compare without case. */
bool wr_http_lists(const wr_http_head *h, const uint8_t *text, const char *name,
                   wr_slice token);

/* Cuts s at the first such byte, which goes. False if there is none; then all
   of s is the first part. */
bool wr_http_cut(wr_slice *s, int byte, wr_slice *first);
/* Without the blanks and tabs around it. */
wr_slice wr_http_trim(wr_slice s);

#endif /* !defined(WR_NET_HTTP_HEAD_H) */
