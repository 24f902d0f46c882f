#include "proxy/discard.h"

static size_t on_read(wr_link *link, uint8_t *data, size_t len) {
  WR_UNUSED(link);
  WR_UNUSED(data);
  return len;
}

static void on_eof(wr_link *link) {
  WR_UNUSED(link);
}

static void on_close(wr_link *link, int status) {
  WR_UNUSED(link);
  WR_UNUSED(status);
}

void wr__link_discard(wr_link *link) {
  static const wr_link_handler nobody = {.on_read = on_read,
                                         .on_eof = on_eof,
                                         .on_writable = on_eof,
                                         .on_close = on_close};
  link->handler = &nobody;
  wr_link_close(link, WR_CLOSE_RESET);
}
