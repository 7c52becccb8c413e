// A config.json beside weights: supplies values that shapes do not, and checks those that they do.
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
  // An empty path acts as an empty file.  Throws UserError if the file is damaged.
  explicit ConfigFile(const std::string& path);
  ConfigFile(ConfigFile&&) noexcept;
  ~ConfigFile();

  // Returns the member, or nothing if it is absent or null.  Throws UserError naming the file and the member
  // if it has another type (integer: at least 1).
  std::optional<std::int64_t> integer(const char* name) const;
  std::optional<double> positive(const char* name) const;
  std::optional<std::string> text(const char* name) const;
  std::optional<std::vector<std::int64_t>> integers(const char* name) const;
  std::optional<std::vector<bool>> flags(const char* name) const;
  std::optional<std::vector<double>> numbers(const char* name) const;
  std::optional<bool> flag(const char* name) const;

  // The member's text, or every text of a list; empty if it is absent, null or a list of nulls.  Throws
  // UserError for anything else.
  std::vector<std::string> texts(const char* name) const;
  // Names of all members; one member's value as JSON on one line.
  std::vector<std::string> names() const;
  std::string shown(const std::string& name) const;
  // True if the member is absent or off: null, false, 0, "", [] or {}.
  bool is_off(const std::string& name) const;

  // Throws UserError unless the member is absent, null (with `null_fits`) or equal to one of the values of
  // `accepted`, a JSON list; if that is empty, unless the member is off: false, 0, [] or "".
  void expect(const char* name, const char* accepted, bool null_fits = true) const;
  // Throws UserError if the file's integer differs from the one detected from the tensors.
  void check(const char* name, std::int64_t detected) const;
  // "<file>: <name> is <value>, <why>"
  [[noreturn]] void refuse(const char* name, const std::string& why) const;

 private:
  const nlohmann::json* find(const char* name) const;
  std::string path_;
  std::unique_ptr<nlohmann::json> root_;  // nullptr without a file
};

// Returns a tensor required for detection.  Throws UserError if it is missing, has another rank or an extent
// of 0.
const TensorEntry& needed(const Checkpoint& checkpoint, std::string_view key, std::size_t rank);

// The largest number after `prefix` among official keys, plus 1; 0 if there is none.
std::int64_t count_after(const Checkpoint& checkpoint, const char* prefix);

// text_len of a configuration: at most 65536; 512 by default.
std::int64_t text_length(const ConfigFile& config);

}  // namespace ferry::checkpoint
