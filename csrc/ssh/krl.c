#include "ssh/krl.h"

#include <string.h>

#include "base/errors.h"
#include "ssh/verify.h"

static const uint8_t magic[8] = {'S', 'S', 'H', 'K', 'R', 'L', '\n', '\0'};
#define FORMAT_VERSION 1

enum {
  SECTION_CERTIFICATES = 1,
  SECTION_KEYS = 2,
  SECTION_SHA1 = 3,
  SECTION_SHA256 = 5,
  SECTION_EXTENSION = 255,
  CERTS_SERIAL_LIST = 0x20,
  CERTS_SERIAL_RANGE = 0x21,
  CERTS_SERIAL_BITMAP = 0x22,
  CERTS_KEY_IDS = 0x23,
  CERTS_EXTENSION = 0x39,
};

/* Where what is read goes to. */
typedef struct sink {
  wr__revlist *list;
  const wr__keyhash *hash;
  wr__revcerts *certs; /* of the section's authority */
} sink;

/* Reads one item from r, or all of a section. */
typedef int (*read_fn)(sink *to, wr_rd *r);

/* The bytes of a section are a run of items. */
static int read_items(sink *to, wr_slice section, read_fn item) {
  wr_rd r;
  wr_rd_init(&r, section.data, section.len);
  while (r.left > 0) {
    int err = item(to, &r);
    if (err == 0 && r.bad) {
      err = WR_EKEY_FORMAT;
    }
    if (err != 0) {
      return err;
    }
  }
  return 0;
}

/* What is in front of a section's bytes: one of the numbers above. */
static uint8_t read_head(wr_rd *r, wr_slice *section) {
  uint8_t type = wr_rd_u8(r);
  *section = wr_rd_string(r);
  return type;
}

/* Nothing is known of any extension, so that only the harmless ones will do. */
static int read_extension(wr_slice section) {
  wr_rd r;
  wr_slice name;
  wr_rd_init(&r, section.data, section.len);
  wr_slice raw = wr_rd_string(&r);
  uint8_t critical = wr_rd_u8(&r);
  wr_rd_string(&r);
  bool fine = wr_rd_done(&r) && critical == 0 && wr__keyparts_text(raw, &name);
  return fine ? 0 : WR_EKEY_FORMAT;
}

/* Serial 0 cannot be revoked, here and below: certificates for which nobody
   chose a serial have it. */
static int read_serial(sink *to, wr_rd *r) {
  uint64_t serial = wr_rd_u64(r);
  if (serial == 0) {
    return WR_EKEY_FORMAT;
  }
  return wr__serials_add_bits(to->list->mem, &to->certs->serials, serial, 1);
}

static int read_range(sink *to, wr_slice section) {
  wr_rd r;
  wr_rd_init(&r, section.data, section.len);
  uint64_t first = wr_rd_u64(&r);
  uint64_t last = wr_rd_u64(&r);
  if (!wr_rd_done(&r) || first == 0 || first > last) {
    return WR_EKEY_FORMAT;
  }
  return wr__serials_add_range(to->list->mem, &to->certs->serials, first, last);
}

/* The index of the highest bit of a number without zeroes in front. */
static uint64_t top_bit(wr_slice number) {
  uint64_t n = (uint64_t)(number.len - 1) * 8;
  for (unsigned byte = number.data[0]; byte > 1; byte >>= 1) {
    n++;
  }
  return n;
}

/* A number whose bit n stands for serial first + n, written as an mpint; its
   zeroes in front do not count. */
static int add_bitmap(sink *to, uint64_t first, wr_slice bits) {
  while (bits.len > 0 && bits.data[0] == 0) {
    bits.data++;
    bits.len--;
  }
  if (bits.len == 0) {
    return 0;
  }
  if (top_bit(bits) > UINT64_MAX - first ||
      (first == 0 && (bits.data[bits.len - 1] & 1) != 0)) {
    return WR_EKEY_FORMAT;
  }
  for (size_t i = 0; i < bits.len; i++) {
    int err = wr__serials_add_bits(to->list->mem, &to->certs->serials,
                                   first + (uint64_t)i * 8,
                                   bits.data[bits.len - 1 - i]);
    if (err != 0) {
      return err;
    }
  }
  return 0;
}

/* OpenSSH writes larger bitmaps than it reads; there is no limit here, as a
   bitmap takes no more memory than its bytes in the file. */
static int read_bitmap(sink *to, wr_slice section) {
  wr_rd r;
  wr_rd_init(&r, section.data, section.len);
  uint64_t first = wr_rd_u64(&r);
  wr_slice bits = wr_rd_string(&r);
  bool negative = bits.len > 0 && bits.data[0] >= 0x80;
  if (!wr_rd_done(&r) || negative) {
    return WR_EKEY_FORMAT;
  }
  return add_bitmap(to, first, bits);
}

static int read_key_id(sink *to, wr_rd *r) {
  wr_slice id;
  if (!wr__keyparts_text(wr_rd_string(r), &id) || r->bad) {
    return WR_EKEY_FORMAT;
  }
  return wr__revlist_add_id(to->list, to->certs, id);
}

static int read_certs_section(sink *to, wr_rd *r) {
  wr_slice section;
  switch (read_head(r, &section)) {
  case CERTS_SERIAL_LIST:
    return read_items(to, section, read_serial);
  case CERTS_SERIAL_RANGE:
    return read_range(to, section);
  case CERTS_SERIAL_BITMAP:
    return read_bitmap(to, section);
  case CERTS_KEY_IDS:
    return read_items(to, section, read_key_id);
  case CERTS_EXTENSION:
    return read_extension(section);
  default:
    return WR_EKEY_FORMAT;
  }
}

/* One that nobody could have would revoke nothing. DSA and sk-ecdsa, which are not
   verified here, are taken as they are. */
static bool may_be_authority(wr_slice blob) {
  wr_slice type = wr_blob_type(blob);
  bool unverified = wr_slice_eq(type, "ssh-dss") ||
                    wr_slice_eq(type, "sk-ecdsa-sha2-nistp256@openssh.com");
  return wr__keyparts_plain(blob) && (unverified || wr_sig_key_usable(blob));
}

static int read_certs(sink *to, wr_slice section) {
  wr_rd r;
  wr_rd_init(&r, section.data, section.len);
  wr_slice authority = wr_rd_string(&r);
  wr_rd_string(&r); /* reserved */
  if (r.bad || (authority.len > 0 && !may_be_authority(authority))) {
    return WR_EKEY_FORMAT;
  }
  int err = wr__revlist_authority(to->list, authority, &to->certs);
  if (err != 0) {
    return err;
  }
  wr_slice rest = {r.p, r.left};
  return read_items(to, rest, read_certs_section);
}

/* A key of a type that is not known here may well be one of a newer OpenSSH. A
   certificate must not stand here, and would revoke nothing. */
static bool may_be_key(wr_slice blob) {
  wr_slice type = wr_blob_type(blob);
  if (type.len == 0) {
    return false;
  }
  return wr__key_type_known(type) ? wr__keyparts_plain(blob) : true;
}

static int read_key(sink *to, wr_rd *r) {
  wr__keyhashes hashes;
  wr_slice blob = wr_rd_string(r);
  if (!may_be_key(blob)) {
    return WR_EKEY_FORMAT;
  }
  if (!wr__keyhash_run(to->hash, blob, &hashes)) {
    return WR_ENOMEM;
  }
  return wr__revlist_add_sha256(to->list, hashes.sha256);
}

static int read_sha1(sink *to, wr_rd *r) {
  wr_slice hash = wr_rd_string(r);
  return hash.len == 20 ? wr__revlist_add_sha1(to->list, hash.data)
                        : WR_EKEY_FORMAT;
}

static int read_sha256(sink *to, wr_rd *r) {
  wr_slice hash = wr_rd_string(r);
  return hash.len == 32 ? wr__revlist_add_sha256(to->list, hash.data)
                        : WR_EKEY_FORMAT;
}

static int read_section(sink *to, wr_rd *r) {
  wr_slice section;
  switch (read_head(r, &section)) {
  case SECTION_CERTIFICATES:
    return read_certs(to, section);
  case SECTION_KEYS:
    return read_items(to, section, read_key);
  case SECTION_SHA1:
    return read_items(to, section, read_sha1);
  case SECTION_SHA256:
    return read_items(to, section, read_sha256);
  case SECTION_EXTENSION:
    return read_extension(section);
  default:
    return WR_EKEY_FORMAT;
  }
}

/* Only the version of the format matters. */
static bool read_header(wr_rd *r) {
  wr_slice comment;
  wr_rd_bytes(r, sizeof(magic));
  uint32_t version = wr_rd_u32(r);
  wr_rd_bytes(r, 3 * sizeof(uint64_t)); /* version of the list, date, flags */
  wr_rd_string(r);                      /* reserved */
  wr_slice raw = wr_rd_string(r);
  return !r->bad && version == FORMAT_VERSION &&
         wr__keyparts_text(raw, &comment);
}

bool wr__krl_is(wr_slice file) {
  return file.len >= sizeof(magic) &&
         memcmp(file.data, magic, sizeof(magic)) == 0;
}

int wr__krl_read(wr__revlist *list, const wr__keyhash *hash, wr_slice file) {
  sink to = {.list = list, .hash = hash};
  wr_rd r;
  wr_rd_init(&r, file.data, file.len);
  if (!read_header(&r)) {
    return WR_EKEY_FORMAT;
  }
  wr_slice sections = {r.p, r.left};
  return read_items(&to, sections, read_section);
}
