// Parses untrusted JSON: bounded in size, depth and number of values, without repeated names.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ferry::checkpoint {

// `file` is for messages.  Throws UserError: more than 100 MB, invalid JSON or UTF-8, deeper than 16 levels,
// more than four million values, or a repeated name in one object.
nlohmann::json parse_json(std::string_view text, const std::string& file);

// As above, keeping the order of object members, with at most 10,000 values.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file);

// Parses a whole file, which must be an object.  NaN, Infinity and -Infinity, which Python writes, are read
// as strings.
nlohmann::json read_json_object(const std::string& path);

// Reads a JSON array of non-negative integers that fit; returns false for anything else.
bool read_extents(const nlohmann::json& value, std::vector<std::int64_t>& extents);

}  // namespace ferry::checkpoint
