#ifndef WR_BASE_WIRE_H
#define WR_BASE_WIRE_H

#include "base/common.h"

/* A reader over borrowed bytes (RFC 4251, section 5). Once a read fails every
   later one does, so a run of reads needs one check at its end. */
typedef struct wr_rd {
  const uint8_t *p; /* next byte */
  size_t left;      /* bytes from there on */
  bool bad;         /* a read went past the end */
} wr_rd;

void wr_rd_init(wr_rd *r, const void *data, size_t len);
/* 0 on failure; check r->bad. */
uint8_t wr_rd_u8(wr_rd *r);
uint16_t wr_rd_u16(wr_rd *r);
uint32_t wr_rd_u32(wr_rd *r);
uint64_t wr_rd_u64(wr_rd *r);
bool wr_rd_bool(wr_rd *r);
/* len raw bytes; {NULL, 0} on failure. */
wr_slice wr_rd_bytes(wr_rd *r, size_t len);
/* uint32 length, then the bytes; borrowed. {NULL, 0} on failure. */
wr_slice wr_rd_string(wr_rd *r);
/* True if nothing failed and nothing is left. */
bool wr_rd_done(const wr_rd *r);

/* All of a C string but its zero; borrowed. */
wr_slice wr_slice_of(const char *cstr);
bool wr_slice_eq(wr_slice s, const char *cstr);
bool wr_slice_same(wr_slice a, wr_slice b);
/* As wr_slice_eq; letters of US-ASCII compare without case. */
bool wr_slice_eq_nocase(wr_slice s, const char *cstr);
/* True if a zero byte is among them: such a string is never a name or path. */
bool wr_slice_has_nul(wr_slice s);
/* Letters of US-ASCII only. */
uint8_t wr_lower(uint8_t c);

void wr_put_u16(uint8_t *p, uint16_t v);
void wr_put_u32(uint8_t *p, uint32_t v);
void wr_put_u64(uint8_t *p, uint64_t v);
uint32_t wr_get_u32(const uint8_t *p);

/* Base64 (RFC 4648, section 4). Encoding: returns the length without the zero
   that it adds; dst needs wr_base64_len(n) + 1 bytes. Decoding: strict (no other
   characters, unused bits zero, padding in full or not at all); returns the
   length or WR_EMALFORMED; dst needs 3 * (len / 4) + 3 bytes, of which the
   first ones are written even on failure. */
size_t wr_base64_len(size_t n);
size_t wr_base64_encode(char *dst, const uint8_t *src, size_t n, bool padded);
long wr_base64_decode(uint8_t *dst, const char *src, size_t len);

/* An unsigned decimal number of digits only, no sign, no blanks, at most max.
   0 or WR_EMALFORMED. */
WR_NODISCARD int wr_parse_uint(const char *s, size_t len, uint64_t max,
                               uint64_t *out);

#endif /* !defined(WR_BASE_WIRE_H) */
