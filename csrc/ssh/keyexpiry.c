#include <string.h>
#include <time.h>

#include "base/wire.h"
#include "ssh/keyopts_internal.h"

/* Calendar time, valid. */
typedef struct moment {
  uint64_t year, month, day; /* month and day from 1 */
  uint64_t hour, minute, second;
} moment;

static bool is_leap(uint64_t year) {
  return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint64_t days_of(uint64_t year, uint64_t month) {
  static const uint8_t days[] = {31, 28, 31, 30, 31, 30,
                                 31, 31, 30, 31, 30, 31};
  return days[month - 1] + (month == 2 && is_leap(year) ? 1U : 0U);
}

static bool take_number(const char **s, size_t digits, uint64_t min,
                        uint64_t max, uint64_t *out) {
  int err = wr_parse_uint(*s, digits, max, out);
  *s += digits;
  return err == 0 && *out >= min;
}

/* YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS. */
static bool read_moment(const char *s, size_t len, moment *m) {
  *m = (moment){0};
  if ((len != 8 && len != 12 && len != 14) ||
      !take_number(&s, 4, 0, 9999, &m->year) ||
      !take_number(&s, 2, 1, 12, &m->month) ||
      !take_number(&s, 2, 1, days_of(m->year, m->month), &m->day)) {
    return false;
  }
  if (len >= 12 && (!take_number(&s, 2, 0, 23, &m->hour) ||
                    !take_number(&s, 2, 0, 59, &m->minute))) {
    return false;
  }
  return len < 14 || take_number(&s, 2, 0, 59, &m->second);
}

/* 0 before 1970. */
static uint64_t utc_seconds(const moment *m) {
  uint64_t days = m->day - 1;
  if (m->year < 1970) {
    return 0;
  }
  for (uint64_t year = 1970; year < m->year; year++) {
    days += is_leap(year) ? 366 : 365;
  }
  for (uint64_t month = 1; month < m->month; month++) {
    days += days_of(m->year, month);
  }
  return ((days * 24 + m->hour) * 60 + m->minute) * 60 + m->second;
}

/* 0 before 1970. As sshd has it, this is the time without daylight saving also
   in summer. */
static uint64_t local_seconds(const moment *m) {
  struct tm tm = {.tm_year = (int)m->year - 1900,
                  .tm_mon = (int)m->month - 1,
                  .tm_mday = (int)m->day,
                  .tm_hour = (int)m->hour,
                  .tm_min = (int)m->minute,
                  .tm_sec = (int)m->second};
  time_t t = mktime(&tm);
  return t < 0 ? 0 : (uint64_t)t;
}

static bool ends_with(wr_slice s, const char *end) {
  size_t n = strlen(end);
  return s.len > n &&
         wr_slice_eq_nocase((wr_slice){s.data + s.len - n, n}, end);
}

uint64_t wr__expiry_read(wr_slice text) {
  size_t tail = ends_with(text, "Z") ? 1 : ends_with(text, "UTC") ? 3 : 0;
  moment m;
  if (!read_moment((const char *)text.data, text.len - tail, &m)) {
    return 0;
  }
  return tail > 0 ? utc_seconds(&m) : local_seconds(&m);
}
