#include "launcher/options/names.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "base/text/nearest.h"
#include "launcher/options/words.h"

namespace ferry::launcher {
namespace {

// A known name, and a value if the word implies one.
struct Meaning {
  std::string name;
  std::string value = {};
};

std::vector<std::string> known_names(const Names& names, Place place) {
  std::vector<std::string> known;
  if (place == Place::CommandLine) known = {"config", "ranks", "help"};
  for (const auto& entry : names) known.push_back(entry.first);
  return known;
}

// The shortest name that `fits`; empty if none does.
template <typename Fits>
std::string shortest(const std::vector<std::string>& known, Fits fits) {
  std::string best;
  for (const std::string& name : known) {
    if (fits(name) && (best.empty() || name.size() < best.size())) best = name;
  }
  return best;
}

std::string after_dot(const std::string& name, std::size_t dot) {
  return dot == std::string::npos ? name : name.substr(dot + 1);
}

bool is_known(const std::string& name, const Names& names, Place place) {
  return names.contains(name) || (place == Place::CommandLine && (name == "ranks" || name == "config"));
}

// `key` in the spelling of that place.
std::string written(const std::string& key, const Names& names, Place place) {
  const auto found = names.find(key);
  if (found == names.end()) return key;
  const Flag& flag = *found->second;
  if (place == Place::File) return flag.key;
  if (place == Place::Manifest) return after_dot(flag.key, flag.key.find('.'));
  return flag.short_form.empty() ? flag.key : flag.short_form;
}

// "num_frames", or in a file "job.num_frames"; "dit.offload.prefetch" means the DiT's.
Meaning elsewhere(const std::string& word, const Names& names, Place place) {
  for (const std::string& part : {word, after_dot(word, word.rfind('.'))}) {
    const KnownElsewhere here = option_elsewhere(part);
    const std::string key(here.key);
    const std::size_t dot = word.find('.');
    const std::string of_stage = dot == std::string::npos ? "" : word.substr(0, dot + 1) + key;
    if (names.contains(of_stage)) return {of_stage, std::string(here.value)};
    if (is_known(key, names, place)) return {written(key, names, place), std::string(here.value)};
  }
  return {};
}

Meaning meaning_of(const std::string& word, const Names& names, Place place) {
  const std::vector<std::string> known = known_names(names, place);
  const auto same_letters = [letters = letters_of(word)](const std::string& name) {
    return letters_of(name) == letters;
  };
  const auto same_ending = [last = letters_of(after_dot(word, word.rfind('.')))](const std::string& name) {
    return letters_of(after_dot(name, name.rfind('.'))) == last;
  };
  if (const auto same = shortest(known, same_letters); !same.empty()) return {written(same, names, place)};
  if (const Meaning meaning = elsewhere(word, names, place); !meaning.name.empty()) return meaning;
  if (const auto same = shortest(known, same_ending); !same.empty()) return {written(same, names, place)};
  if (is_without_counterpart(word)) return {};
  const std::string near = nearest(word, known);
  return {near.empty() ? "" : written(near, names, place)};
}

}  // namespace

Names names_of(const std::vector<FlagGroup>& groups) {
  Names names;
  for (const FlagGroup& group : groups) {
    for (const Flag& flag : group.flags) {
      names[flag.key] = &flag;
      if (!flag.short_form.empty()) names[flag.short_form] = &flag;
      const std::size_t dot = flag.key.find('.');
      if (dot != std::string::npos && !flag.short_form.empty()) names[flag.key.substr(dot + 1)] = &flag;
    }
  }
  return names;
}

std::string meant(const std::string& word, const Names& names, Place place) {
  const Meaning meaning = meaning_of(word, names, place);
  if (meaning.name.empty()) return "";
  if (place == Place::File) {
    return fmt::format("; did you mean {}{}{}?", meaning.name, meaning.value.empty() ? "" : " = ",
                       meaning.value);
  }
  if (place == Place::Manifest) return fmt::format("; did you mean {}?", meaning.name);
  const std::string name = meaning.name == "ranks" ? "-n" : "--" + meaning.name;
  return fmt::format("; did you mean {}{}{}?", name, meaning.value.empty() ? "" : " ", meaning.value);
}

bool is_group(const std::string& group, const Names& names) {
  const auto first = names.lower_bound(group + ".");
  return first != names.end() && first->first.starts_with(group + ".");
}

std::string meant_group(const std::string& group, const Names& names) {
  std::set<std::string> groups;
  for (const auto& entry : names) groups.insert(entry.first.substr(0, entry.first.find('.')));
  std::erase_if(groups, [&](const std::string& name) { return !is_group(name, names); });
  const std::string letters = letters_of(group);
  for (const std::string& name : groups) {
    if (letters_of(name) == letters) return fmt::format("; did you mean [{}]?", name);
  }
  const std::string near = nearest(group, std::vector<std::string>(groups.begin(), groups.end()));
  return near.empty() ? fmt::format("; accepted: {}", fmt::join(groups, ", "))
                      : fmt::format("; did you mean [{}]?", near);
}

}  // namespace ferry::launcher
