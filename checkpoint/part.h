// The networks of a checkpoint, as files know them; worker/role.h is the counterpart in a run.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ferry::checkpoint {

enum class Part : std::uint8_t { Dit, Vae, TextEncoder };

struct PartName {
  Part part;
  std::string_view word;   // in options
  std::string_view title;  // in messages
};

// All of them, in the order of the enum.
inline constexpr std::array<PartName, 3> kParts = {{{Part::Dit, "dit", "DiT"},
                                                    {Part::Vae, "vae", "VAE"},
                                                    {Part::TextEncoder, "text_encoder", "text encoder"}}};

// "dit", "vae", "text_encoder".
inline std::vector<std::string> part_words() {
  std::vector<std::string> words;
  for (const PartName& each : kParts) words.emplace_back(each.word);
  return words;
}

// "DiT", "VAE", "text encoder".
constexpr std::string_view name_of(Part part) { return kParts.at(static_cast<std::size_t>(part)).title; }

}  // namespace ferry::checkpoint
