#include "tests/fuzz/config_rules.h"

namespace ferry::fuzz {
namespace {

using Lines = std::vector<ConfigLine>;

bool blank(char c) { return c == ' ' || c == '\t' || c == '\v' || c == '\f'; }

std::string strip(std::string text) {
  while (!text.empty() && blank(text.back())) text.pop_back();
  std::size_t first = 0;
  while (first < text.size() && blank(text[first])) ++first;
  return text.substr(first);
}

bool opens_comment(const std::string& line, std::size_t at) {
  return (line[at] == '#' || line[at] == ';') && (at == 0 || blank(line[at - 1]));
}

// The second reading, from the last character to the first.
std::size_t comment_of(const std::string& line, std::size_t from) {
  std::size_t found = line.size();
  for (std::size_t at = line.size(); at-- > from;) {
    if (opens_comment(line, at)) found = at;
  }
  return found;
}

std::string value_by_the_rules(const std::string& line, std::size_t equals) {
  std::size_t first = equals + 1;
  while (first < line.size() && blank(line[first])) ++first;
  if (first < line.size() && (line[first] == '"' || line[first] == '\'')) {
    const std::size_t other = line.find(line[first], first + 1);
    if (other != std::string::npos) {
      std::size_t next = other + 1;
      while (next < line.size() && blank(line[next])) ++next;
      const bool comment = next < line.size() && next > other + 1 && opens_comment(line, next);
      if (next == line.size() || comment) return line.substr(first + 1, other - first - 1);
    }
  }
  return strip(line.substr(equals + 1, comment_of(line, equals + 1) - equals - 1));
}

// Nothing: the line is wrong.  Empty: it says nothing.
std::optional<Lines> by_the_rules(const std::string& line, std::string& group) {
  const std::string said = strip(line.substr(0, comment_of(line, 0)));
  if (said.empty()) return Lines{};
  if (line.starts_with("\xef\xbb\xbf")) return std::nullopt;
  if (said.front() == '[') {
    const std::string name = said.back() == ']' ? strip(said.substr(1, said.size() - 2)) : "";
    if (name.empty()) return std::nullopt;
    group = name;
    return Lines{{group, "", ""}};
  }
  const std::size_t equals = line.find('=');
  if (equals >= comment_of(line, 0)) return std::nullopt;
  const std::string key = strip(line.substr(0, equals));
  if (key.empty()) return std::nullopt;
  return Lines{{group, key, value_by_the_rules(line, equals)}};
}

}  // namespace

std::optional<Lines> by_the_rules(std::string text) {
  if (text.find('\0') != std::string::npos || text.starts_with("\xff\xfe") || text.starts_with("\xfe\xff"))
    return std::nullopt;
  if (text.starts_with("\xef\xbb\xbf")) text.erase(0, 3);
  Lines all;
  std::string group;
  std::string line;
  text += '\n';
  for (const char c : text) {
    if (c != '\n' && c != '\r') {
      line += c;
      continue;
    }
    const auto lines = by_the_rules(line, group);
    if (!lines) return std::nullopt;
    all.insert(all.end(), lines->begin(), lines->end());
    line.clear();
  }
  return all;
}

}  // namespace ferry::fuzz
