// Short names for long texts.
#pragma once

#include <string>
#include <string_view>

namespace ferry {

// 32 hexadecimal digits made from a text (FNV-1a, 128 bits); the same in every process and build.  For names,
// not against forgery.
std::string fingerprint(std::string_view text);

}  // namespace ferry
