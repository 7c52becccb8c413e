#include "checkpoint/make/make_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "base/error.h"
#include "launcher/command.h"
#include "launcher/options/paths.h"
#include "launcher/options/value.h"
#include "launcher/process/interrupt.h"
#include "launcher/process/streams.h"

namespace ferry::launcher {
namespace {

using checkpoint::MakeModelOptions;
using Set = std::function<void(const std::string&, const std::string&)>;

Set text(std::string& target) {
  return [&target](const std::string& flag, const std::string& value) {
    if (value.empty()) throw UserError(flag + ": the value is empty");
    target = value;
  };
}

Set input_file(std::string& target) {
  return [&target](const std::string& flag, const std::string& value) {
    target = expand_home(value);
    check_input_file(flag, target);
  };
}

template <typename Target>
Set count(Target& target) {
  return [&target](const std::string& flag, const std::string& value) {
    target = to_integer(flag, value, 1, INT32_MAX);
  };
}

Set boolean(bool& target) {
  return [&target](const std::string& flag, const std::string& value) { target = to_bool(flag, value); };
}

Set parts(std::vector<checkpoint::Part>& target) {
  return [&target](const std::string& flag, const std::string& value) {
    target.clear();
    for (std::size_t begin = 0; begin <= value.size();) {
      const std::size_t end = std::min(value.find(',', begin), value.size());
      const std::string word = value.substr(begin, end - begin);
      target.push_back(checkpoint::kParts.at(to_choice(flag, word, checkpoint::part_words())).part);
      begin = end + 1;
    }
  };
}

Set dtype(std::optional<DType>& target) {
  return [&target](const std::string& flag, const std::string& value) {
    to_choice(flag, value, {"fp32", "bf16", "fp16"});
    target = dtype_from_name(value);
  };
}

Set layout(checkpoint::KeyLayout& target) {
  return [&target](const std::string& flag, const std::string& value) {
    target = to_enum<checkpoint::KeyLayout>(flag, value);
  };
}

std::vector<FlagGroup> make_model_keys(MakeModelOptions& o) {
  const auto seed = [&o](const std::string& flag, const std::string& value) {
    o.seed = static_cast<std::uint64_t>(to_integer(flag, value, 0, INT64_MAX));
  };
  const auto shard = [&o](const std::string& flag, const std::string& value) {
    o.shard_bytes = static_cast<std::int64_t>(to_number(flag, value, 1e-6, 1e6) * 1e9);
  };
  return {
      {"[make-model]",
       {{"size", "", "NAME", "tiny, 1.3B, 14B", "tiny", false, text(o.preset)},
        {"parts", "", "LIST", fmt::format("of {}", fmt::join(checkpoint::part_words(), ", ")), "all", false,
         parts(o.parts)},
        {"layout", "", "NAME", "names and folders: official, diffusers", "official", false, layout(o.layout)},
        {"dtype", "", "TYPE", "fp32, bf16, fp16", "as published", false, dtype(o.dtype)},
        {"layers", "", "N", "blocks of the DiT", "the size's", false, count(o.layers)},
        {"heads", "", "N", "heads of the DiT; tiny only", "the size's", false, count(o.heads)},
        {"head_dim", "", "N", "even; tiny only", "the size's", false, count(o.head_dim)},
        {"text_layers", "", "N", "blocks of the text encoder", "the size's", false, count(o.text_layers)},
        {"seed", "", "N", "of the weights", "0", false, seed},
        {"shard_gb", "", "GB", "a file ends before this much data", "10", false, shard},
        {"tokenizer", "", "FILE", "spiece.model to copy into the folder", "none", false,
         input_file(o.tokenizer)},
        {"threads", "", "N", "0: as many as there are cores", "0", false, count(o.threads)},
        {"sparse", "", "", "right sizes, no data, almost no disk", "", true, boolean(o.sparse)},
        {"overwrite", "", "", "replace files that exist", "", true, boolean(o.overwrite)}}}};
}

void show_progress(const checkpoint::MakeModelProgress& progress) {
  if (isatty(STDERR_FILENO) == 0) return;
  const double done = 1e-9 * static_cast<double>(progress.bytes_done);
  const double total = 1e-9 * static_cast<double>(progress.bytes_total);
  const std::string line = fmt::format("\r{:.2f} of {:.2f} GB{}", done, total,
                                       progress.bytes_done == progress.bytes_total ? "\n" : "");
  std::fputs(line.c_str(), stderr);
}

int make_model(const MakeModelOptions& options) {
  const Interrupt interrupt;
  const checkpoint::MakeModelResult result = checkpoint::make_model(options, show_progress);
  for (const std::string& file : result.files) say(file + "\n");
  say(fmt::format("{:.3f} GB of weights in {} files\n", 1e-9 * static_cast<double>(result.bytes),
                  result.files.size()));
  if (!result.note.empty()) say(result.note + "\n");
  return 0;
}

}  // namespace

Command make_make_model() {
  const auto options = std::make_shared<MakeModelOptions>();
  Command command{"make-model", "writes a checkpoint with seeded random weights", "DIR [options]",
                  make_model_keys(*options)};
  command.check = [options](const CommandLine& line, int) {
    for (const Setting& setting : line.settings) setting.flag->set(setting.written, setting.value);
    if (line.positional.size() != 1) throw UserError("make-model: the folder to write is needed");
    options->out = expand_home(line.positional.front());
  };
  command.run = [options](int&, char**&) { return make_model(*options); };
  return command;
}

}  // namespace ferry::launcher
