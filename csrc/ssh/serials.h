#ifndef WR_SSH_SERIALS_H
#define WR_SSH_SERIALS_H

#include "base/mem.h"

/* A set of serial numbers of certificates: any mixture of single ones, ranges
   and bitmaps, in memory of about the size in which a key revocation list has
   them. It is filled, sealed, and then asked. */

typedef struct wr__pair {
  uint64_t key;   /* what the list is sorted by */
  uint64_t value; /* the last serial of a range, or the bits of a word */
} wr__pair;

typedef struct wr__pairs {
  wr__pair *at;
  size_t count;
  size_t cap;
  bool unsorted; /* something was added that does not come last */
} wr__pairs;

/* All private. */
typedef struct wr__serials {
  wr__pairs ranges; /* first serial, last serial */
  wr__pairs words;  /* serial / 64, a bit for each of these 64 serials */
} wr__serials;

/* Zeroes are an empty set. */
void wr__serials_reset(wr_mem *mem, wr__serials *s);
/* first <= last. 0, WR_ENOMEM. */
WR_NODISCARD int wr__serials_add_range(wr_mem *mem, wr__serials *s,
                                       uint64_t first, uint64_t last);
/* Bit n of the eight stands for serial first + n. What lies behind the largest
   serial is lost: the caller sees to it. 0, WR_ENOMEM. */
WR_NODISCARD int wr__serials_add_bits(wr_mem *mem, wr__serials *s,
                                      uint64_t first, uint8_t bits);
/* To be called after the last serial was added and before the first is asked
   for. */
void wr__serials_seal(wr_mem *mem, wr__serials *s);
bool wr__serials_has(const wr__serials *s, uint64_t serial);

#endif /* !defined(WR_SSH_SERIALS_H) */
