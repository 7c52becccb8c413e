// A config.json beside weights: what shapes do not say, and a check of what they do.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

class ConfigFile {
 public:
  // An empty path is a file that says nothing.  Throws UserError when the file is damaged.
  explicit ConfigFile(const std::string& path);
  ConfigFile(ConfigFile&&) noexcept;
  ~ConfigFile();

  // The member of that name; nothing when it is absent or null.  Throws UserError naming the file and the
  // member when it is of another type (integer: at least 1).
  std::optional<std::int64_t> integer(const char* name) const;
  std::optional<double> positive(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  std::optional<std::vector<std::int64_t>> integers(const char* name) const;
  std::optional<std::vector<bool>> flags(const char* name) const;
  std::optional<std::vector<double>> numbers(const char* name) const;
  std::optional<bool> flag(const char* name) const;

  // The member's text, or every text of a list; empty when it is absent, null or a list of nulls.  Throws
  // UserError when it is something else.
  std::vector<std::string> texts(const char* name) const;
  // The names of all members, and one's value as JSON on one line.
  std::vector<std::string> names() const;
  std::string shown(const std::string& name) const;
  // Whether the member switches off what it is about: absent, null, false, 0, "", [] or {}.
  bool is_off(const std::string& name) const;

  // Throws UserError unless the member is absent, null (when `null_fits`) or equal to one of the values of
  // `accepted`, a JSON list; an empty one accepts what switches something off: false, 0, [] or "".
  void expect(const char* name, const char* accepted, bool null_fits = true) const;
  // Throws UserError when the file says another integer than the tensors.
  void check(const char* name, std::int64_t detected) const;
  // "<file>: <name> is <value>, <why>"
  [[noreturn]] void refuse(const char* name, const std::string& why) const;

 private:
  const nlohmann::json* find(const char* name) const;
  std::string path_;
  std::unique_ptr<nlohmann::json> root_;  // nullptr when there is no file
};

// A tensor that detection needs.  Throws UserError when it is missing, has another rank or an extent of 0.
const TensorEntry& needed(const Checkpoint& checkpoint, std::string_view key, std::size_t rank);

// The largest number after `prefix` among official keys, plus 1; 0 when there is none.
std::int64_t count_after(const Checkpoint& checkpoint, const char* prefix);

// text_len of a configuration: at most 65536; 512 when it does not say.
std::int64_t text_length(const ConfigFile& config);

}  // namespace ferry::checkpoint
