// A config.json beside weights: what shapes do not say, and a check of what they do.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "model/checkpoint/checkpoint.h"

namespace ferry::model {

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

}  // namespace ferry::model
