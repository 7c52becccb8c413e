#include "model/text/spiece_check.h"

#include <cstdint>
#include <cstring>
#include <optional>

namespace ferry::model {

namespace {

constexpr std::uint64_t kNormalizer = 3;
constexpr std::uint64_t kDenormalizer = 5;
constexpr std::uint64_t kCharsmap = 2;

constexpr const char* kNoMessage = "it is not made of protocol buffer fields";

// Protocol Buffers' wire format, field by field.  Refuses what SentencePiece's reader may read otherwise:
// groups, and tags beyond 32 bits, of which it drops the rest.
class Message {
 public:
  explicit Message(std::string_view rest) : rest_(rest) {}

  struct Field {
    std::uint64_t number = 0;
    std::string_view bytes;  // empty unless it has a length
  };

  bool at_end() const { return rest_.empty(); }

  // Nothing where the message is damaged.
  std::optional<Field> next() {
    const auto key = varint();
    if (!key || *key > 0xffffffffU) return {};
    std::optional<std::uint64_t> bytes = 0;
    switch (*key & 7U) {
      case 0:
        if (!varint()) return {};
        break;
      case 1:
        bytes = 8;
        break;
      case 2:
        bytes = varint();
        break;
      case 5:
        bytes = 4;
        break;
      default:
        return {};
    }
    if (!bytes || *bytes > rest_.size()) return {};
    const Field field{*key >> 3U, rest_.substr(0, *bytes)};
    rest_.remove_prefix(*bytes);
    return field;
  }

 private:
  std::optional<std::uint64_t> varint() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
      if (rest_.empty()) return {};
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      if (shift < 64) value |= std::uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) return value;
    }
    return {};
  }

  std::string_view rest_;
};

class Units {
 public:
  explicit Units(std::string_view bytes) : bytes_(bytes) {}

  std::size_t size() const { return bytes_.size() / sizeof(std::uint32_t); }
  bool is_value(std::size_t i) const { return (at(i) >> 31U) != 0; }
  bool has_value(std::size_t i) const { return ((at(i) >> 8U) & 1U) != 0; }
  std::size_t value(std::size_t i) const { return at(i) & 0x7fffffffU; }
  // The unit below `i` for the byte c is at below(i) ^ c, its value at below(i).
  std::size_t below(std::size_t i) const { return i ^ ((at(i) >> 10U) << ((at(i) & (1U << 9U)) >> 6U)); }

 private:
  std::uint32_t at(std::size_t i) const {
    std::uint32_t unit = 0;
    std::memcpy(&unit, bytes_.data() + i * sizeof unit, sizeof unit);
    return unit;
  }

  std::string_view bytes_;
};

std::string damage_of_units(const Units& units, std::string_view replacements) {
  if (units.size() == 0 || units.is_value(0)) return "its table of replacements has no root";
  for (std::size_t i = 0; i < units.size(); ++i) {
    if (units.is_value(i)) continue;
    const std::size_t below = units.below(i);
    if ((below | 0xffU) >= units.size()) return "its table of replacements points out of itself";
    if (units.has_value(i) && units.value(below) >= replacements.size())
      return "its table of replacements points behind them";
  }
  return "";
}

std::string damage_of_charsmap(std::string_view charsmap) {
  std::uint32_t bytes = 0;
  // SentencePiece refuses this itself, and takes an empty one for none.
  if (charsmap.size() <= sizeof bytes) return "";
  std::memcpy(&bytes, charsmap.data(), sizeof bytes);
  charsmap.remove_prefix(sizeof bytes);
  if (bytes >= charsmap.size()) return "";
  if (charsmap.back() != '\0') return "its last replacement has no end";
  return damage_of_units(Units(charsmap.substr(0, bytes)), charsmap.substr(bytes));
}

std::string damage_of_normalizer(std::string_view bytes) {
  std::string damage;
  for (Message normalizer(bytes); !normalizer.at_end() && damage.empty();) {
    const auto field = normalizer.next();
    if (!field) return kNoMessage;
    if (field->number == kCharsmap) damage = damage_of_charsmap(field->bytes);
  }
  return damage;
}

}  // namespace

std::string damage_of_spiece(std::string_view file) {
  std::string damage;
  for (Message model(file); !model.at_end() && damage.empty();) {
    const auto part = model.next();
    if (!part) return kNoMessage;
    if (part->number == kNormalizer || part->number == kDenormalizer)
      damage = damage_of_normalizer(part->bytes);
  }
  return damage;
}

}  // namespace ferry::model
