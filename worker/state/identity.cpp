#include "worker/state/identity.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "base/text/shown.h"
#include "checkpoint/formats/json_text.h"

namespace ferry::worker {
namespace {

using Values = Identity::Values;

constexpr std::size_t kMostNamed = 4;
constexpr std::size_t kMostShown = 60;
constexpr const char* kNothing = "not given";

Values::const_iterator find(const Values& values, const std::string& name) {
  return std::find_if(values.begin(), values.end(), [&](const auto& each) { return each.first == name; });
}

std::string told(const std::string& value) { return value.empty() ? kNothing : shown(value, kMostShown); }

void compare(const Values& mine, const Values& kept, std::vector<std::string>& found) {
  const auto add = [&](const std::string& name, const std::string& here, const std::string& there) {
    if (here != there)
      found.push_back(fmt::format("{} is {}, in the state {}", name, told(here), told(there)));
  };
  for (const auto& [name, value] : mine) {
    const auto other = find(kept, name);
    add(name, value, other == kept.end() ? "" : other->second);
  }
  for (const auto& [name, value] : kept) {
    if (find(mine, name) == mine.end()) add(name, "", value);
  }
}

// The first tensor that is another: "model: dit head.bias is bf16 [4] 0a.., in the state bf16 [4] 1b..".
void compare_tensors(const std::string& network, const Values& mine, const Values& kept,
                     std::vector<std::string>& found) {
  const std::map<std::string, std::string> here(mine.begin(), mine.end());
  const std::map<std::string, std::string> there(kept.begin(), kept.end());
  if (here == there) return;
  const std::string what = network.starts_with("lora") ? network + ":" : "model: " + network;
  for (const auto& [name, mark] : here) {
    const auto other = there.find(name);
    if (other != there.end() && other->second == mark) continue;
    found.push_back(fmt::format("{} {} is {}, in the state {}", what, shown(name, kMostShown), told(mark),
                                told(other == there.end() ? "" : other->second)));
    return;
  }
  found.push_back(fmt::format("{} has {} tensors, in the state {}", what, here.size(), there.size()));
}

Values tensors_of(const Identity& identity, const std::string& network) {
  for (const auto& [name, tensors] : identity.tensors) {
    if (name == network) return tensors;
  }
  return {};
}

}  // namespace

std::string Identity::value(const std::string& name) const {
  const auto found = find(values, name);
  return found == values.end() ? "" : found->second;
}

std::string Identity::take(const std::string& name) {
  const std::string taken = value(name);
  std::erase_if(values, [&](const auto& each) { return each.first == name; });
  return taken;
}

// In ASCII: it stands in a header that must be UTF-8.
std::string to_json(const Identity& identity) {
  const nlohmann::json json = {{"values", identity.values}, {"tensors", identity.tensors}};
  return json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

Identity identity_from_json(const std::string& text) {
  const nlohmann::json json = checkpoint::parse_json(text, "its identity");
  try {
    Identity identity;
    json.at("values").get_to(identity.values);
    json.at("tensors").get_to(identity.tensors);
    return identity;
  } catch (const nlohmann::json::exception& error) {
    throw UserError(fmt::format("its identity: {}", shown(error.what())));
  }
}

std::string differences(const Identity& mine, const Identity& kept) {
  std::vector<std::string> found;
  compare(mine.values, kept.values, found);
  for (const auto& [network, tensors] : mine.tensors)
    compare_tensors(network, tensors, tensors_of(kept, network), found);
  for (const auto& [network, tensors] : kept.tensors) {
    if (tensors_of(mine, network).empty()) compare_tensors(network, {}, tensors, found);
  }
  const std::size_t more = found.size() - std::min(found.size(), kMostNamed);
  found.resize(found.size() - more);
  return fmt::format("{}{}", fmt::join(found, "; "), more > 0 ? fmt::format("; and {} more", more) : "");
}

}  // namespace ferry::worker
