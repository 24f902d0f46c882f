#include "ssh/identity.h"

#include <string.h>

#include "base/errors.h"

static void free_slice(wr_mem *mem, wr_slice s) {
  wr_free(mem, (void *)(uintptr_t)s.data);
}

static int copy_slice(wr_mem *mem, wr_slice from, wr_slice *out) {
  uint8_t *data = wr_alloc(mem, from.len);
  if (data == NULL) {
    return WR_ENOMEM;
  }
  memcpy(data, from.data, from.len);
  *out = (wr_slice){data, from.len};
  return 0;
}

static int copy_one(wr_mem *mem, const wr_identity *from, wr_identity *out) {
  wr_slice blob = from->blob;
  if (blob.len == 0) {
    WR_ASSERT(from->key != NULL);
    blob = wr_key_blob(from->key);
  }
  wr_slice signer = from->signer.len != 0 ? from->signer : blob;
  out->key = from->key == NULL ? NULL : wr_key_ref(from->key);
  int rc = copy_slice(mem, blob, &out->blob);
  return rc != 0 ? rc : copy_slice(mem, signer, &out->signer);
}

int wr_identities_copy(wr_mem *mem, const wr_identity *from, size_t n,
                       wr_identity **out) {
  wr_identity *list = NULL;
  int rc = 0;
  if (n > 0) {
    list = wr_calloc(mem, n, sizeof(*list));
    rc = list == NULL ? WR_ENOMEM : 0;
  }
  for (size_t i = 0; i < n && rc == 0; i++) {
    rc = copy_one(mem, &from[i], &list[i]);
  }
  if (rc != 0) {
    wr_identities_free(mem, list, n);
    return rc;
  }
  *out = list;
  return 0;
}

void wr_identities_free(wr_mem *mem, wr_identity *list, size_t n) {
  for (size_t i = 0; list != NULL && i < n; i++) {
    wr_key_unref(list[i].key);
    free_slice(mem, list[i].blob);
    free_slice(mem, list[i].signer);
  }
  wr_free(mem, list);
}
