// LoRA files and adapter_config.json made at random from fixed seeds: the scale is the one that their maker
// meant, or they are refused with one line.  Then the same with bytes changed: what is still accepted has the
// scale that a plain reading of the changed text gives.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>
#include <regex>

#include "base/error.h"
#include "checkpoint/formats/safetensors.h"
#include "checkpoint/lora/lora.h"
#include "model/dit/spec.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

using testing::TempFolder;
using Json = nlohmann::ordered_json;
using Metadata = std::map<std::string, std::string>;
using Scales = std::vector<double>;

const model::DitConfig kDit{.dim = 24, .ffn_dim = 40, .heads = 2, .layers = 2};
struct Linear {
  const char* official;
  const char* diffusers;
  std::int64_t out;
};
const std::vector<Linear> kLinears = {{"blocks.0.self_attn.q", "blocks.0.attn1.to_q", 24},
                                      {"blocks.1.self_attn.q", "blocks.1.attn1.to_q", 24},
                                      {"blocks.0.cross_attn.o", "blocks.0.attn2.to_out.0", 24},
                                      {"blocks.1.ffn.0", "blocks.1.ffn.net.0.proj", 40}};

// What a file and the file beside it are made from.
struct Made {
  bool diffusers = false;
  std::vector<std::int64_t> ranks;
  std::vector<std::optional<std::int64_t>> alphas;  // tensors
  Metadata metadata;
  std::optional<std::string> config;
  bool crowded = false;  // another LoRA in the folder
};

class LoraFuzz : public ::testing::Test {
 protected:
  std::uint64_t below(std::uint64_t end) { return random() % end; }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  template <typename T>
  T any(const std::vector<T>& values) {
    return values[below(values.size())];
  }

  std::string file() const { return folder / "style.safetensors"; }

  // By hand: the writer of the library waits for the disk.
  void write(const Made& made) {
    Json header;
    std::string data;
    const auto add = [&](const std::string& name, const char* type, const std::vector<std::int64_t>& shape,
                         const std::string& bytes) {
      header[name] = {
          {"dtype", type}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes.size()}}};
      data += bytes;
    };
    if (!made.metadata.empty()) header["__metadata__"] = made.metadata;
    for (std::size_t i = 0; i < kLinears.size(); ++i) {
      const Linear& linear = kLinears[i];
      const std::string name = made.diffusers ? fmt::format("transformer.{}", linear.diffusers)
                                              : fmt::format("diffusion_model.{}", linear.official);
      const auto floats = [](std::int64_t count) {
        return std::string(static_cast<std::size_t>(4 * count), '\0');
      };
      if (made.alphas[i]) {
        const std::int64_t alpha = *made.alphas[i];
        add(name + ".alpha", "I64", {}, std::string(reinterpret_cast<const char*>(&alpha), sizeof alpha));
      }
      add(name + ".lora_A.weight", "F32", {made.ranks[i], 24}, floats(made.ranks[i] * 24));
      add(name + ".lora_B.weight", "F32", {linear.out, made.ranks[i]}, floats(linear.out * made.ranks[i]));
    }
    testing::write_bytes(file(), testing::safetensors_bytes(header.dump(), data));
    std::filesystem::remove(folder / "other.safetensors");
    if (made.crowded) testing::write_bytes(folder / "other.safetensors", "x");
    std::filesystem::remove(folder / "adapter_config.json");
    if (made.config) testing::write_bytes(folder / "adapter_config.json", *made.config);
  }

  // The scales in the order of kLinears, or nothing when the file was refused.
  std::optional<Scales> read(const std::string& path) {
    try {
      const LoraFile lora = LoraFile::open(path, spec, Part::Dit);
      Scales scales;
      for (const Linear& linear : kLinears) {
        const auto found = lora.pairs().find(linear.official);
        scales.push_back(found == lora.pairs().end() ? 0 : found->second.scale);
      }
      return scales;
    } catch (const UserError& error) {
      EXPECT_EQ(std::strchr(error.what(), '\n'), nullptr) << error.what();
      why = error.what();
      return {};
    }
  }

  Made plain_file() {
    Made made{.diffusers = chance(2), .ranks = {}, .alphas = {}, .metadata = {}, .config = {}};
    for (std::size_t i = 0; i < kLinears.size(); ++i) made.ranks.push_back(any<std::int64_t>({1, 2, 4}));
    made.alphas.resize(kLinears.size());
    return made;
  }

  TempFolder folder;
  model::NetworkSpec spec = model::dit_spec(kDit, DType::BF16);
  std::mt19937_64 random;
  std::string why;
};

// What one source is to say, and how it says it.
struct Statement {
  double alpha = 1;
  bool rslora = false;
  std::optional<std::size_t> own;  // a linear with an alpha of its own, by pattern
  double own_alpha = 1;

  double scale(std::size_t i, std::int64_t rank) const {
    const double value = own == i ? own_alpha : alpha;
    return rslora ? value / std::sqrt(static_cast<double>(rank)) : value / static_cast<double>(rank);
  }
};

class LoraStatements : public LoraFuzz {
 protected:
  Statement statement() {
    Statement said{.alpha = any<double>({1, 8, 16, 0.5, 3, -2}), .rslora = chance(3), .own = {}};
    if (chance(2)) said.own = below(kLinears.size());
    said.own_alpha = any<double>({5, 7, 32});
    return said;
  }

  Json number(double value) {
    switch (below(3)) {
      case 0:
        return fmt::format("{}", value);
      case 1:
        return value == std::floor(value) ? Json(static_cast<int>(value)) : Json(value);
      default:
        return value;
    }
  }

  std::string pattern(std::size_t i) {
    const std::string name = chance(2) ? kLinears[i].official : kLinears[i].diffusers;
    switch (below(3)) {
      case 0:
        return "^" + name;
      case 1:
        return std::regex_replace(name, std::regex("\\."), "\\.");
      default:
        return name;
    }
  }

  // As PEFT writes it; `component` may be "transformer.".
  Json object(const Statement& said, const Made& made, const std::string& component) {
    Json json;
    json[component + "peft_type"] = "LORA";
    json[component + "lora_alpha"] = number(said.alpha);
    if (said.rslora || chance(2)) json[component + "use_rslora"] = said.rslora;
    if (said.own) json[component + "alpha_pattern"] = {{pattern(*said.own), number(said.own_alpha)}};
    if (chance(2)) json[component + "target_modules"] = {"to_q", "ffn.0"};
    if (chance(2)) json[component + "use_dora"] = false;
    if (chance(2)) {
      Json ranks = Json::object();
      for (std::size_t i = 0; i < kLinears.size(); ++i)
        if (made.ranks[i] != made.ranks[0]) ranks[std::string("^") + kLinears[i].official] = made.ranks[i];
      json[component + "r"] = made.ranks[0];
      json[component + "rank_pattern"] = ranks;
    }
    return json;
  }

  void say_in_header(Made& made, Statement& said) {
    if (chance(3)) {
      said.own.reset();
      const auto name = any<std::string>({"alpha", "lora_alpha", "network_alpha", "ss_network_alpha"});
      made.metadata[name] = fmt::format("{}", said.alpha);
      if (said.rslora) made.metadata["use_rslora"] = "true";
    } else {
      const Json json = object(said, made, any<std::string>({"", "transformer."}));
      made.metadata[any<std::string>({"lora_adapter_metadata", "lora_config"})] = json.dump();
    }
  }

  // Makes one thing wrong in a source that will be used.
  Json spoiled(Json json) {
    switch (below(8)) {
      case 0:
        json["lora_alpha"] = Json::parse(
            any<std::string>({R"("x")", "true", "null", R"("nan")", R"("1e400")", "0", "1e12", "[]"}));
        json.erase("alpha_pattern");
        break;
      case 1:
        json["r"] = 3;
        json.erase("rank_pattern");
        break;
      case 2:
        json["use_dora"] = true;
        break;
      case 3:
        json["init_lora_weights"] = any<std::string>({"pissa", "olora", "loftq", "pissa_niter_4"});
        break;
      case 4:
        json["modules_to_save"] = {"head"};
        break;
      case 5:
        json["peft_type"] = "LOKR";
        break;
      case 6:
        json["use_rslora"] = "sometimes";
        break;
      default:
        json["use_rslora"] = true;
        json.erase("lora_alpha");
        json.erase("alpha_pattern");
    }
    return json;
  }
};

TEST_F(LoraStatements, TheScaleIsWhatItsMakerMeant) {
  int accepted = 0;
  int refused = 0;
  for (int round = 0; round < 1000; ++round) {
    random.seed(static_cast<std::uint64_t>(round));
    Made made = plain_file();
    const bool tensors = chance(4);
    for (auto& alpha : made.alphas)
      if (tensors || chance(8)) alpha = static_cast<std::int64_t>(1 + below(20));
    const bool asked = std::any_of(made.alphas.begin(), made.alphas.end(), [](const auto& a) { return !a; });
    std::optional<Statement> used;
    bool good = true;
    made.crowded = chance(4);
    if (chance(2)) {
      Statement header = statement();
      say_in_header(made, header);
      used = header;
    }
    if (chance(2)) {
      Statement config = statement();
      if (used && chance(2)) config = *used;
      Json json = object(config, made, "");
      const bool bad = chance(4);
      if (bad) json = spoiled(json);
      made.config = json.dump(chance(2) ? 2 : -1);
      if (!made.crowded && bad) good = false;
      if (made.crowded && !used) good = false;
      for (std::size_t i = 0; used && !made.crowded && i < kLinears.size(); ++i)
        if (!made.alphas[i] && used->scale(i, made.ranks[i]) != config.scale(i, made.ranks[i])) good = false;
      if (!used) used = config;
    }
    write(made);
    const auto scales = read(file());
    const std::string text =
        fmt::format("round {}: {}: config {}", round, why, made.config ? *made.config : "none");
    ASSERT_EQ(scales.has_value(), good || !asked) << text;
    ++(scales ? accepted : refused);
    for (std::size_t i = 0; scales && i < kLinears.size(); ++i) {
      const std::int64_t rank = made.ranks[i];
      const double expected = made.alphas[i]
                                  ? static_cast<double>(*made.alphas[i]) / static_cast<double>(rank)
                              : used ? used->scale(i, rank)
                                     : 1.0;
      EXPECT_DOUBLE_EQ((*scales)[i], expected) << text;
    }
  }
  EXPECT_GT(accepted, 300);
  EXPECT_GT(refused, 100);
}

// The scale that PEFT's rules give for a configuration, read as plainly as can be; nothing when it says none.
std::optional<double> plain_scale(const Json& json, const std::string& component, const std::string& name,
                                  std::int64_t rank) {
  const auto value = [&](const char* member) {
    const auto found = json.find(component + member);
    return found == json.end() ? Json() : *found;
  };
  const auto number = [](const Json& said) {
    return said.is_string() ? std::stod(said.get<std::string>()) : said.get<double>();
  };
  const auto by_pattern = [&](const char* patterns, Json otherwise) -> Json {
    const Json object = value(patterns);
    for (const auto& [pattern, own] : object.items())
      if (std::regex_match(name, std::regex("(.*\\.)?(" + pattern + ")"))) return own;
    return otherwise;
  };
  const Json alpha = by_pattern("alpha_pattern", value("lora_alpha"));
  const Json said_rank = by_pattern("rank_pattern", value("r"));
  if (alpha.is_null()) return {};
  EXPECT_TRUE(said_rank.is_null() || number(said_rank) == static_cast<double>(rank)) << json;
  const Json rslora = value("use_rslora");
  const bool root = rslora == true || rslora == 1;
  return root ? number(alpha) / std::sqrt(static_cast<double>(rank))
              : number(alpha) / static_cast<double>(rank);
}

class LoraBytes : public LoraStatements {
 protected:
  void change(std::string& text, std::size_t begin, std::size_t end) {
    static const std::string kWritten = "0123456789.-+eE\"{}[]:, truefalsn_ar";
    for (std::uint64_t i = 0, times = 1 + below(3); i < times; ++i) {
      char& at = text[begin + below(end - begin)];
      at = chance(4) ? static_cast<char>(random()) : kWritten[below(kWritten.size())];
    }
  }

  void expect(const Scales& scales, const Made& made, const Json& json, const std::string& component) {
    for (std::size_t i = 0; i < kLinears.size(); ++i) {
      const auto expected = plain_scale(json, component, kLinears[i].official, made.ranks[i]);
      ASSERT_TRUE(expected) << json;
      EXPECT_DOUBLE_EQ(scales[i], *expected) << json;
    }
  }

  Made official_file() {
    Made made = plain_file();
    made.diffusers = false;
    return made;
  }
  // Whose patterns the plain reading finds, too.
  Statement official_statement() {
    Statement said = statement();
    said.own.reset();
    return said;
  }
  Json official_object(const Made& made, const std::string& component) {
    Json json = object(official_statement(), made, component);
    if (chance(2))
      json[component + "alpha_pattern"] = {{any<std::string>({"self_attn.q", "^blocks.1.ffn.0"}), 5}};
    return json;
  }
};

TEST_F(LoraBytes, AChangedConfigIsReadAsItStandsOrRefused) {
  int accepted = 0;
  for (int round = 0; round < 1000; ++round) {
    random.seed(static_cast<std::uint64_t>(round) + 10'000);
    Made made = official_file();
    made.config = official_object(made, "").dump();
    change(*made.config, 0, made.config->size());
    write(made);
    const auto scales = read(file());
    if (!scales) continue;
    ++accepted;
    SCOPED_TRACE(round);
    expect(*scales, made, Json::parse(*made.config), "");
  }
  EXPECT_GT(accepted, 20);
}

TEST_F(LoraBytes, AChangedHeaderIsReadAsItStandsOrRefused) {
  int accepted = 0;
  for (int round = 0; round < 1000; ++round) {
    random.seed(static_cast<std::uint64_t>(round) + 20'000);
    Made made = official_file();
    made.metadata["lora_adapter_metadata"] = official_object(made, "transformer.").dump();
    write(made);
    std::string bytes = testing::read_bytes(file());
    const std::size_t begin = bytes.find("lora_adapter_metadata");
    change(bytes, begin + 24, std::min(bytes.size(), begin + 24 + made.metadata.begin()->second.size()));
    testing::write_bytes(file(), bytes);
    const auto scales = read(file());
    if (!scales) continue;
    ++accepted;
    SCOPED_TRACE(round);
    const std::string text = SafetensorsFile::open(file()).metadata().at("lora_adapter_metadata");
    expect(*scales, made, Json::parse(text), "transformer.");
  }
  EXPECT_GT(accepted, 20);
}

// Any byte of the header, tensors' names and shapes among them.
TEST_F(LoraBytes, AHeaderChangedAnywhereIsReadOrRefused) {
  random.seed(7);
  Made made = official_file();
  made.metadata["lora_alpha"] = "16";
  write(made);
  const std::string good = testing::read_bytes(file());
  ASSERT_TRUE(read(file()));
  const std::size_t header = good.find("}}") + 2;
  for (int round = 0; round < 1000; ++round) {
    std::string bytes = good;
    change(bytes, 0, header);
    testing::write_bytes(file(), bytes);
    if (const auto scales = read(file())) {
      for (const double scale : *scales) EXPECT_TRUE(std::isfinite(scale));
    }
  }
}

}  // namespace
}  // namespace ferry::checkpoint
