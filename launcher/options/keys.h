// Every key of a run, its flag, its help and its place in worker::Options.  The table is keys.cpp, that of
// [offload] keys_offload.cpp; docs/options.md explains them.
//
// Keys of [model], [job] and [parallel] are also flags without their group. [offload] holds for every stage;
// keys of one network ([dit]: "dit.offload.type") take precedence.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "launcher/options/flag.h"
#include "worker/job/options.h"

namespace ferry::launcher {

// The groups in help order.  `options` must outlive the result.
std::vector<FlagGroup> run_keys(worker::Options& options);

// The flags of [offload] under `prefix` ("offload", "dit.offload"); a value is stored in all `stages`.
std::vector<Flag> offload_keys(const std::string& prefix, const std::vector<offload::Options*>& stages);

// The flag of `word`'s network that selects a dict of a .pth file; explained in help only for the first.
Flag dict_key(std::string_view word, std::string_view title, bool first);

// True for keys of one stage, which are applied after those of [offload].
bool is_stage_key(const std::string& key);

// True for keys that a checkpoint's own ferry.cfg may set: how videos are made, not where they go.
bool is_model_default(const std::string& key);

// True for those of them that affect a job that only decodes latents; size comes from the file.
bool is_decoding_default(const std::string& key);

}  // namespace ferry::launcher
