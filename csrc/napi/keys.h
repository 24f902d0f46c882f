#ifndef WR_NAPI_KEYS_H
#define WR_NAPI_KEYS_H

#include "napi/args.h"
#include "ssh/key.h"

#define WRN_LINE_MAX ((size_t)64 * 1024) /* of a public key with its comment */

/* Borrowed. NULL if there is no such key. */
wr_key *wrn_key_get(wrn_env *env, uint32_t id);
/* The public key as one line without comment and line feed. *out is freed by
   the caller, also after an error. */
WR_NODISCARD int wrn_blob_line(wr_mem *mem, wr_slice blob, wr_buf *out);
/* Reads "type base64 …" into a blob; as above. */
WR_NODISCARD int wrn_blob_read(wr_mem *mem, const char *line, wr_buf *out);

#endif /* !defined(WR_NAPI_KEYS_H) */
