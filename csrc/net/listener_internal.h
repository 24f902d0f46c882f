#ifndef WR_NET_LISTENER_INTERNAL_H
#define WR_NET_LISTENER_INTERNAL_H

#include <sys/stat.h>

#include "base/common.h"

/* Listening, non-blocking sockets; below zero: an error. The rules are those of
   wr_listener_tcp() and wr_listener_unix(). */
int wr__listen_host(const char *host, uint16_t port, bool dual_stack,
                    int *family);
/* st: which file it is. */
int wr__listen_path(const char *path, struct stat *st);
/* Makes an inherited descriptor fit. 0, WR_EINVAL or the system's error. */
int wr__listen_adopt(int fd, int *family);

#endif /* !defined(WR_NET_LISTENER_INTERNAL_H) */
