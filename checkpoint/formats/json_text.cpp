#include "checkpoint/formats/json_text.h"

#include <fmt/format.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/other_kind.h"
#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

using nlohmann::json;

constexpr std::size_t kMostBytes = 100'000'000;
constexpr int kMostLevels = 16;
constexpr std::size_t kMostValues = 4'000'000;
// Lookup in an ordered object is linear in its members.
constexpr std::size_t kMostOrderedValues = 10'000;

// Enforces the limits through the parser's callback; nlohmann silently keeps the last of repeated names.
class Watch {
 public:
  Watch(const std::string& file, std::size_t most_values) : file_(file), most_values_(most_values) {}

  template <typename Json>
  bool operator()(int depth, typename Json::parse_event_t event, const Json& parsed) {
    using Event = typename Json::parse_event_t;
    if (depth > kMostLevels)
      throw UserError(fmt::format("{}: JSON deeper than {} levels", file_, kMostLevels));
    if (++values_ > most_values_)
      throw UserError(fmt::format("{}: more than {} JSON values", file_, most_values_));
    if (event == Event::object_start) names_.emplace_back();
    if (event == Event::object_end) names_.pop_back();
    if (event == Event::key) take_name(parsed.template get_ref<const std::string&>());
    return true;
  }

 private:
  void take_name(const std::string& name) {
    if (names_.back().insert(name).second) return;
    throw UserError(fmt::format("{}: the name {} stands twice in one JSON object", file_, printable(name)));
  }

  const std::string& file_;
  std::size_t most_values_;
  std::size_t values_ = 0;
  std::vector<std::unordered_set<std::string>> names_;
};

// Quotes the NaN and infinities that Python writes and JSON lacks; as strings, no numeric reader accepts
// them.
std::string with_quoted_words(std::string_view text) {
  std::string result;
  bool quoted = false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const std::string_view rest = text.substr(at);
    std::string_view word;
    for (const std::string_view known : {"-Infinity", "Infinity", "NaN"}) {
      if (!quoted && word.empty() && rest.starts_with(known)) word = known;
    }
    if (!word.empty()) {
      result.append("\"").append(word).append("\"");
      at += word.size() - 1;
      continue;
    }
    if (text[at] == '"') quoted = !quoted;
    result += text[at];
    if (quoted && text[at] == '\\' && at + 1 < text.size()) result += text[++at];
  }
  return result;
}

void check_size(std::string_view text, const std::string& file) {
  if (text.size() > kMostBytes) throw UserError(fmt::format("{}: more than 100 MB of JSON", file));
}

// ": syntax error ..." or " at column 3: syntax error ...", of the library's text
// "[json.exception.parse_error.101] parse error at line 1, column 3: syntax error ..."; with the line where
// there is more than one.
std::string reason_of(const json::exception& error, std::string_view text) {
  constexpr std::string_view kPlace = "parse error at ";
  constexpr std::string_view kOnlyLine = "line 1, ";
  std::string_view reason = error.what();
  if (const std::size_t end = reason.find("] "); reason.starts_with('[') && end != std::string_view::npos)
    reason.remove_prefix(end + 2);
  if (!reason.starts_with(kPlace)) return fmt::format(": {}", printable(reason));
  reason.remove_prefix(kPlace.size());
  if (text.find('\n') == std::string_view::npos && reason.starts_with(kOnlyLine))
    reason.remove_prefix(kOnlyLine.size());
  return fmt::format(" at {}", printable(reason));
}

template <typename Json>
Json parse_watched(std::string_view text, const std::string& file, std::size_t most_values) {
  check_size(text, file);
  // nlohmann takes a zero byte for the end of the text and ignores the rest.
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos)
    throw UserError(fmt::format("{}: no valid JSON: a zero byte behind {} bytes", file, zero));
  try {
    Watch watch(file, most_values);
    return Json::parse(text.begin(), text.end(), std::ref(watch));
  } catch (const json::exception& error) {
    throw UserError(fmt::format("{}: no valid JSON{}", file, reason_of(error, text)));
  }
}

}  // namespace

json parse_json(std::string_view text, const std::string& file) {
  return parse_watched<json>(text, file, kMostValues);
}

nlohmann::ordered_json parse_ordered_json(std::string_view text, const std::string& file) {
  return parse_watched<nlohmann::ordered_json>(text, file, kMostOrderedValues);
}

json read_json_object(const std::string& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), file.bytes());
  const std::size_t first = text.find_first_not_of("\xef\xbb\xbf \t\r\n");
  if (first == std::string_view::npos || (text[first] != '{' && text[first] != '['))
    refuse_other_kind(file.span(), path, "a JSON object");
  check_size(text, path);  // before it is copied
  json value = parse_json(with_quoted_words(text), path);
  if (!value.is_object()) throw UserError(fmt::format("{}: a JSON object is expected", path));
  return value;
}

bool read_extents(const json& value, std::vector<std::int64_t>& extents) {
  extents.clear();
  if (!value.is_array()) return false;
  for (const json& extent : value) {
    if (!extent.is_number_unsigned()) return false;
    const auto number = extent.get<std::uint64_t>();
    if (number > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) return false;
    extents.push_back(static_cast<std::int64_t>(number));
  }
  return true;
}

}  // namespace ferry::checkpoint
