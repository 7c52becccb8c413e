// The text with which something is refused.
#pragma once

#include <functional>
#include <string>

#include "base/error.h"

namespace ferry::testing {

// The UserError of `work`; empty if it throws none.
inline std::string refusal_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

}  // namespace ferry::testing
