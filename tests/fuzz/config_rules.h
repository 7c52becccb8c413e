// The rules of .cfg text (launcher/options/config_text.h) once more, read line by line from its end.
#pragma once

#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace ferry::fuzz {

using ConfigLine = std::tuple<std::string, std::string, std::string>;  // group, key, value

// Nothing where the text is wrong.
std::optional<std::vector<ConfigLine>> by_the_rules(std::string text);

}  // namespace ferry::fuzz
