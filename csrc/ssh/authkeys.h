#ifndef WR_SSH_AUTHKEYS_H
#define WR_SSH_AUTHKEYS_H

#include "base/map.h"
#include "ssh/key.h"

/* authorized_keys: which public keys may log in. Immutable once made; a reload
   makes a new one. Options in front of a key are refused as a whole file's
   error until they can be enforced: never accepted with options ignored. */
typedef struct wr_authkeys wr_authkeys;

#define WR_AUTHKEYS_FILE_MAX ((size_t)16 * 1024 * 1024)

/* On error *line is the line at fault (from 1), 0 if it is none in particular.
   WR_EKEY_OPTIONS, WR_EKEY_TYPE, WR_EKEY_FORMAT, WR_ENOMEM. Blank lines and
   lines that begin with '#' are skipped; CRLF is fine. */
WR_NODISCARD int wr_authkeys_parse(wr_mem *mem, uint64_t seed, const char *text,
                                   size_t len, wr_authkeys **out, size_t *line);
void wr_authkeys_free(wr_authkeys *keys);
bool wr_authkeys_has(const wr_authkeys *keys, wr_slice blob);
size_t wr_authkeys_count(const wr_authkeys *keys);

#endif /* !defined(WR_SSH_AUTHKEYS_H) */
