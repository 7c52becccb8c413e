// JSON of files that nobody vouches for: bounded in size, depth and number of values, without repeated names.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace ferry::checkpoint {

// `file` is for messages.  Throws UserError: more than 100 MB, no valid JSON in UTF-8, deeper than 16 levels,
// more than four million values, or a name that stands twice in one object.
nlohmann::json parse_json(std::string_view text, const std::string& file);

// The same with the members of objects in the order of the text, and at most 10,000 values.
nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file);

// As parse_json of a whole file, which must be an object.  NaN, Infinity and -Infinity, which Python writes,
// are read as texts of that name.
nlohmann::json read_json_object(const std::string& path);

// A JSON array of integers that are at least 0 and fit; false for anything else.
bool read_extents(const nlohmann::json& value, std::vector<std::int64_t>& extents);

}  // namespace ferry::checkpoint
