#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "base/dtype.h"
#include "base/error.h"
#include "base/files/file.h"
#include "base/text/shown.h"
#include "worker/planner/builtin.h"
#include "worker/planner/rates.h"

namespace ferry::worker {
namespace {

using Json = nlohmann::ordered_json;

// Beyond these a rate is no machine's, and times computed from it no numbers.
constexpr double kLeast = 1e-9;
constexpr double kMost = 1e9;
constexpr std::int64_t kMostCount = std::int64_t{1} << 40;
constexpr int kMostRanks = 1 << 20;
constexpr std::size_t kLongestText = 200;

// Reads or writes the same members in the same order.
class Writer {
 public:
  template <typename T>
  void plain(const char* key, T& value) {
    json[key] = value;
  }
  template <typename T>
  void count(const char* key, T& value, T, T) {
    json[key] = value;
  }
  void rate(const char* key, Rate& value, bool = false) {
    json[key] = {{"value", value.value}, {"source", word_of(value.source)}};
  }
  void rate_if_there(const char* key, Rate& value, bool = false) { rate(key, value); }
  template <typename T>
  void list(const char* key, std::vector<T>& values) {
    json[key] = Json::array();
    for (T& each : values) {
      Writer inner;
      visit(inner, each);
      json[key].push_back(inner.json);
    }
  }
  Json json;
};

class Reader {
 public:
  Reader(const Json& from, std::string where) : json_(from), where_(std::move(where)) {}

  void plain(const char* key, std::string& value) {
    const Json& from = member(key);
    if (!from.is_string()) fail(fmt::format("{} is of another type", key));
    value = from.get<std::string>();
    const bool is_line = std::ranges::none_of(value, [](unsigned char c) { return c < ' ' || c == 0x7f; });
    if (!is_line || value.size() > kLongestText)
      fail(fmt::format("{} is not one line of at most {} bytes", key, kLongestText));
  }
  void plain(const char* key, bool& value) {
    const Json& from = member(key);
    if (!from.is_boolean()) fail(fmt::format("{} is of another type", key));
    value = from.get<bool>();
  }
  template <typename T>
  void count(const char* key, T& value, T least, T most) {
    const Json& from = member(key);
    const auto above = static_cast<std::uint64_t>(most);
    if (!from.is_number_integer() || from < least ||
        (from.is_number_unsigned() && from.get<std::uint64_t>() > above)) {
      fail(fmt::format("{} is {}; it is a whole number from {} to {}", key, shown(from.dump()), least, most));
    }
    value = from.get<T>();
  }
  void rate(const char* key, Rate& value, bool may_be_0 = false) {
    const Json& from = member(key);
    const bool whole = from.is_object() && from.contains("value") && from["value"].is_number() &&
                       from.contains("source") && from["source"].is_string();
    if (!whole) fail(fmt::format("{} is no {{\"value\": NUMBER, \"source\": WORD}}", key));
    value.value = from["value"].get<double>();
    const double least = may_be_0 ? 0 : kLeast;
    if (!(value.value >= least && value.value <= kMost))
      fail(fmt::format("{} is {}; it is a number from {} to {}", key, value.value, least, kMost));
    const auto source = from_word<RateSource>(from["source"].get<std::string>());
    if (!source) {
      fail(fmt::format("{}: the source is {}; accepted: {}", key, shown(from["source"].dump()),
                       fmt::join(words_of(RateSource{}), ", ")));
    }
    value.source = *source;
  }
  // Files of an earlier version lack it.
  void rate_if_there(const char* key, Rate& value, bool may_be_0 = false) {
    if (json_.is_object() && json_.contains(key)) rate(key, value, may_be_0);
  }
  template <typename T>
  void list(const char* key, std::vector<T>& values) {
    const Json& from = member(key);
    if (!from.is_array() || from.empty()) fail(fmt::format("{} is no list, or an empty one", key));
    for (std::size_t i = 0; i < from.size(); ++i) {
      Reader inner(from[i], fmt::format("{}: {}[{}]", where_, key, i));
      visit(inner, values.emplace_back());
    }
  }

 private:
  const Json& member(const char* key) const {
    if (!json_.is_object() || !json_.contains(key)) fail(fmt::format("{} is missing", key));
    return json_[key];
  }
  [[noreturn]] void fail(const std::string& what) const { throw UserError(where_ + ": " + what); }

  const Json& json_;
  std::string where_;
};

template <class Visitor>
void count(Visitor& v, const char* key, std::int64_t& value) {
  v.count(key, value, std::int64_t{1}, kMostCount);
}

}  // namespace

template <class Visitor>
static void visit(Visitor& v, LinearRate& r) {
  count(v, "rows", r.rows);
  count(v, "in", r.in);
  count(v, "out", r.out);
  v.rate("tflops", r.tflops);
}

template <class Visitor>
static void visit(Visitor& v, AttentionRate& r) {
  count(v, "queries", r.queries);
  count(v, "keys", r.keys);
  count(v, "heads", r.heads);
  v.rate("tflops", r.tflops);
}

template <class Visitor>
static void visit(Visitor& v, RankRates& r) {
  v.count("ranks", r.ranks, 1, kMostRanks);
  v.count("threads", r.threads, 0, kMostRanks);
  v.list("linear", r.linear);
  v.list("attention", r.attention);
  v.rate("pass_gbps", r.pass_gbps);
  v.rate("block_s", r.block_s, true);
  v.rate("ranks_loss", r.ranks_loss, true);
  v.rate("link_gbps", r.link_gbps);
  v.rate("copy_loss", r.copy_loss, true);
  v.rate("exchange_s", r.exchange_s, true);
  v.rate("exchange_gbps", r.exchange_gbps);
  v.rate("exchange_exposed", r.exchange_exposed, true);
  v.rate("gather_gbps", r.gather_gbps);
  v.rate("gather_loss", r.gather_loss, true);
}

template <class Visitor>
static void visit(Visitor& v, MachineRates& m) {
  v.plain("name", m.name);
  v.plain("device", m.device);
  v.plain("dtype", m.dtype);
  v.plain("gpu", m.gpu);
  v.count("node_ranks", m.node_ranks, 1, kMostRanks);
  v.rate("device_gib", m.device_gib);
  v.rate("host_gib", m.host_gib);
  v.rate("network_gbps", m.network_gbps);
  v.rate("network_s", m.network_s, true);
  v.rate_if_there("network_exposed", m.network_exposed, true);
  v.rate("init_s", m.init_s, true);
  v.rate("read_gbps", m.read_gbps);
  v.rate("pin_gbps", m.pin_gbps);
  v.rate("decode_tflops", m.decode_tflops);
  v.list("by_ranks", m.by_ranks);
}

MachineRates machine_from_json(const std::string& text, const std::string& where) {
  const Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) throw UserError(where + ": it is not JSON");
  MachineRates machine;
  Reader reader(json, where);
  visit(reader, machine);
  if (machine.dtype != name_of(DType::BF16) && machine.dtype != name_of(DType::F32))
    throw UserError(fmt::format("{}: dtype is '{}'; accepted: bf16, fp32", where, machine.dtype));
  for (std::size_t i = 1; i < machine.by_ranks.size(); ++i) {
    if (machine.by_ranks[i].ranks <= machine.by_ranks[i - 1].ranks)
      throw UserError(where + ": by_ranks is not in ascending order of ranks");
  }
  return machine;
}

std::string to_json(const MachineRates& machine) {
  Writer writer;
  MachineRates copy = machine;
  visit(writer, copy);
  return writer.json.dump(2);
}

std::vector<std::string> builtin_machines() {
  std::vector<std::string> names;
  for (const auto& [name, text] : kBuiltinMachines) names.emplace_back(name);
  return names;
}

MachineRates load_machine(const std::string& file_or_name) {
  for (const auto& [name, text] : kBuiltinMachines) {
    if (file_or_name == name) return machine_from_json(std::string(text), "machine " + file_or_name);
  }
  if (!std::filesystem::exists(file_or_name)) {
    throw UserError(fmt::format("machine {}: there is no such file; built in are {}",
                                shown(file_or_name, 200), fmt::join(builtin_machines(), ", ")));
  }
  const MappedFile file(file_or_name);
  return machine_from_json({reinterpret_cast<const char*>(file.data()), file.bytes()},
                           "machine file " + file_or_name);
}

}  // namespace ferry::worker
