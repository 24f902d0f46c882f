#ifndef WR_SSH_VERSION_H
#define WR_SSH_VERSION_H

#include "base/common.h"

/* The libraries that run, which need not be those of the headers. */
const char *wr_libssh_version(void);  /* "0.12.2" */
const char *wr_openssl_version(void); /* "3.5.7" */
/* false: the headers were of other versions than the libraries; nothing of them
   may be used. */
bool wr_ssh_libraries_match(void);

#endif /* !defined(WR_SSH_VERSION_H) */
