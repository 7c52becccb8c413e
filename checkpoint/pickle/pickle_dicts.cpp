#include "checkpoint/pickle/pickle_dicts.h"

#include <fmt/format.h>

#include <string>
#include <unordered_set>

#include "base/text/describe.h"

namespace ferry::checkpoint {

namespace {

constexpr int kDeepest = 8;
constexpr std::size_t kMostDicts = 10'000;
// One key, and one tensor, may stand in many dicts of a small pickle.
constexpr std::size_t kLongestKey = 1000;
constexpr std::size_t kMostTensors = 200'000;

struct Place {
  std::string path;
  PickleRef dict = 0;
  int depth = 0;
};

std::string path_below(const std::string& path, const PickleValue& key) {
  const std::string name = key.kind == PickleKind::Text  ? printable(key.text)
                           : key.kind == PickleKind::Int ? std::to_string(key.number)
                                                         : "?";
  return path == "." ? name : path + "." + name;
}

}  // namespace

std::vector<PickledDict> tensor_dicts(const PickleMachine& machine, PickleRef root) {
  if (machine[root].kind != PickleKind::Dict) machine.refuse("its root is no dict of tensors");
  std::vector<PickledDict> found;
  std::vector<Place> places = {{".", root, 0}};
  std::unordered_set<PickleRef> seen = {root};
  std::size_t tensors = 0;
  for (std::size_t at = 0; at < places.size(); ++at) {
    const Place place = places[at];
    const std::vector<PickleRef>& items = machine[place.dict].items;
    PickledDict dict{.path = place.path, .tensors = {}};
    std::unordered_set<std::string> names;
    for (std::size_t i = 0; i < items.size(); i += 2) {
      const PickleValue& key = machine[items[i]];
      const PickleValue& value = machine[items[i + 1]];
      // A dict referenced twice is visited once; pickles may be cyclic.
      if (value.kind == PickleKind::Dict && place.depth < kDeepest && places.size() < kMostDicts &&
          seen.insert(items[i + 1]).second)
        places.push_back({path_below(place.path, key), items[i + 1], place.depth + 1});
      if (value.kind != PickleKind::Tensor) continue;
      if (key.kind != PickleKind::Text && place.depth > 0)
        continue;  // an optimizer's state, not a state dict
      if (key.kind != PickleKind::Text) machine.refuse("a tensor's key is no text");
      if (key.text.size() > kLongestKey)
        machine.refuse(fmt::format("a tensor's key has {} characters", key.text.size()));
      if (++tensors > kMostTensors) machine.refuse(fmt::format("more than {} tensors", kMostTensors));
      if (!names.insert(key.text).second) machine.refuse("the key " + printable(key.text) + " stands twice");
      dict.tensors.emplace_back(key.text, value.tensor);
    }
    if (!dict.tensors.empty()) found.push_back(std::move(dict));
  }
  return found;
}

}  // namespace ferry::checkpoint
