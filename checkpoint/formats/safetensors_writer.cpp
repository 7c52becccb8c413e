#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>

#include "base/text/describe.h"
#include "checkpoint/formats/output.h"
#include "checkpoint/formats/safetensors.h"

namespace ferry::checkpoint {

namespace {

const char* format_name(DType dtype) {
  switch (dtype) {
    case DType::F64:
      return "F64";
    case DType::F32:
      return "F32";
    case DType::F16:
      return "F16";
    case DType::BF16:
      return "BF16";
    case DType::F8E4M3:
      return "F8_E4M3";
    case DType::I64:
      return "I64";
    case DType::I32:
      return "I32";
    case DType::I16:
      return "I16";
    case DType::I8:
      return "I8";
    case DType::U8:
      return "U8";
    case DType::Bool:
      return "BOOL";
  }
  throw std::invalid_argument("safetensors: no such dtype");
}

std::string header_text(const std::vector<TensorInfo>& tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string> names;
  std::size_t begin = 0;
  for (const TensorInfo& tensor : tensors) {
    if (!names.insert(tensor.name).second || tensor.name == "__metadata__") {
      throw std::invalid_argument("safetensors: tensor name " + printable(tensor.name) + " is taken");
    }
    const std::size_t end = begin + tensor.bytes();
    header[tensor.name] = {
        {"dtype", format_name(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {begin, end}}};
    begin = end;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  return text;
}

}  // namespace

std::size_t TensorInfo::bytes() const {
  const auto numel = checked_numel(shape);
  if (!numel)
    throw std::invalid_argument("tensor " + printable(name) + ": impossible shape " + shape_text(shape));
  return static_cast<std::size_t>(*numel) * size_of(dtype);
}

struct SafetensorsWriter::State {
  explicit State(const std::string& path) : output(path) {}
  Output output;
  std::string header;
  std::uint64_t end = 0;  // end offset of the last tensor

  void check(std::uint64_t bytes) const {
    if (bytes <= end - output.position()) return;
    throw std::invalid_argument(
        fmt::format("safetensors: {} bytes given where {} are left", bytes, end - output.position()));
  }
};

SafetensorsWriter::SafetensorsWriter(const std::string& path, const std::vector<TensorInfo>& tensors,
                                     const std::map<std::string, std::string>& metadata)
    : state_(std::make_unique<State>(path)) {
  const std::string text = header_text(tensors, metadata);
  const std::uint64_t bytes = text.size();
  state_->header = std::string(reinterpret_cast<const char*>(&bytes), sizeof bytes) + text;
  state_->output.write(state_->header);
  state_->end = state_->output.position();
  for (const TensorInfo& tensor : tensors) state_->end += tensor.bytes();
}

SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter& SafetensorsWriter::operator=(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

const std::string& SafetensorsWriter::header() const { return state_->header; }

void SafetensorsWriter::write(std::span<const std::byte> bytes) {
  state_->check(bytes.size());
  state_->output.write(bytes);
}

void SafetensorsWriter::skip(std::size_t bytes) {
  state_->check(bytes);
  state_->output.skip(bytes);
}

void SafetensorsWriter::finish(IfTaken if_taken) {
  if (state_->output.position() != state_->end) {
    throw std::invalid_argument(
        fmt::format("safetensors: {} bytes are missing", state_->end - state_->output.position()));
  }
  state_->output.finish(if_taken);
}

}  // namespace ferry::checkpoint
