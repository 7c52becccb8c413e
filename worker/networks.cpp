#include "worker/networks.h"

#include <fmt/format.h>

#include "base/error.h"
#include "model/checkpoint/folder.h"
#include "model/dit/spec.h"
#include "model/text/tokenizer.h"
#include "model/text/umt5.h"
#include "model/vae/vae.h"

namespace ferry::worker {
namespace {

using model::Checkpoint;
using model::Part;

DType compute_type(const std::string& key, const std::string& name) {
  if (name == "fp32") return DType::F32;
  if (name == "bf16") return DType::BF16;
  throw UserError(fmt::format("{} {}: accepted: bf16, fp32", key, name));
}

Network checked(Checkpoint checkpoint, model::NetworkSpec spec, DType compute) {
  model::validate(checkpoint, spec);
  return {std::move(checkpoint), std::move(spec), compute, std::nullopt};
}

// Ids above the table's rows would be read from nowhere.
void check_tokenizer(const Networks& networks) {
  const model::Tokenizer tokenizer(networks.tokenizer, networks.facts.text->text_len);
  if (tokenizer.vocab() > networks.facts.text->vocab) {
    throw UserError(fmt::format("{}: {} tokens, but the text encoder has only {}", networks.tokenizer,
                                tokenizer.vocab(), networks.facts.text->vocab));
  }
}

}  // namespace

Networks open_networks(const Options& options) {
  const std::string& path = options.model.path;
  if (path.empty()) throw UserError("model: no checkpoint folder was given; say --model DIR");
  const DType compute = compute_type("dtype", options.model.dtype);
  const DType vae_compute = compute_type("vae_dtype", options.model.vae_dtype);
  Networks networks;
  networks.facts.flow_shift = model::scheduler_flow_shift(path);
  Checkpoint dit = Checkpoint::open(path, Part::Dit);
  networks.facts.dit = model::dit_config(dit);
  networks.dit = checked(std::move(dit), model::dit_spec(networks.facts.dit, compute), compute);
  if (!options.lora.path.empty()) {
    networks.dit.lora = model::LoraFile::open(options.lora.path, networks.dit.spec, Part::Dit);
  }
  Checkpoint vae = Checkpoint::open(path, Part::Vae);
  networks.facts.vae = model::vae_config(vae);
  networks.vae =
      checked(std::move(vae), model::vae_decoder_spec(networks.facts.vae, vae_compute), vae_compute);
  if (!options.job.context.empty()) return networks;
  Checkpoint text = Checkpoint::open(path, Part::TextEncoder);
  networks.facts.text = model::umt5_config(text);
  networks.text = checked(std::move(text), model::umt5_spec(*networks.facts.text, compute), compute);
  networks.tokenizer = model::find_tokenizer(path);
  check_tokenizer(networks);
  return networks;
}

}  // namespace ferry::worker
