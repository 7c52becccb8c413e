// The words of an enum, as users type them and records have them.  Beside the enum stands one table, in the
// order of its values:
//
//   enum class Transport : std::uint8_t { Full, Sharded, Auto };
//   constexpr auto words_of(Transport) { return std::to_array<std::string_view>({"full", "sharded", "auto"});
//   }
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <optional>
#include <string_view>

namespace ferry {

template <typename Enum>
concept Worded = requires(Enum value) {
  { words_of(value).front() } -> std::convertible_to<std::string_view>;
};

template <Worded Enum>
constexpr std::string_view word_of(Enum value) {
  return words_of(value)[static_cast<std::size_t>(value)];
}

// Nothing where `word` is none of them.
template <Worded Enum>
constexpr std::optional<Enum> from_word(std::string_view word) {
  const auto words = words_of(Enum{});
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == word) return static_cast<Enum>(i);
  }
  return std::nullopt;
}

}  // namespace ferry
