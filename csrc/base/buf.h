#ifndef WR_BASE_BUF_H
#define WR_BASE_BUF_H

#include "base/mem.h"

/* A byte queue in one contiguous block: append at the end, consume at the
   front. Its maximum is given at the start; it never holds more. */
typedef struct wr_buf {
  /* read-only */
  uint8_t *data; /* the first unread byte; NULL while nothing is allocated */
  size_t len;    /* unread bytes */
  size_t max;    /* most unread bytes it may hold */
  /* private */
  uint8_t *block;
  size_t cap;
  wr_mem *mem;
} wr_buf;

/* Allocates nothing. max in bytes, > 0. */
void wr_buf_init(wr_buf *b, wr_mem *mem, size_t max);
/* Frees the block; the buffer may be used again. */
void wr_buf_reset(wr_buf *b);
/* As wr_buf_reset, after clearing the block (secrets). */
void wr_buf_wipe(wr_buf *b);

/* 0, WR_ELIMIT or WR_ENOMEM; nothing was added then. data must not lie in the
   buffer. */
WR_NODISCARD int wr_buf_append(wr_buf *b, const void *data, size_t len);
/* Room for len more bytes at b->data + b->len, without growing b->len. */
WR_NODISCARD int wr_buf_reserve(wr_buf *b, size_t len);
/* Takes n bytes that were written into reserved room. */
void wr_buf_commit(wr_buf *b, size_t n);
/* Drops n <= len bytes from the front. An empty buffer keeps its block. */
void wr_buf_consume(wr_buf *b, size_t n);
/* Bytes that may still be appended. */
size_t wr_buf_room(const wr_buf *b);

/* Big-endian writers of the SSH wire (RFC 4251, section 5); errors as
   wr_buf_append. */
WR_NODISCARD int wr_buf_put_u8(wr_buf *b, uint8_t v);
WR_NODISCARD int wr_buf_put_u32(wr_buf *b, uint32_t v);
WR_NODISCARD int wr_buf_put_u64(wr_buf *b, uint64_t v);
/* uint32 length, then the bytes. */
WR_NODISCARD int wr_buf_put_string(wr_buf *b, const void *data, size_t len);
WR_NODISCARD int wr_buf_put_cstring(wr_buf *b, const char *s);
/* printf into the buffer, without a terminating zero. WR_EINVAL if the C library
   cannot print it. */
WR_NODISCARD int wr_buf_printf(wr_buf *b, const char *fmt, ...) WR_PRINTF(2, 3);

#endif /* !defined(WR_BASE_BUF_H) */
