#include "base/files/fingerprint.h"

#include <fmt/format.h>

#include <cstdint>

namespace ferry {

namespace {

__extension__ using Wide = unsigned __int128;

constexpr Wide wide(std::uint64_t high, std::uint64_t low) { return (Wide{high} << 64U) | low; }

constexpr Wide kBasis = wide(0x6c62272e07bb0142, 0x62b821756295c58d);
constexpr Wide kPrime = wide(0x0000000001000000, 0x000000000000013b);

}  // namespace

std::string fingerprint(std::string_view text) {
  Wide hash = kBasis;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * kPrime;
  return fmt::format("{:016x}{:016x}", static_cast<std::uint64_t>(hash >> 64U),
                     static_cast<std::uint64_t>(hash));
}

}  // namespace ferry
