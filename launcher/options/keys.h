// Every key of a run, its flag, its help and its place in worker::Options.  The table is keys.cpp, that of
// [offload] keys_offload.cpp; docs/options.md explains them.
//
// A key of [model], [job] and [parallel] is also a flag without its group.  [offload] holds for every stage;
// those of one network ([dit]: "dit.offload.type") win over them.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/options/flag.h"
#include "worker/job/options.h"

namespace ferry::launcher {

// The groups in the order of help.  `options` must outlive the result.
std::vector<FlagGroup> run_keys(worker::Options& options);

// The flags of [offload] under `prefix` ("offload", "dit.offload"); a value goes into every one of `stages`.
std::vector<Flag> offload_keys(const std::string& prefix, const std::vector<offload::Options*>& stages);

// The flag of `word`'s network that says which dict of a .pth file is its own; help explains it at the first.
Flag dict_key(std::string_view word, std::string_view title, bool first);

// True for a key of one stage, which is applied after those of [offload].
bool is_stage_key(const std::string& key);

// True for a key that a checkpoint's own ferry.cfg may set: how its videos are made, not where they go.
bool is_model_default(const std::string& key);

// Of those, whether it means something to a job that only decodes latents; their size is the file's.
bool is_decoding_default(const std::string& key);

}  // namespace ferry::launcher
