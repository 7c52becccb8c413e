// The networks of a run, by the part that each plays in a video; worker/roles.h says what each is.
// checkpoint/part.h is the counterpart for files.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace ferry::worker {

enum class Role : std::uint8_t { Dit, Vae, TextEncoder };
inline constexpr std::size_t kRoleCount = 3;

// A value per role; iterates in enum order.
template <class T>
struct ByRole {
  std::array<T, kRoleCount> values{};

  T& operator[](Role role) { return values.at(static_cast<std::size_t>(role)); }
  const T& operator[](Role role) const { return values.at(static_cast<std::size_t>(role)); }
  auto begin() { return values.begin(); }
  auto end() { return values.end(); }
  auto begin() const { return values.begin(); }
  auto end() const { return values.end(); }
  bool operator==(const ByRole&) const = default;
};

}  // namespace ferry::worker
