#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/errors.h"
#include "net/tls_internal.h"

#define PEM_MAX ((size_t)1 << 20)
#define ROOTS_MAX ((size_t)16 << 20)
/* A longer chain would not fit into the first flight's buffer. */
#define CHAIN_DER_MAX ((size_t)64 * 1024)

static BIO *open_text(wr_slice text, size_t max) {
  return text.len > max ? NULL : BIO_new_mem_buf(text.data, (int)text.len);
}

/* No more PEM blocks, rather than a broken one. */
static bool at_end(void) {
  unsigned long e = ERR_peek_last_error();
  return ERR_GET_LIB(e) == ERR_LIB_PEM &&
         ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

/* The next certificate or NULL; no program asks for a passphrase here. */
static int on_pem_password(char *buf, int size, int writing, void *data) {
  bool *asked = data;
  WR_UNUSED(buf);
  WR_UNUSED(size);
  WR_UNUSED(writing);
  *asked = true;
  return -1;
}

static X509 *next_cert(BIO *bio) {
  bool asked = false;
  ERR_clear_error();
  return PEM_read_bio_X509(bio, NULL, on_pem_password, &asked);
}

static int add_intermediates(SSL_CTX *ssl, BIO *bio, size_t der,
                             const char **why) {
  X509 *cert = next_cert(bio);
  while (cert != NULL) {
    der += (size_t)WR_MAX(i2d_X509(cert, NULL), 0);
    if (der > CHAIN_DER_MAX || SSL_CTX_add0_chain_cert(ssl, cert) != 1) {
      X509_free(cert);
      *why = der > CHAIN_DER_MAX ? "the chain is too long"
                                 : "a certificate of the chain is too weak";
      return WR_ETLS_CHAIN;
    }
    cert = next_cert(bio);
  }
  if (!at_end()) {
    *why = "a certificate of the chain is malformed";
    return WR_ETLS_CHAIN;
  }
  return 0;
}

int wr__tls_load_chain(SSL_CTX *ssl, wr_slice chain, const char **why) {
  BIO *bio = open_text(chain, PEM_MAX);
  X509 *leaf = bio == NULL ? NULL : next_cert(bio);
  int err = WR_ETLS_CHAIN;
  if (leaf == NULL) {
    *why = at_end() ? "there is no PEM certificate"
                    : "the certificate is malformed";
  } else if (SSL_CTX_use_certificate(ssl, leaf) != 1) {
    *why = "the certificate's key or signature is too weak";
  } else {
    err = add_intermediates(ssl, bio, (size_t)WR_MAX(i2d_X509(leaf, NULL), 0),
                            why);
  }
  X509_free(leaf);
  BIO_free(bio);
  ERR_clear_error();
  return err;
}

static int use_key(SSL_CTX *ssl, EVP_PKEY *pkey, const char **why) {
  X509 *leaf = SSL_CTX_get0_certificate(ssl);
  if (X509_check_private_key(leaf, pkey) != 1) {
    *why = "the key does not belong to the certificate";
    return WR_ECERT_MISMATCH;
  }
  if (SSL_CTX_use_PrivateKey(ssl, pkey) != 1) {
    *why = "the key is of a kind that TLS does not use";
    return WR_EKEY_FORMAT;
  }
  return 0;
}

int wr__tls_load_key(SSL_CTX *ssl, wr_slice key, const char **why) {
  bool asked = false;
  BIO *bio = open_text(key, PEM_MAX);
  int err = WR_EKEY_FORMAT;
  EVP_PKEY *pkey = NULL;
  ERR_clear_error();
  if (bio != NULL) {
    pkey = PEM_read_bio_PrivateKey(bio, NULL, on_pem_password, &asked);
  }
  if (pkey != NULL) {
    err = use_key(ssl, pkey, why);
  } else if (asked) {
    err = WR_EKEY_PASSPHRASE;
    *why = "the key is encrypted";
  } else {
    *why = "there is no PEM private key";
  }
  EVP_PKEY_free(pkey);
  BIO_free(bio);
  ERR_clear_error();
  return err;
}

int wr__tls_load_roots(SSL_CTX *ssl, wr_slice pem, const char *file,
                       const char **why) {
  BIO *bio = pem.len > 0 ? open_text(pem, ROOTS_MAX) : BIO_new_file(file, "rb");
  X509_STORE *store = SSL_CTX_get_cert_store(ssl);
  size_t n = 0;
  bool added = true;
  X509 *cert = bio == NULL ? NULL : next_cert(bio);
  while (cert != NULL && added) {
    added = X509_STORE_add_cert(store, cert) == 1;
    X509_free(cert);
    n++;
    cert = added ? next_cert(bio) : NULL;
  }
  bool whole = bio != NULL && added && at_end();
  BIO_free(bio);
  ERR_clear_error();
  if (n > 0 && whole) {
    return 0;
  }
  *why = n == 0 ? "there is no PEM certificate" : "a certificate is malformed";
  return WR_ETLS_ROOTS;
}
