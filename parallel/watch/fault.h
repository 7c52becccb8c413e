// A planted failure, for tests of what happens then.
#pragma once

#include <optional>
#include <string>

#include "parallel/watch/place.h"

namespace ferry::parallel {

struct Fault {
  // SIGSTOP, SIGKILL, the main thread sleeps for ever, Error, UserError
  enum class Kind : std::uint8_t { Stop, Kill, Hang, Throw, Refuse };
  Kind kind = Kind::Stop;
  int rank = 0;
  Where where;  // a stage and, unless 0, a step

  // Fails as planted if `now` is the place.
  void meet(const Where& now) const;
};

// Reads FERRY_TEST_FAULT: KIND:RANK:STAGE[:STEP], for example "stop:1:denoise:3".  Nothing if `text` is empty
// or names another rank.  Throws UserError for any other form.
std::optional<Fault> planted_fault(const std::string& text, int rank);

}  // namespace ferry::parallel
