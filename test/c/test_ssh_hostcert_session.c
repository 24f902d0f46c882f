/* Sessions with a host certificate: what is presented, and what a login that is
   bound to the host key has to name. */
#include "host_cert.h"
#include "ssh_pair.h"

#define HOSTBOUND "publickey-hostbound-v00@openssh.com"

typedef struct fixture {
  pair p;
  wr_key *authority;
  wr_buf certificate;
} fixture;

static wr_slice of_buf(const wr_buf *b) {
  return (wr_slice){b->data, b->len};
}

static void open_fixture(fixture *f) {
  pair_init(&f->p);
  wr_mem *mem = &f->p.e.ctx.mem;
  MUST(wr_key_generate(mem, &f->authority) == 0);
  wr_buf_init(&f->certificate, mem, HOST_CERT_MAX);
  host_cert h = host_cert_of(f->p.host, f->authority);
  host_cert_write(&h, &f->certificate);
  f->p.sopts.host_certificate = of_buf(&f->certificate);
  f->p.presented = of_buf(&f->certificate);
}

static void close_fixture(fixture *f) {
  wr_key_unref(f->authority);
  wr_buf_reset(&f->certificate);
  pair_fini(&f->p);
}

TEST(a_certificate_is_presented_to_whoever_asks) {
  static const char *const types[] = {
      NULL, WR_CERT_ED25519, "rsa-sha2-512," WR_CERT_ED25519 ",ssh-ed25519"};
  static const char *const kexes[] = {"mlkem768x25519-sha256",
                                      "curve25519-sha256"};
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    fixture f;
    open_fixture(&f);
    f.p.copts.host_key_types = types[i];
    f.p.copts.kex = kexes[i % 2];
    pair_up(&f.p);
    close_fixture(&f);
  }
}

TEST(the_plain_key_is_there_as_well) {
  static const char *const types[] = {"ssh-ed25519",
                                      "ssh-ed25519," WR_CERT_ED25519};
  for (size_t i = 0; i < WR_COUNTOF(types); i++) {
    fixture f;
    open_fixture(&f);
    f.p.copts.host_key_types = types[i];
    f.p.presented = (wr_slice){NULL, 0};
    pair_up(&f.p);
    close_fixture(&f);
  }
}

TEST(a_server_without_one_has_none) {
  fixture f;
  open_fixture(&f);
  f.p.sopts.host_certificate = (wr_slice){NULL, 0};
  f.p.copts.host_key_types = WR_CERT_ED25519;
  pair_start(&f.p);
  pair_run(&f.p);
  EQ_INT(f.p.c_status, WR_EKEX_FAILED);
  EQ_INT(f.p.c_ready, 0);
  close_fixture(&f);
}

TEST(it_stays_through_rekeys) {
  fixture f;
  open_fixture(&f);
  pair_up(&f.p);
  for (int i = 0; i < 3; i++) {
    wr_ssh_rekey(i % 2 == 0 ? f.p.s : f.p.c);
    pair_run(&f.p);
  }
  CHECK(f.p.c != NULL && f.p.s != NULL);
  close_fixture(&f);
}

TEST(one_of_another_key_does_not_start) {
  fixture f;
  open_fixture(&f);
  f.p.sopts.host_key = f.authority;
  EQ_INT(wr_ssh_start(&f.p.e.ctx, f.p.slink, &f.p.sopts, &f.p.s), WR_EINVAL);
  f.p.sopts.host_key = f.p.host;
  pair_up(&f.p);
  close_fixture(&f);
}

/* Asks whether a key would do, bound to the host key. */
static void ask_bound(pair *p, wr_slice host_key) {
  static const uint8_t service[] = "\x05\0\0\0\x0cssh-userauth";
  wr_slice key = wr_key_blob(p->good);
  wr_buf b;
  wr_buf_init(&b, &p->e.ctx.mem, HOST_CERT_MAX);
  MUST(wr_buf_put_u8(&b, MSG_USERAUTH_REQUEST) == 0);
  MUST(wr_buf_put_cstring(&b, "alice") == 0);
  MUST(wr_buf_put_cstring(&b, "ssh-connection") == 0);
  MUST(wr_buf_put_cstring(&b, HOSTBOUND) == 0);
  MUST(wr_buf_put_u8(&b, 0) == 0);
  MUST(wr_buf_put_cstring(&b, "ssh-ed25519") == 0);
  MUST(wr_buf_put_string(&b, key.data, key.len) == 0);
  MUST(wr_buf_put_string(&b, host_key.data, host_key.len) == 0);
  wr__pump_send(p->c, service, sizeof(service) - 1, NULL, 0);
  wr__pump_send_buf(p->c, &b);
  wr_buf_reset(&b);
  pair_run(p);
}

/* What a bound login hears that names the certificate, or the plain key. */
static void check_bound(bool certificate, bool names_certificate) {
  fixture f;
  open_fixture(&f);
  pair *p = &f.p;
  p->async_verdict = true;
  if (!certificate) {
    p->copts.host_key_types = "ssh-ed25519";
    p->presented = (wr_slice){NULL, 0};
  }
  pair_start(p);
  pair_run(p);
  MUST(p->verdict_due);
  ask_bound(p,
            names_certificate ? of_buf(&f.certificate) : wr_key_blob(p->host));
  if (certificate == names_certificate) {
    EQ_INT(p->offers, 1);
    EQ_INT(p->ignored, 0);
  } else {
    EQ_INT(p->offers, 0);
    EQ_STR(p->ignored_reason, "host-key");
  }
  close_fixture(&f);
}

TEST(a_bound_login_names_what_was_presented) {
  check_bound(true, true);
  check_bound(true, false);
  check_bound(false, false);
  check_bound(false, true);
}

TEST(memory_may_run_out_at_the_start) {
  fixture f;
  open_fixture(&f);
  wr_mem *mem = &f.p.e.ctx.mem;
  int rc = WR_ENOMEM;
  for (uint64_t n = 1; rc == WR_ENOMEM; n++) {
    mem->fail_at = mem->total + n;
    rc = wr_ssh_start(&f.p.e.ctx, f.p.slink, &f.p.sopts, &f.p.s);
  }
  mem->fail_at = 0;
  EQ_INT(rc, 0);
  MUST(wr_ssh_start(&f.p.e.ctx, f.p.clink, &f.p.copts, &f.p.c) == 0);
  pair_run(&f.p);
  EQ_INT(f.p.c_ready, 1);
  close_fixture(&f);
}

TAP_MAIN()
