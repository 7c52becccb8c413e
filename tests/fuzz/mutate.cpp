#include "tests/fuzz/mutate.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>

namespace ferry::fuzz {

namespace {

constexpr std::size_t kMostGrowth = 1 << 16;

// Numbers that lengths and offsets are most often wrong about.
constexpr std::array<std::uint64_t, 16> kExtremes = {0,
                                                     1,
                                                     2,
                                                     0x7f,
                                                     0xff,
                                                     0x7fff,
                                                     0xffff,
                                                     0x10000,
                                                     0x7fffffff,
                                                     0x80000000,
                                                     0xfffffffe,
                                                     0xffffffff,
                                                     0x100000000,
                                                     0x7fffffffffffffff,
                                                     0x8000000000000000,
                                                     0xffffffffffffffff};

constexpr std::array<std::string_view, 12> kNumbers = {"-1",
                                                       "1e999",
                                                       "-0",
                                                       "0.5",
                                                       "1e-400",
                                                       "9223372036854775807",
                                                       "9223372036854775808",
                                                       "18446744073709551616",
                                                       "4611686018427387904",
                                                       "NaN",
                                                       "Infinity",
                                                       "00"};

bool is_digit(char c) { return std::isdigit(static_cast<unsigned char>(c)) != 0; }

}  // namespace

std::string Mutator::operator()(std::string input, std::string_view other) {
  const std::size_t most = input.size() + kMostGrowth;
  for (std::uint64_t edits = 1 + below(below(4) == 0 ? 8 : 3); edits > 0; --edits) edit(input, other);
  if (input.size() > most) input.resize(most);
  return input;
}

void Mutator::edit(std::string& text, std::string_view other) {
  switch (below(12)) {
    case 0:
    case 1:
      return change_byte(text);
    case 2:
      return cut(text);
    case 3:
      return insert_bytes(text);
    case 4:
      return copy_piece(text, std::string(text));
    case 5:
      return copy_piece(text, other);
    case 6:
      return repeat_piece(text);
    case 7:
      return change_number(text);
    case 8:
    case 9:
      return change_field(text);
    case 10:
      return exchange_pieces(text);
    default:
      return put_token(text);
  }
}

std::size_t Mutator::place(std::string_view text) {
  constexpr std::uint64_t kHeader = 1024;
  const std::uint64_t end = text.size() + 1;
  return below(below(2) == 0 ? std::min(end, kHeader) : end);
}

std::uint64_t Mutator::extreme() { return kExtremes[below(kExtremes.size())]; }

void Mutator::change_byte(std::string& text) {
  const std::size_t at = place(text);
  if (at == text.size()) return;
  const auto old = static_cast<unsigned char>(text[at]);
  switch (below(4)) {
    case 0:
      text[at] = static_cast<char>(old ^ (1U << below(8)));
      return;
    case 1:
      text[at] = static_cast<char>(old + (below(2) == 0 ? 1 : -1));
      return;
    case 2:
      text[at] = static_cast<char>(' ' + below(95));
      return;
    default:
      text[at] = static_cast<char>(below(256));
  }
}

void Mutator::cut(std::string& text) {
  const std::size_t at = place(text);
  if (below(6) == 0) return text.resize(at);
  text.erase(at, 1 + below(below(3) == 0 ? text.size() + 1 : 16));
}

void Mutator::insert_bytes(std::string& text) {
  std::string bytes(1 + below(16), '\0');
  for (char& byte : bytes) byte = static_cast<char>(below(256));
  text.insert(place(text), bytes);
}

void Mutator::copy_piece(std::string& text, std::string_view from) {
  const std::size_t begin = place(from);
  const std::string_view piece = from.substr(begin, 1 + below(below(3) == 0 ? 2048 : 64));
  const std::size_t at = place(text);
  const std::size_t replaced = below(2) == 0 ? 0 : std::min(piece.size(), text.size() - at);
  text.replace(at, replaced, piece);
}

void Mutator::repeat_piece(std::string& text) {
  const std::string piece = text.substr(place(text), 1 + below(32));
  std::string many;
  for (std::uint64_t times = 1 + below(below(8) == 0 ? 2000 : 20); times > 0; --times) many += piece;
  text.insert(place(text), many);
}

// A decimal number of the text becomes another.
void Mutator::change_number(std::string& text) {
  auto begin = std::find_if(text.begin() + static_cast<std::ptrdiff_t>(place(text)), text.end(), is_digit);
  if (begin == text.end()) return;
  while (begin != text.begin() && is_digit(begin[-1])) --begin;
  const auto end = std::find_if_not(begin, text.end(), is_digit);
  std::string number = std::to_string(extreme() + below(3) - 1);
  if (below(3) == 0) number = kNumbers[below(kNumbers.size())];
  if (below(3) == 0 && end - begin < 10) number = std::to_string(std::stoll(std::string(begin, end)) + 1);
  text.replace(begin, end, number);
}

// One, two, four or eight bytes become an extreme number, or one a little larger or smaller.
void Mutator::change_field(std::string& text) {
  const std::size_t width = std::size_t{1} << below(4);
  const std::size_t at = place(text);
  if (at + width > text.size()) return;
  std::uint64_t number = 0;
  std::memcpy(&number, text.data() + at, width);
  number = below(2) == 0 ? extreme() + below(3) - 1 : number + below(33) - 16;
  std::memcpy(text.data() + at, &number, width);
}

void Mutator::put_token(std::string& text) {
  if (tokens_.empty()) return;
  const std::string_view token = tokens_[below(tokens_.size())];
  const std::size_t at = place(text);
  text.replace(at, below(2) == 0 ? 0 : std::min(token.size(), text.size() - at), token);
}

void Mutator::exchange_pieces(std::string& text) {
  const std::size_t first = place(text);
  const std::size_t second = place(text);
  const std::size_t bytes = std::min({below(64), text.size() - first, text.size() - second});
  for (std::size_t i = 0; i < bytes; ++i) std::swap(text[first + i], text[second + i]);
}

}  // namespace ferry::fuzz
