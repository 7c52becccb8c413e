#include "worker/networks.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/error.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/hub_folder.h"
#include "checkpoint/folder/pipeline_files.h"
#include "checkpoint/network/unexpected.h"
#include "model/dit/spec.h"
#include "model/text/tokenizer.h"
#include "model/text/umt5.h"
#include "model/vae/vae.h"

namespace ferry::worker {
namespace {

using checkpoint::Checkpoint;
using checkpoint::Part;

DType compute_type(const std::string& key, const std::string& name) {
  if (name == "fp32") return DType::F32;
  if (name == "bf16") return DType::BF16;
  throw UserError(fmt::format("{} {}: accepted: bf16, fp32", key, name));
}

// Adds the checkpoint's notes, and its unused contents.
void note_left_out(const Checkpoint& checkpoint, const model::NetworkSpec& spec, const Options& options,
                   std::vector<std::string>& notes) {
  notes.insert(notes.end(), checkpoint.notes().begin(), checkpoint.notes().end());
  const checkpoint::Unexpected unexpected =
      checkpoint::find_unexpected(checkpoint, checkpoint::keys_of(spec));
  checkpoint::refuse_beside_8_bits(checkpoint, unexpected);
  if (options.model.unexpected != "skip") checkpoint::refuse_unexpected(checkpoint, unexpected);
  const std::string part(checkpoint::name_of(checkpoint.part()));
  if (!unexpected.empty()) {
    notes.push_back(fmt::format("{}: left out, as model.unexpected says: {}", part, to_text(unexpected)));
  }
  if (!unexpected.counters.empty()) {
    notes.push_back(fmt::format("{}: counters of its training are not read: {}", part,
                                fmt::join(unexpected.counters, ", ")));
  }
}

// Adds the checkpoint's unused contents to `notes`.
Network checked(Role role, Checkpoint checkpoint, model::NetworkSpec spec, DType compute,
                const Options& options, std::vector<std::string>& notes) {
  checkpoint::validate(checkpoint, spec);
  note_left_out(checkpoint, spec, options, notes);
  return {.role = role, .checkpoint = std::move(checkpoint), .spec = std::move(spec), .compute = compute};
}

// Larger ids would read beyond the embedding table.
void check_tokenizer(const Networks& networks) {
  const model::Tokenizer tokenizer(networks.tokenizer, networks.facts.text->text_len);
  if (tokenizer.vocab() > networks.facts.text->vocab) {
    throw UserError(fmt::format("{}: {} tokens, but the text encoder has only {}", networks.tokenizer,
                                tokenizer.vocab(), networks.facts.text->vocab));
  }
}

// Sets the folder, after checking that it is one.
void find_folder(Networks& networks, const ModelOptions& options) {
  if (!networks.folder.empty()) return;
  if (options.path.empty()) throw UserError("model: no checkpoint folder was given; say --model DIR");
  compute_type("dtype", options.dtype);
  compute_type("vae_dtype", options.vae_dtype);
  networks.folder = checkpoint::existing_model_folder(options.path);
  if (networks.folder != options.path) {
    networks.notes.push_back(fmt::format("model: the files of {}", networks.folder));
  }
}

}  // namespace

void open_dit(Networks& networks, const Options& options) {
  const DType compute = compute_type("dtype", options.model.dtype);
  networks.facts.flow_shift = checkpoint::scheduler_flow_shift(networks.folder);
  Checkpoint checkpoint = Checkpoint::open(networks.folder, Part::Dit, options.model.key[Role::Dit]);
  networks.facts.dit = checkpoint::dit_config(checkpoint);
  networks[Role::Dit] =
      checked(Role::Dit, std::move(checkpoint), model::dit_spec(networks.facts.dit, compute), compute,
              options, networks.notes);
}

void plan_dit(Networks& networks, const Options& options, const model::DitConfig& dit) {
  const DType compute = compute_type("dtype", options.model.dtype);
  networks.facts.dit = dit;
  networks[Role::Dit] =
      Network{.role = Role::Dit, .checkpoint = {}, .spec = model::dit_spec(dit, compute), .compute = compute};
}

void open_vae(Networks& networks, const Options& options) {
  const DType compute = compute_type("vae_dtype", options.model.vae_dtype);
  Checkpoint checkpoint = Checkpoint::open(networks.folder, Part::Vae, options.model.key[Role::Vae]);
  networks.facts.vae = checkpoint::vae_config(checkpoint);
  networks[Role::Vae] =
      checked(Role::Vae, std::move(checkpoint), model::vae_decoder_spec(networks.facts.vae, compute), compute,
              options, networks.notes);
}

void open_text_encoder(Networks& networks, const Options& options) {
  const DType compute = compute_type("dtype", options.model.dtype);
  Checkpoint checkpoint =
      Checkpoint::open(networks.folder, Part::TextEncoder, options.model.key[Role::TextEncoder]);
  networks.facts.text = checkpoint::umt5_config(checkpoint);
  Network text = checked(Role::TextEncoder, std::move(checkpoint),
                         model::umt5_spec(*networks.facts.text, compute), compute, options, networks.notes);
  networks.tokenizer = checkpoint::find_tokenizer(networks.folder);
  check_tokenizer(networks);
  networks[Role::TextEncoder] = std::move(text);
}

const Network* needed_network(const Networks& networks, Role role, const Given& given) {
  return networks[role] && entry_of(role).needed(given) ? &*networks[role] : nullptr;
}

// On failure `networks` is unchanged.
void open_networks(Networks& networks, const Options& options, const Given& given) {
  find_folder(networks, options.model);
  for (const RoleEntry& entry : roles()) {
    if (!entry.needed(given) || networks[entry.role]) continue;
    const ModelFacts facts = networks.facts;
    const std::vector<std::string> notes = networks.notes;
    try {
      entry.open(networks, options);
    } catch (...) {
      networks.facts = facts;
      networks.notes = notes;
      throw;
    }
  }
}

void open_loras(Networks& networks, const Options& options) {
  std::optional<Network>& dit = networks[Role::Dit];
  if (!dit) return;
  const auto unmatched =
      options.lora.unmatched == "skip" ? checkpoint::Unmatched::Skip : checkpoint::Unmatched::Refuse;
  auto stack = std::make_shared<checkpoint::LoraStack>();
  for (const auto& [path, strength] : options.job.loras) {
    std::shared_ptr<const checkpoint::LoraFile>& file = networks.lora_files[path];
    if (file == nullptr) {
      file = std::make_shared<const checkpoint::LoraFile>(
          checkpoint::LoraFile::open(path, dit->spec, Part::Dit, unmatched));
    }
    stack->push_back({file, strength});
  }
  dit->loras = stack->empty() ? nullptr : std::move(stack);
}

Networks open_networks(const Options& options) {
  Networks networks;
  open_networks(networks, options, given_to(options.job));
  open_loras(networks, options);
  return networks;
}

}  // namespace ferry::worker
