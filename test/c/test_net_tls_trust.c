/* Who is let in by a TLS client, and what a server's certificate may be. */
#include "tls_help.h"

#include "net/tls_roots.h"

static const cert_spec host_spec = {
    .names = "DNS:a.test,DNS:*.wild.test,IP:127.0.0.1,IP:::1"};

static pki *host(void) {
  static pki p;
  if (p.cert == NULL) {
    pki_make(&p, &host_spec);
  }
  return &p;
}

/* One handshake with that client. Its status; the server has heard of it. */
static int try_client(const pki *p, const wr_tls_client_options *client,
                      const char *name) {
  tls_duo d;
  wr_tls_options none = {.server_name = NULL};
  wr_tls_options o = {.server_name = name};
  duo_open(&d, 65536);
  d.server_ctx = serve_with(&d.e, p);
  MUST(wr_tls_client_new(&d.e.ctx, client, &d.client_ctx, NULL) == 0);
  duo_start(&d, &none, &o);
  duo_run(&d);
  int status = d.client.status;
  if (status != 0) {
    EQ_INT(d.server.status != 0 ? 1 : 0, 1);
    CHECK(d.client.back == NULL && d.client.p.link == NULL);
  }
  duo_end(&d);
  return status;
}

static int try_name(const pki *p, const char *name) {
  wr_tls_client_options client = {.roots = p->ca_pem};
  return try_client(p, &client, name);
}

TEST(the_name_has_to_be_in_the_certificate) {
  static const struct {
    const char *name;
    int status;
  } all[] = {
      {"a.test", 0},
      {"A.TEST", 0},
      {"a.test.", 0},
      {"x.wild.test", 0},
      {"127.0.0.1", 0},
      {"::1", 0},
      {"b.test", WR_ETLS_NAME},
      {"test", WR_ETLS_NAME},
      {"x.y.wild.test", WR_ETLS_NAME},
      {"127.0.0.2", WR_ETLS_NAME},
      {"::2", WR_ETLS_NAME},
  };
  for (size_t i = 0; i < WR_COUNTOF(all); i++) {
    int status = try_name(host(), all[i].name);
    OK(status == all[i].status, "%s: %d", all[i].name, status);
  }
}

TEST(the_common_name_is_no_name) {
  cert_spec spec = {.names = "IP:127.0.0.1"};
  pki p;
  pki_make(&p, &spec);
  EQ_INT(try_name(&p, "127.0.0.1"), 0);
  EQ_INT(try_name(&p, "host"), WR_ETLS_NAME);
  pki_free(&p);
}

TEST(an_address_is_not_sent_as_a_name) {
  tls_duo d;
  wr_tls_info info;
  wr_tls_options o = {.server_name = "127.0.0.1"};
  duo_open(&d, 65536);
  d.server_ctx = serve_with(&d.e, host());
  d.client_ctx = trust(&d.e, host());
  duo_start(&d, &o, &o);
  duo_run(&d);
  MUST(d.server.p.link != NULL);
  wr_tls_query(d.server.tls, &info);
  EQ_STR(info.sni, "");
  duo_end(&d);
}

TEST(what_can_be_no_name_is_refused) {
  static char too_long[300];
  static const char *const bad[] = {
      NULL,    "", ".a.test", ".", "a test", "a\ntest", "b\303\274cher.test",
      too_long};
  memset(too_long, 'a', sizeof(too_long) - 1);
  tls_duo d;
  wr_tls *out;
  duo_open(&d, 65536);
  d.client_ctx = trust(&d.e, host());
  for (size_t i = 0; i < WR_COUNTOF(bad); i++) {
    wr_tls_options o = {.server_name = bad[i]};
    EQ_INT(wr_tls_start(d.raw[1], d.client_ctx, &o, on_side, NULL, &out),
           WR_EINVAL);
  }
  for (size_t i = 0; i < 2; i++) {
    wr_link_close(d.raw[i], WR_CLOSE_RESET);
    d.raw[i]->handler = NULL;
  }
  duo_run(&d);
  wr_tls_ctx_unref(d.client_ctx);
  env_close(&d.e);
}

TEST(dates_count_by_the_clock_of_the_context) {
  cert_spec old = {.names = "DNS:a.test", .to_s = NOW_S - 60};
  cert_spec new = {.names = "DNS:a.test", .from_s = NOW_S + 60};
  pki p;
  pki_make(&p, &old);
  EQ_INT(try_name(&p, "a.test"), WR_ETLS_EXPIRED);
  pki_free(&p);
  pki_make(&p, &new);
  EQ_INT(try_name(&p, "a.test"), WR_ETLS_EXPIRED);
  pki_free(&p);
}

TEST(other_authorities_are_not_trusted) {
  pki other;
  pki_make(&other, &host_spec);
  wr_tls_client_options client = {.roots = other.ca_pem};
  EQ_INT(try_client(host(), &client, "a.test"), WR_ETLS_CERTIFICATE);
  /* What is named itself is trusted, whoever has issued it. */
  client.roots = host()->cert_pem;
  EQ_INT(try_client(host(), &client, "a.test"), 0);
  EQ_INT(try_client(host(), &client, "b.test"), WR_ETLS_NAME);
  pki_free(&other);
}

TEST(a_pin_needs_neither_authority_nor_name_nor_dates) {
  cert_spec old = {.names = "DNS:other.test", .to_s = NOW_S - 60};
  uint8_t pins[2][WR_TLS_PIN_LEN] = {{1}, {2}};
  pki p;
  pki_make(&p, &old);
  wr_tls_client_options client = {.pins = (const uint8_t(*)[32])pins,
                                  .n_pins = 2};
  EQ_INT(try_client(&p, &client, "a.test"), WR_ETLS_PIN);
  EQ_INT(try_client(&p, &client, NULL), WR_ETLS_PIN);
  client.insecure = true; /* a pin is a pin */
  EQ_INT(try_client(&p, &client, NULL), WR_ETLS_PIN);
  client.insecure = false;
  memcpy(pins[1], p.pin, sizeof(p.pin));
  EQ_INT(try_client(&p, &client, "a.test"), 0);
  EQ_INT(try_client(&p, &client, NULL), 0);
  /* And a good authority does not make up for a wrong one. */
  pins[1][31] ^= 1;
  client.roots = p.ca_pem;
  EQ_INT(try_client(&p, &client, "other.test"), WR_ETLS_PIN);
  pki_free(&p);
}

TEST(insecure_takes_anything) {
  cert_spec old = {.names = "DNS:other.test", .to_s = NOW_S - 60};
  wr_tls_client_options client = {.insecure = true};
  pki p;
  pki_make(&p, &old);
  EQ_INT(try_client(&p, &client, "a.test"), 0);
  EQ_INT(try_client(&p, &client, NULL), 0);
  pki_free(&p);
}

static int new_client(const wr_tls_client_options *o, const char **why) {
  env e;
  wr_tls_ctx *t;
  env_open(&e);
  int err = wr_tls_client_new(&e.ctx, o, &t, why);
  if (err == 0) {
    wr_tls_ctx_unref(t);
  }
  env_close(&e);
  return err;
}

TEST(a_client_without_anything_to_check_with_is_none) {
  const char *why = NULL;
  wr_tls_client_options o = {.insecure = false};
  EQ_INT(new_client(&o, &why), WR_EINVAL);
  CHECK(why != NULL);
  o.roots = wr_slice_of("no certificate\n");
  EQ_INT(new_client(&o, &why), WR_ETLS_ROOTS);
  EQ_STR(why, "there is no PEM certificate");
  o.roots = (wr_slice){NULL, 0};
  o.roots_file = "/nonexistent/roots.pem";
  EQ_INT(new_client(&o, &why), WR_ETLS_ROOTS);
  wr_slice pem = host()->ca_pem;
  o.roots = (wr_slice){pem.data, pem.len};
  EQ_INT(new_client(&o, &why), 0);
  CHECK(why == NULL);
}

TEST(the_systems_authorities_are_where_it_keeps_them) {
  const char *old = getenv("SSL_CERT_FILE");
  char *kept = old != NULL ? strdup(old) : NULL;
  setenv("SSL_CERT_FILE", "/some/where.pem", 1);
  EQ_STR(wr_tls_system_roots(), "/some/where.pem");
  setenv("SSL_CERT_FILE", "", 1);
  const char *found = wr_tls_system_roots();
  if (found != NULL) {
    wr_tls_client_options o = {.roots_file = found};
    EQ_INT(new_client(&o, NULL), 0);
  }
  unsetenv("SSL_CERT_FILE");
  if (kept != NULL) {
    setenv("SSL_CERT_FILE", kept, 1);
  }
  free(kept);
}

/* The first n bytes of a text followed by another. */
static wr_slice spliced(wr_slice a, size_t n, wr_slice b) {
  uint8_t *text = malloc(n + b.len);
  MUST(text != NULL);
  memcpy(text, a.data, n);
  memcpy(text + n, b.data, b.len);
  return (wr_slice){text, n + b.len};
}

TEST(roots_with_a_broken_one_are_not_half_taken) {
  const char *why;
  wr_slice tail = wr_slice_of("-----BEGIN CERTIFICATE-----\nAAAA\n"
                              "-----END CERTIFICATE-----\n");
  wr_slice pem = spliced(host()->ca_pem, host()->ca_pem.len, tail);
  wr_tls_client_options o = {.roots = pem};
  EQ_INT(new_client(&o, &why), WR_ETLS_ROOTS);
  EQ_STR(why, "a certificate is malformed");
  text_free(pem);
}

static int new_server(wr_slice chain, wr_slice key, const char **why) {
  env e;
  wr_tls_ctx *t;
  wr_tls_server_options o = {.chain = chain, .key = key};
  env_open(&e);
  int err = wr_tls_server_new(&e.ctx, &o, &t, why);
  if (err == 0) {
    wr_tls_ctx_unref(wr_tls_ctx_ref(t));
    wr_tls_ctx_unref(t);
  }
  env_close(&e);
  return err;
}

TEST(a_servers_key_and_chain_have_to_fit) {
  const char *why = NULL;
  pki *p = host();
  EVP_PKEY *other = make_key();
  wr_slice other_key = key_text(other, NULL);
  wr_slice locked = key_text(p->key, "secret");
  wr_slice none = {NULL, 0};
  EQ_INT(new_server(p->cert_pem, p->key_pem, &why), 0);
  CHECK(why == NULL);
  EQ_INT(new_server(p->cert_pem, other_key, &why), WR_ECERT_MISMATCH);
  CHECK(why != NULL);
  EQ_INT(new_server(p->cert_pem, locked, &why), WR_EKEY_PASSPHRASE);
  EQ_STR(why, "the key is encrypted");
  EQ_INT(new_server(p->cert_pem, none, &why), WR_EKEY_FORMAT);
  EQ_INT(new_server(p->cert_pem, p->cert_pem, &why), WR_EKEY_FORMAT);
  EQ_INT(new_server(none, p->key_pem, &why), WR_ETLS_CHAIN);
  EQ_INT(new_server(p->key_pem, p->key_pem, &why), WR_ETLS_CHAIN);
  EQ_STR(why, "there is no PEM certificate");
  wr_slice cut = {p->cert_pem.data, p->cert_pem.len / 2};
  EQ_INT(new_server(cut, p->key_pem, &why), WR_ETLS_CHAIN);
  EQ_STR(why, "the certificate is malformed");
  wr_slice two = spliced(p->cert_pem, p->cert_pem.len, cut);
  EQ_INT(new_server(two, p->key_pem, &why), WR_ETLS_CHAIN);
  EQ_STR(why, "a certificate of the chain is malformed");
  text_free(two);
  text_free(other_key);
  text_free(locked);
  EVP_PKEY_free(other);
}

TEST(weak_certificates_are_refused_at_once) {
  const char *why = NULL;
  cert_spec spec = {.names = "DNS:a.test"};
  EVP_PKEY *key = EVP_RSA_gen(1024);
  MUST(key != NULL);
  X509 *cert = make_cert(key, &spec);
  wr_slice chain = cert_text(cert, NULL);
  wr_slice pem = key_text(key, NULL);
  EQ_INT(new_server(chain, pem, &why), WR_ETLS_CHAIN);
  EQ_STR(why, "the certificate's key or signature is too weak");
  text_free(chain);
  text_free(pem);
  X509_free(cert);
  EVP_PKEY_free(key);
}

TEST(the_whole_chain_is_sent) {
  pki p;
  cert_spec middle = {.authority = true};
  cert_spec leaf = {.names = "DNS:a.test"};
  pki_make(&p, &host_spec);
  EVP_PKEY *key = make_key();
  middle.issuer = p.ca;
  middle.issuer_key = p.ca_key;
  X509 *between = make_cert(key, &middle);
  leaf.issuer = between;
  leaf.issuer_key = key;
  X509 *cert = make_cert(p.key, &leaf);
  text_free(p.cert_pem);
  p.cert_pem = cert_text(cert, NULL);
  EQ_INT(try_name(&p, "a.test"), WR_ETLS_CERTIFICATE);
  text_free(p.cert_pem);
  p.cert_pem = cert_text(cert, between);
  EQ_INT(try_name(&p, "a.test"), 0);
  X509_free(cert);
  X509_free(between);
  EVP_PKEY_free(key);
  pki_free(&p);
}

TEST(lists_of_protocols_and_ticket_keys_are_checked) {
  env e;
  wr_tls_ctx *t;
  char name[300] = {0};
  const char *names[] = {name};
  uint8_t keys[WR_TLS_TICKET_KEYS_LEN] = {1};
  wr_tls_server_options o = {.chain = host()->cert_pem,
                             .key = host()->key_pem,
                             .alpn = names,
                             .n_alpn = 1};
  env_open(&e);
  EQ_INT(wr_tls_server_new(&e.ctx, &o, &t, NULL), WR_EINVAL);
  memset(name, 'x', sizeof(name) - 1);
  EQ_INT(wr_tls_server_new(&e.ctx, &o, &t, NULL), WR_EINVAL);
  o.n_alpn = 0;
  o.ticket_keys = (wr_slice){keys, sizeof(keys) - 1};
  EQ_INT(wr_tls_server_new(&e.ctx, &o, &t, NULL), WR_EINVAL);
  env_close(&e);
}

TEST(no_memory_makes_no_context) {
  for (uint64_t fail = 1; fail < 4; fail++) {
    env e;
    wr_tls_ctx *t = NULL;
    uint8_t pins[1][WR_TLS_PIN_LEN] = {{1}};
    static const char *const web[] = {"h2"};
    wr_tls_server_options so = {.chain = host()->cert_pem,
                                .key = host()->key_pem,
                                .alpn = web,
                                .n_alpn = 1};
    wr_tls_client_options co = {.pins = (const uint8_t(*)[32])pins,
                                .n_pins = 1};
    env_open(&e);
    e.ctx.mem.fail_at = e.ctx.mem.total + fail;
    int err = wr_tls_server_new(&e.ctx, &so, &t, NULL);
    EQ_INT(err, fail < 3 ? WR_ENOMEM : 0);
    if (err == 0) {
      wr_tls_ctx_unref(t);
    }
    e.ctx.mem.fail_at = e.ctx.mem.total + fail;
    err = wr_tls_client_new(&e.ctx, &co, &t, NULL);
    EQ_INT(err, fail < 3 ? WR_ENOMEM : 0);
    if (err == 0) {
      wr_tls_ctx_unref(t);
    }
    e.ctx.mem.fail_at = 0;
    env_close(&e);
  }
}

TAP_MAIN()
