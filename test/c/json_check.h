#ifndef WR_TEST_C_JSON_CHECK_H
#define WR_TEST_C_JSON_CHECK_H

/* A strict checker for one flat JSON object in ASCII, as the log writes it:
   strings and whole numbers only, no blanks between the tokens. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The position after a string, NULL if there is no valid one. */
static const char *json_skip_string(const char *p) {
  if (*p++ != '"') {
    return NULL;
  }
  while (*p != '"') {
    if (*p < ' ' || *p > '~') {
      return NULL;
    }
    if (*p++ != '\\') {
      continue;
    }
    if (*p == 'u') {
      if (strspn(p + 1, "0123456789abcdefABCDEF") < 4) {
        return NULL;
      }
      p += 5;
    } else if (*p != '\0' && strchr("\"\\/bfnrt", *p) != NULL) {
      p++;
    } else {
      return NULL;
    }
  }
  return p + 1;
}

/* The same for a whole number: no plus, no leading zero. */
static const char *json_skip_int(const char *p) {
  p += *p == '-' ? 1 : 0;
  size_t n = strspn(p, "0123456789");
  return n == 0 || (n > 1 && *p == '0') ? NULL : p + n;
}

/* The number of members; -1 if the text is anything but one such object. */
static int json_members(const char *p) {
  int n = 0;
  if (strcmp(p, "{}") == 0) {
    return 0;
  }
  if (*p != '{') {
    return -1;
  }
  do {
    p = json_skip_string(p + 1);
    if (p == NULL || *p++ != ':') {
      return -1;
    }
    p = *p == '"' ? json_skip_string(p) : json_skip_int(p);
    if (p == NULL) {
      return -1;
    }
    n++;
  } while (*p == ',');
  return strcmp(p, "}") == 0 ? n : -1;
}

#endif /* !defined(WR_TEST_C_JSON_CHECK_H) */
