#ifndef WR_NAPI_JSON_H
#define WR_NAPI_JSON_H

#include "base/buf.h"

/* One JSON object of simple members, in order. The first failure is kept and
   the calls after it do nothing. */
typedef struct wrn_json {
  wr_buf buf; /* read-only */
  int err;    /* read-only */
  bool any;   /* private: has members */
} wrn_json;

void wrn_json_begin(wrn_json *j, wr_mem *mem);
/* text may hold any bytes; what is not UTF-8 is left to the reader. NULL: "". */
void wrn_json_str(wrn_json *j, const char *key, const char *text);
void wrn_json_bytes(wrn_json *j, const char *key, wr_slice text);
/* A string of its base64, for bytes that are no text. */
void wrn_json_base64(wrn_json *j, const char *key, wr_slice bytes);
void wrn_json_num(wrn_json *j, const char *key, int64_t value);
void wrn_json_bool(wrn_json *j, const char *key, bool value);
/* An array of strings: its items stand between the two calls. */
void wrn_json_list_begin(wrn_json *j, const char *key);
void wrn_json_list_item(wrn_json *j, wr_slice text);
void wrn_json_list_end(wrn_json *j);
/* text is JSON already. */
void wrn_json_raw(wrn_json *j, const char *key, wr_slice text);
/* 0 or what went wrong. */
WR_NODISCARD int wrn_json_end(wrn_json *j);
void wrn_json_free(wrn_json *j);

#endif /* !defined(WR_NAPI_JSON_H) */
