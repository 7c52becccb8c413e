#include "launcher/options/numbers.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace ferry::launcher {
namespace {

// `text` begins with a quote.
std::size_t length_of_string(std::string_view text) {
  std::size_t at = 1;
  while (at < text.size() && text[at] != '"') at += text[at] == '\\' ? 2 : 1;
  return std::min(at + 1, text.size());
}

std::size_t length_of_number(std::string_view text) {
  std::size_t at = 0;
  const auto skip = [&](std::string_view any) {
    if (at < text.size() && any.find(text[at]) != std::string_view::npos) ++at;
  };
  const auto skip_digits = [&] {
    while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
  };
  skip("-");
  skip_digits();
  skip(".");
  skip_digits();
  if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
    ++at;
    skip("+-");
    skip_digits();
  }
  return at;
}

// As the parser of the whole text would find it.
bool is_too_large(std::string_view number) {
  constexpr std::size_t kDigitsOfAnInteger = 18;  // so many fit in any case
  const bool whole = number.find_first_of(".eE") == std::string_view::npos;
  if (whole && number.size() <= kDigitsOfAnInteger) return false;
  try {
    const auto value = nlohmann::json::parse(number);
    return whole && value.is_number_float();
  } catch (const nlohmann::json::out_of_range&) {
    return true;
  } catch (const nlohmann::json::exception&) {  // no number
    return false;
  }
}

}  // namespace

std::optional<Saturated> saturated_numbers(std::string_view json) {
  std::optional<Saturated> result;
  std::size_t copied = 0;
  for (std::size_t at = 0; at < json.size();) {
    const std::string_view rest = json.substr(at);
    const std::string_view number = rest.substr(0, length_of_number(rest));
    if (is_too_large(number)) {
      if (!result) result = {.text = "", .first = std::string(number)};
      result->text.append(json.substr(copied, at - copied));
      result->text += number.starts_with('-') ? "-1.7976931348623157e308" : "1.7976931348623157e308";
      copied = at + number.size();
    }
    at += !number.empty() ? number.size() : rest.starts_with('"') ? length_of_string(rest) : 1;
  }
  if (result) result->text.append(json.substr(copied));
  return result;
}

}  // namespace ferry::launcher
