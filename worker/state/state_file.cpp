#include "worker/state/state_file.h"

#include <ATen/ops/empty.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <span>

#include "base/error.h"
#include "base/files/file.h"
#include "base/text/shown.h"
#include "checkpoint/formats/crc32.h"
#include "checkpoint/formats/safetensors.h"
#include "model/tensor.h"

namespace ferry::worker {
namespace {

using Bytes = std::span<const std::byte>;

constexpr const char* kFormatKey = "ferry_state";
constexpr const char* kFormat = "1";
constexpr const char* kStepsKey = "steps_done";
constexpr const char* kIdentityKey = "identity";
constexpr const char* kChecksum = "checksum";
constexpr std::size_t kChecksumBytes = 8;
constexpr std::size_t kMostContexts = 2;
constexpr std::size_t kLookedAt =
    256;  // bytes that hold the format's key: nlohmann writes the metadata first

Bytes bytes_of(const at::Tensor& tensor) {
  return {static_cast<const std::byte*>(tensor.const_data_ptr()), tensor.nbytes()};
}

// Before anything in the file is believed.
void check_sum(Bytes file) {
  if (file.size() <= kChecksumBytes)
    throw UserError(fmt::format("it is damaged: it has {} bytes", file.size()));
  std::uint64_t stored = 0;
  std::memcpy(&stored, file.data() + file.size() - kChecksumBytes, kChecksumBytes);
  const std::uint32_t found = checkpoint::crc32(0, file.first(file.size() - kChecksumBytes));
  if (stored != found) throw UserError("it is damaged, or no state file: its checksum does not match");
}

at::Tensor copy_of(const checkpoint::TensorEntry& entry) {
  at::Tensor tensor = at::empty(entry.shape, model::scalar_type(entry.dtype));
  if (tensor.nbytes() > 0) std::memcpy(tensor.mutable_data_ptr(), entry.data, tensor.nbytes());
  return tensor;
}

const std::string& metadata_at(const checkpoint::SafetensorsFile& file, const char* key) {
  const auto found = file.metadata().find(key);
  if (found == file.metadata().end()) throw UserError(fmt::format("it has no {} in its header", key));
  return found->second;
}

int steps_in(const checkpoint::SafetensorsFile& file) {
  const std::string& text = metadata_at(file, kStepsKey);
  int steps = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), steps);
  if (error != std::errc() || end != text.data() + text.size() || steps < 0)
    throw UserError(fmt::format("steps_done is '{}'", shown(text)));
  return steps;
}

void require_shapes(const SamplingState& state) {
  const auto& latent = state.latent;
  bool good = latent.dim() == 4 && latent.scalar_type() == at::kFloat;
  for (const auto& [name, tensor] : state.sampler.tensors)
    good = good && tensor.scalar_type() == at::kFloat && tensor.sizes() == latent.sizes();
  good = good && !state.contexts.empty() && state.contexts.size() <= kMostContexts;
  for (const at::Tensor& context : state.contexts)
    good = good && context.dim() == 2 && at::isFloatingType(context.scalar_type());
  if (!good) throw UserError("its tensors are not those of a run");
}

SamplingState tensors_of(const checkpoint::SafetensorsFile& file) {
  SamplingState state;
  for (const checkpoint::TensorEntry& entry : file.entries()) {
    const std::string& name = entry.source_key;
    if (name != kChecksum && !put_tensor(state, name, copy_of(entry)))
      throw UserError(fmt::format("it has a tensor '{}'", shown(name)));
  }
  if (!state.latent.defined()) throw UserError("it has no tensor 'latent'");
  require_shapes(state);
  return state;
}

}  // namespace

void write_state(const std::string& path, const StateFile& state) {
  const NamedTensors tensors = named_tensors(state.sampling);
  std::vector<checkpoint::TensorInfo> infos;
  for (const auto& [name, tensor] : tensors)
    infos.push_back({name, model::dtype_of(tensor), tensor.sizes().vec()});
  infos.push_back({kChecksum, DType::I64, {1}});
  checkpoint::SafetensorsWriter file(path, infos,
                                     {{kFormatKey, kFormat},
                                      {kStepsKey, std::to_string(state.sampling.steps_done())},
                                      {kIdentityKey, state.identity}});
  const std::string& header = file.header();
  std::uint32_t sum = checkpoint::crc32(0, std::as_bytes(std::span(header.data(), header.size())));
  for (const auto& [name, tensor] : tensors) {
    file.write(bytes_of(tensor));
    sum = checkpoint::crc32(sum, bytes_of(tensor));
  }
  const std::uint64_t stored = sum;
  file.write(std::as_bytes(std::span(&stored, 1)));
  file.finish(IfTaken::Replace);
}

bool is_state(const std::string& path) {
  const MappedFile file(path);
  const std::string_view text(reinterpret_cast<const char*>(file.data()), std::min(file.bytes(), kLookedAt));
  return text.find(kFormatKey) != std::string_view::npos;
}

StateFile read_state(const std::string& path) {
  check_sum(MappedFile(path).span());
  const auto file = checkpoint::SafetensorsFile::open(path);
  const std::string& format = metadata_at(file, kFormatKey);
  if (format != kFormat)
    throw UserError(fmt::format("format {}; this program reads {}", shown(format), kFormat));
  StateFile state{.sampling = tensors_of(file), .identity = metadata_at(file, kIdentityKey)};
  state.sampling.sampler.next_step = steps_in(file);
  return state;
}

}  // namespace ferry::worker
