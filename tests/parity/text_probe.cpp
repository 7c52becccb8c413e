// Runs the text side on files that tests/parity/text_parity.py writes, and writes what comes out.
//
//   text_probe clean                        JSON array of strings on stdin, the cleaned ones on stdout
//   text_probe tokens SPIECE TEXT_LEN       JSON array of strings on stdin, arrays of ids on stdout
//   text_probe encode CONFIG DTYPE IN OUT   CONFIG: JSON of Umt5Config; IN: weights under official keys,
//                                           fp32, and "ids" (int64); OUT: "context"
#include <nlohmann/json.hpp>

#include <iostream>
#include <string>

#include "model/tensor.h"
#include "model/text/clean.h"
#include "model/text/tokenizer.h"
#include "model/text/umt5.h"
#include "model/torch_stream.h"
#include "tests/parity/probe.h"
#include "tests/support/plain_weights.h"
#include "tests/support/safetensors_io.h"

namespace ferry {
namespace {

using nlohmann::json;

json clean(const json& prompts) {
  json out = json::array();
  for (const std::string prompt : prompts) out.push_back(model::clean_prompt(prompt));
  return out;
}

json tokens(const json& prompts, const std::string& spiece, const std::string& text_len) {
  const model::Tokenizer tokenizer(spiece, std::stoll(text_len));
  json out = json::array();
  for (const std::string prompt : prompts) out.push_back(tokenizer.encode(prompt));
  return out;
}

model::Umt5Config config_of(const json& values) {
  return {.vocab = values.at("vocab"),
          .dim = values.at("dim"),
          .attn_dim = values.at("attn_dim"),
          .ffn_dim = values.at("ffn_dim"),
          .heads = values.at("heads"),
          .layers = values.at("layers"),
          .text_len = values.at("text_len")};
}

void encode(const testing::Arguments& args, Device& device) {
  const model::TorchStream on(device);
  const model::Umt5Config config = config_of(json::parse(args.at(1)));
  const DType compute = dtype_from_name(args.at(2));
  const testing::TensorMap in = testing::read_safetensors(args.at(3));
  testing::PlainWeights weights(
      model::umt5_spec(config, compute), [&](const model::TensorSpec& tensor) { return in.at(tensor.key); },
      model::torch_device(device));
  const at::Tensor& ids = in.at("ids");
  const auto* first = ids.const_data_ptr<std::int64_t>();
  const std::vector<std::vector<std::int64_t>> prompts = {{first, first + ids.numel()}};
  const at::Tensor context =
      model::Umt5Encoder(config, weights, {.device = &device, .compute = compute}).encode(prompts).front();
  testing::write_safetensors(args.at(4), {{"context", context.cpu()}});
}

void run(const testing::Arguments& args, Device& device) {
  if (args.at(0) == "encode") {
    encode(args, device);
  } else if (args.at(0) == "clean") {
    std::cout << clean(json::parse(std::cin)).dump();
  } else {
    std::cout << tokens(json::parse(std::cin), args.at(1), args.at(2)).dump();
  }
}

}  // namespace
}  // namespace ferry

int main(int argc, char** argv) {
  return ferry::testing::probe_main(argc, argv, "text_probe clean|tokens|encode ...", ferry::run);
}
