// Targets of what lies beside weights and says what they are: an index of shards, scales of 8-bit weights,
// config.json and its like.
#include <filesystem>
#include <stdexcept>

#include "base/error.h"
#include "base/files/file.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/folder/shards.h"
#include "checkpoint/inspect/inspect.h"
#include "checkpoint/make/make_model.h"
#include "checkpoint/network/config_file.h"
#include "checkpoint/network/config_members.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/tensors.h"

namespace ferry::fuzz {
namespace {

namespace fs = std::filesystem;
using checkpoint::Checkpoint;
using checkpoint::Part;

constexpr const char* kFirst = "diffusion_pytorch_model-00001-of-00002.safetensors";
constexpr const char* kSecond = "diffusion_pytorch_model-00002-of-00002.safetensors";

// Two shards, and a file outside their folder that must not be read.
std::string shard_folder() {
  static const std::string folder = [] {
    put(std::string("shards/") + kFirst, safetensors({{"a", DType::F32, {2}}, {"b", DType::BF16, {1}}}, {}));
    put(std::string("shards/") + kSecond, safetensors({{"c", DType::F32, {3}}}, {}));
    put("outside.safetensors", safetensors({{"a", DType::F32, {2}}}, {}));
    return scratch("shards");
  }();
  return folder;
}

void require_inside(const std::string& path, const fs::path& folder) {
  const fs::path file(path);
  if (file.parent_path() != folder || file.filename() == "." || file.filename() == "..")
    throw std::logic_error("a shard outside of the folder: " + path);
}

void read_index(std::string_view input) {
  const std::string folder = shard_folder();
  put("shards/diffusion_pytorch_model.safetensors.index.json", input);
  const checkpoint::PartFiles files =
      checkpoint::find_safetensors(folder, {"diffusion_pytorch_model"}, false);
  for (const std::string& file : files.files) require_inside(file, folder);
  const checkpoint::Shards shards = checkpoint::open_shards(files);
  for (const checkpoint::TensorEntry& entry : shards.entries) require_inside(entry.file, folder);
  touch(shards.entries);
}

std::vector<std::string> index_corpus() {
  const std::string first = std::string(": \"") + kFirst + "\"";
  const std::string second = std::string(": \"") + kSecond + "\"";
  return {R"({"metadata": {"total_size": 22}, "weight_map": {"a")" + first + R"(, "b")" + first + R"(, "c")" +
              second + "}}",
          R"({"weight_map": {"c")" + second + "}}"};
}

// config.json and the file, a zero byte between them.
void read_quantized(std::string_view input) {
  const std::size_t end = std::min(input.find('\0'), input.size());
  put("quantized/config.json", input.substr(0, end));
  put("quantized/diffusion_pytorch_model.safetensors", input.substr(std::min(end + 1, input.size())));
  static_cast<void>(to_json(checkpoint::inspect(scratch("quantized"))));
  touch(Checkpoint::open(scratch("quantized"), Part::Dit).entries());
}

std::vector<std::string> quantized_corpus() {
  const std::string q = "blocks.0.self_attn.q";
  const std::string k = "blocks.0.self_attn.k";
  const std::string fp8 = safetensors({{q + ".weight_scale", DType::F32, {48, 1}},
                                       {q + ".weight", DType::F8E4M3, {48, 40}},
                                       {k + ".weight", DType::F8E4M3, {8, 8}},
                                       {k + ".scale_weight", DType::F32, {1}}},
                                      {});
  const std::string int8 = safetensors(
      {{k + ".weight_scale_inv", DType::BF16, {2, 2}}, {k + ".weight", DType::I8, {192, 130}}},
      {{"_quantization_metadata", R"({"layers":{"blocks.0.self_attn.k":{"format":"int8_blockwise"}}})"}});
  const std::string none(1, '\0');
  return {R"({"quantization_config": {"quant_method": "fp8", "weight_block_size": null}})" + none + fp8,
          "{}" + none + int8};
}

// A small model, whose JSON files are replaced by the input.
std::string model_folder() {
  static const std::string folder = [] {
    checkpoint::MakeModelOptions options;
    options.out = scratch("model");
    options.layout = checkpoint::KeyLayout::Diffusers;
    options.sparse = true;
    options.layers = 1;
    options.text_layers = 1;
    options.threads = 1;
    checkpoint::make_model(options, {});
    return options.out;
  }();
  return folder;
}

constexpr const char* kConfigs[] = {"transformer/config.json", "vae/config.json", "text_encoder/config.json",
                                    "scheduler/scheduler_config.json"};

void read_members(const std::string& path, Part part) {
  const checkpoint::ConfigFile config(path);
  checkpoint::check_class(config, part);
  checkpoint::check_members(config, part);
  static_cast<void>(checkpoint::unknown_members(config, part));
}

// One text for five files: each reader sees members of its own and members it does not know.
void read_model_config(std::string_view input) {
  const std::string folder = model_folder();
  for (const char* name : kConfigs) put(std::string("model/") + name, input);
  put("pipeline/model_index.json", input);
  std::string refusal;
  int accepted = 0;
  const auto attempt = [&](auto&& read) {
    try {
      read();
      ++accepted;
    } catch (const UserError& error) {
      refusal = error.what();
    }
  };
  for (const Part part : {Part::Dit, Part::Vae, Part::TextEncoder}) {
    attempt([&] { checkpoint::check_model_index(scratch("pipeline"), part); });
    attempt([&] { read_members(folder + "/" + kConfigs[0], part); });
  }
  attempt([&] { checkpoint::scheduler_flow_shift(folder); });
  attempt([&] { checkpoint::scheduler_sampler(folder); });
  attempt([&] { static_cast<void>(checkpoint::dit_config(Checkpoint::open(folder, Part::Dit))); });
  attempt([&] { static_cast<void>(checkpoint::umt5_config(Checkpoint::open(folder, Part::TextEncoder))); });
  // The VAE's file takes a hundred times as long as its config.json, so only whole ones get that far.
  if (accepted > 1)
    attempt([&] { static_cast<void>(checkpoint::vae_config(Checkpoint::open(folder, Part::Vae))); });
  if (accepted == 0) throw UserError(refusal);
}

std::vector<std::string> model_config_corpus() {
  std::vector<std::string> corpus;
  const std::string folder = model_folder();
  for (const char* name : kConfigs) {
    const std::string path = folder + "/" + name;
    if (fs::exists(path)) corpus.push_back(read_file(path));
  }
  if (fs::exists(folder + "/model_index.json")) corpus.push_back(read_file(folder + "/model_index.json"));
  corpus.emplace_back(
      R"({"_class_name": "UniPCMultistepScheduler", "flow_shift": 3.0, "prediction_type": "flow_prediction"})");
  corpus.emplace_back(
      R"({"_class_name": "WanPipeline", "transformer": ["diffusers", "WanTransformer3DModel"]})");
  return corpus;
}

const std::vector<std::string_view> kJson = {"{",
                                             "}",
                                             "[",
                                             "]",
                                             ",",
                                             ":",
                                             "\"",
                                             "null",
                                             "true",
                                             "false",
                                             "NaN",
                                             "-Infinity",
                                             "1e999",
                                             "\\u0000",
                                             "\\ud800",
                                             "\\",
                                             "\n",
                                             "{}",
                                             "[]",
                                             "\xef\xbb\xbf",
                                             "[[[[[[[[[[[[[[[[[[[[",
                                             "\"a\":"};

std::vector<std::string_view> json_and(std::vector<std::string_view> tokens) {
  tokens.insert(tokens.end(), kJson.begin(), kJson.end());
  return tokens;
}

}  // namespace

Target index_target() {
  return {"index", read_index, index_corpus,
          json_and({"../outside.safetensors", "..", ".", "/etc/passwd", "../", "./",
                    "\\u002e\\u002e\\u002foutside", "\"weight_map\"", kFirst, kSecond})};
}

Target quantized_target() {
  return {
      "quantized", read_quantized, quantized_corpus,
      json_and({"weight_block_size", "quant_method", "fp8", "int8", "mxfp8", "activation_scheme", "_scale",
                ".weight_scale", ".scale_weight", ".comfy_quant", "F8_E5M2", "I8", "[128,128]"})};
}

Target model_config_target() {
  return {
      "model_config", read_model_config, model_config_corpus,
      json_and({"_class_name", "architectures", "num_layers", "num_attention_heads", "attention_head_dim",
                "latents_mean", "z_dim", "vocab_size", "flow_shift", "solver_order", "quantization_config"})};
}

}  // namespace ferry::fuzz
