#include "tap.h"

#include "base/errors.h"

TEST(every_error_has_its_own_number_and_code) {
#define XX(name, number, code, phase, text)                                    \
  EQ_INT(WR_E##name, number);                                                  \
  EQ_STR(wr_error_code(WR_E##name), code);                                     \
  EQ_STR(wr_error_phase(WR_E##name), phase);                                   \
  EQ_STR(wr_error_text(WR_E##name), text);                                     \
  CHECK(WR_E##name < -4096);                                                   \
  CHECK(text[0] != '\0');
  WR_ERRORS(XX)
#undef XX
}

TEST(numbers_and_codes_are_unique) {
  static const struct {
    int number;
    const char *code;
  } all[] = {
#define XX(name, number, code, phase, text) {number, code},
      WR_ERRORS(XX)
#undef XX
  };
  size_t n = sizeof(all) / sizeof(all[0]);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = i + 1; k < n; k++) {
      OK(all[i].number != all[k].number, "%s has a number of its own",
         all[i].code);
      OK(strcmp(all[i].code, all[k].code) != 0, "%s is there once",
         all[i].code);
    }
  }
}

TEST(codes_of_the_system_lie_between_the_bounds) {
  EQ_STR(wr_error_code(-1), "SYSTEM");
  EQ_STR(wr_error_code(-3008), "SYSTEM");
  EQ_STR(wr_error_code(-4095), "SYSTEM");
  EQ_STR(wr_error_phase(-111), "");
  CHECK(wr_error_text(-111)[0] != '\0');
}

TEST(anything_else_is_unknown) {
  static const int others[] = {0,      1,      -4096,     -4097,    -20000,
                               -20019, -20051, INT32_MAX, INT32_MIN};
  for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
    EQ_STR(wr_error_code(others[i]), "UNKNOWN");
    EQ_STR(wr_error_phase(others[i]), "");
    CHECK(wr_error_text(others[i])[0] != '\0');
  }
}

TAP_MAIN()
