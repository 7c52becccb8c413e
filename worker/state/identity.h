// What an unfinished run is, as values: everything that decides its bits, and nothing else.
//
// Paths and times do not count; nor does offloading, which does not change bits (except the types of
// `sequential`, and LoRAs that it adds in calls).
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace ferry::worker {

struct Identity {
  using Values = std::vector<std::pair<std::string, std::string>>;  // name -> value, in order

  Values values;  // "seed" -> "7"
  // By network or "lora", "lora 2": its tensors, "blocks.0.ffn.0.weight" -> "bf16 [8960, 1536] 0123abcd..."
  std::vector<std::pair<std::string, Values>> tensors;

  // The value of that name, or empty.
  std::string value(const std::string& name) const;
  // As above, and removes it.
  std::string take(const std::string& name);
};

std::string to_json(const Identity& identity);
// Throws UserError if `text` is not to_json()'s.
Identity identity_from_json(const std::string& text);

// Names what differs: "seed is 2, in the state 1; size is 64x64, in the state 128x128".  Empty if nothing
// does.  One line of bounded length.
std::string differences(const Identity& mine, const Identity& kept);

}  // namespace ferry::worker
