// Short identifiers for long texts.
#pragma once

#include <string>
#include <string_view>

namespace ferry {

// Hash of a text as 32 hexadecimal digits (FNV-1a, 128 bits); the same in every process and build.  Not
// cryptographic.
std::string fingerprint(std::string_view text);

}  // namespace ferry
