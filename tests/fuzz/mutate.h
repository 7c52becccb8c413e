// Seeded mutations of an input.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <string>
#include <string_view>

namespace ferry::fuzz {

class Mutator {
 public:
  // `tokens` must outlive the mutator.
  Mutator(std::uint64_t seed, std::span<const std::string_view> tokens) : random_(seed), tokens_(tokens) {}

  // `input` with one to eight edits: bits and bytes, cuts, insertions, pieces moved, repeated and taken from
  // `other`, decimal numbers and little-endian fields replaced, tokens.  At most 64 KiB longer than `input`.
  std::string operator()(std::string input, std::string_view other);

  std::uint64_t below(std::uint64_t end) { return random_() % end; }

 private:
  void edit(std::string& text, std::string_view other);
  void change_byte(std::string& text);
  void cut(std::string& text);
  void insert_bytes(std::string& text);
  void copy_piece(std::string& text, std::string_view from);
  void repeat_piece(std::string& text);
  void change_number(std::string& text);
  void change_field(std::string& text);
  void put_token(std::string& text);
  void exchange_pieces(std::string& text);

  // A place in the text, its end included; more often near the beginning, where headers are.
  std::size_t place(std::string_view text);
  std::uint64_t extreme();

  std::mt19937_64 random_;
  std::span<const std::string_view> tokens_;
};

}  // namespace ferry::fuzz
