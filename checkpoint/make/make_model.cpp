#include "checkpoint/make/make_model.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <thread>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/pending_file.h"
#include "checkpoint/formats/pth_writer.h"
#include "checkpoint/make/model_plan.h"
#include "checkpoint/make/random_fill.h"
#include "model/shape.h"

namespace ferry::checkpoint {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kChunk = std::int64_t{1}
                                << 22U;  // elements generated while the previous chunk is written
constexpr std::int64_t kPerThread = std::int64_t{1} << 18U;  // minimum elements per thread

std::int64_t fan_in(const std::vector<std::int64_t>& shape) {
  std::int64_t count = 1;
  for (std::size_t i = 1; i < shape.size(); ++i) count *= shape[i];
  return count;
}

RandomValues values_of(const ExpectedTensor& tensor, std::uint64_t seed) {
  const std::uint64_t stream = stream_of(seed, tensor.key);
  switch (tensor.fill) {
    case Fill::Weight:
      return {stream, 0.0F,
              static_cast<float>(tensor.gain / std::sqrt(static_cast<double>(fan_in(tensor.shape))))};
    case Fill::Bias:
      return {stream, 0.0F, 0.02F};
    case Fill::Scale:
      return {stream, 1.0F, 0.05F};
    case Fill::Modulation:
      return {stream, 0.0F, 0.3F};
    case Fill::Embedding:
      return {stream, 0.0F, 1.0F};
  }
  throw std::invalid_argument("no such fill");
}

// Fills elements [begin, begin + count) on several threads; the values do not depend on the split.
void fill_chunk(std::byte* dst, DType dtype, const RandomValues& values, std::int64_t begin,
                std::int64_t count, int threads) {
  const std::int64_t workers = std::clamp<std::int64_t>(count / kPerThread, 1, threads);
  const std::int64_t share = (count + workers - 1) / workers / 2 * 2 + 2;
  std::vector<std::jthread> pool;
  for (std::int64_t first = share; first < count; first += share) {
    const std::int64_t now = std::min(share, count - first);
    std::byte* place = dst + first * static_cast<std::int64_t>(size_of(dtype));
    pool.emplace_back([=, &values] {
      fill_random(place, dtype, values, static_cast<std::uint64_t>(begin + first),
                  static_cast<std::size_t>(now));
    });
  }
  fill_random(dst, dtype, values, static_cast<std::uint64_t>(begin),
              static_cast<std::size_t>(std::min(share, count)));
}

// Reports progress a few times per second.
class Progress {
 public:
  Progress(const std::function<void(const MakeModelProgress&)>& call, std::int64_t total) : call_(call) {
    state_.bytes_total = total;
  }
  void file(const std::string& path) { state_.file = path; }
  void add(std::int64_t bytes) {
    state_.bytes_done += bytes;
    const auto now = std::chrono::steady_clock::now();
    const bool last = state_.bytes_done == state_.bytes_total;
    if (!call_ || (!last && now - shown_ < std::chrono::milliseconds(200))) return;
    shown_ = now;
    call_(state_);
  }

 private:
  const std::function<void(const MakeModelProgress&)>& call_;
  MakeModelProgress state_;
  std::chrono::steady_clock::time_point shown_;
};

// Generates one chunk while the previous one is written.
class Chunks {
 public:
  Chunks(std::uint64_t seed, int threads) : seed_(seed), threads_(threads) {
    for (auto& buffer : buffers_) buffer.resize(kChunk * sizeof(float));
  }

  template <typename Writer>
  void stream(Writer& writer, const PlannedTensor& tensor, Progress& progress) {
    const RandomValues values = values_of(tensor.expected, seed_);
    const std::int64_t total = model::numel(tensor.expected.shape);
    std::future<void> next = make(tensor, values, 0);
    for (std::int64_t begin = 0; begin < total; begin += kChunk) {
      next.get();
      const std::size_t bytes =
          static_cast<std::size_t>(std::min(kChunk, total - begin)) * size_of(tensor.info.dtype);
      const std::byte* made = buffers_[current_].data();
      current_ = 1 - current_;
      if (begin + kChunk < total) next = make(tensor, values, begin + kChunk);
      writer.write({made, bytes});
      progress.add(static_cast<std::int64_t>(bytes));
    }
  }

 private:
  std::future<void> make(const PlannedTensor& tensor, const RandomValues& values, std::int64_t begin) {
    const std::int64_t count = std::min(kChunk, model::numel(tensor.expected.shape) - begin);
    std::byte* dst = buffers_[current_].data();
    const DType dtype = tensor.info.dtype;
    const auto policy = count < kPerThread ? std::launch::deferred : std::launch::async;
    return std::async(policy, [=, this] { fill_chunk(dst, dtype, values, begin, count, threads_); });
  }

  std::uint64_t seed_;
  int threads_;
  std::size_t current_ = 0;
  std::vector<std::byte> buffers_[2];
};

std::vector<TensorInfo> infos(const PlannedFile& file) {
  std::vector<TensorInfo> list;
  for (const PlannedTensor& tensor : file.tensors) list.push_back(tensor.info);
  return list;
}

template <typename Writer>
void write_tensors(Writer writer, const PlannedFile& file, const MakeModelOptions& options,
                   Progress& progress) {
  const int processors = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
  Chunks chunks(options.seed, options.threads > 0 ? options.threads : processors);
  progress.file(file.path);
  for (const PlannedTensor& tensor : file.tensors) {
    if (options.sparse) {
      writer.skip(tensor.info.bytes());
      progress.add(static_cast<std::int64_t>(tensor.info.bytes()));
    } else {
      chunks.stream(writer, tensor, progress);
    }
  }
  writer.finish();
}

void make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (path.empty() || error) {
    throw UserError(
        fmt::format("cannot make the folder \"{}\": {}", path, error ? error.message() : "no name"));
  }
  check_writable_folder(path);
}

void make_folder_of(const std::string& file) { make_folder(fs::path(file).parent_path().string()); }

void write_planned(const PlannedFile& file, const MakeModelOptions& options, Progress& progress) {
  make_folder_of(file.path);
  if (file.format == FileFormat::Pth) {
    write_tensors(PthWriter(file.path, infos(file)), file, options, progress);
  } else {
    write_tensors(SafetensorsWriter(file.path, infos(file), {{"format", "pt"}}), file, options, progress);
  }
}

// The demo model's tokenizer: in the source tree of this build, or installed with it.
std::string demo_tokenizer() {
  std::error_code error;
  fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (int level = 0; level < 5 && !folder.empty(); ++level, folder = folder.parent_path()) {
    for (const char* models : {"models", "share/ferry/models"}) {
      const fs::path path = folder / models / "demo" / "tokenizer" / "spiece.model";
      if (fs::is_regular_file(path, error)) return path.string();
    }
  }
  return "";
}

void check_options(const MakeModelOptions& options, const ModelPlan& plan) {
  if (options.parts.empty()) {
    throw UserError(fmt::format("--parts: expected at least one of {}", fmt::join(part_words(), ", ")));
  }
  if (options.shard_bytes < 1)
    throw UserError(fmt::format("--shard_gb: {} bytes; expected at least 1", options.shard_bytes));
  const DType dtype = options.dtype.value_or(DType::F32);
  if (dtype != DType::F32 && dtype != DType::BF16 && dtype != DType::F16) {
    throw UserError(fmt::format("--dtype {}: expected fp32, bf16 or fp16", name_of(dtype)));
  }
  std::error_code error;  // an unusable folder is reported by prepare_folder
  for (const std::string& path : plan.replaced) {
    if (!options.overwrite && fs::exists(path, error)) {
      throw UserError(fmt::format("{} exists; give --overwrite to replace it", path));
    }
  }
}

void prepare_folder(const MakeModelOptions& options, std::int64_t bytes) {
  make_folder(options.out);
  const std::uint64_t free = free_disk_bytes(options.out);
  if (!options.sparse && free < static_cast<std::uint64_t>(bytes)) {
    throw UserError(fmt::format("{}: {:.1f} GB are needed and {:.1f} GB are free", options.out,
                                static_cast<double>(bytes) / 1e9, static_cast<double>(free) / 1e9));
  }
}

std::string copy_tokenizer(const MakeModelOptions& options, const ModelPlan& plan, MakeModelResult& result) {
  if (plan.tokenizer.empty()) return "";
  const std::string source = options.tokenizer.empty() ? demo_tokenizer() : options.tokenizer;
  if (source.empty())
    return fmt::format("no tokenizer was found; put a SentencePiece model at {}", plan.tokenizer);
  make_folder_of(plan.tokenizer);
  write_file(plan.tokenizer, read_file(source));
  result.files.push_back(plan.tokenizer);
  return options.preset == "tiny" ? "" : fmt::format("{} is {}, not umT5's own", plan.tokenizer, source);
}

}  // namespace

MakeModelResult make_model(const MakeModelOptions& options,
                           const std::function<void(const MakeModelProgress&)>& progress) {
  const ModelPlan plan = plan_model(options, preset_configs(options));
  check_options(options, plan);
  prepare_folder(options, plan.bytes());
  // A stale index of shards would hide the new file.
  for (const std::string& path : plan.replaced) fs::remove(path);
  MakeModelResult result;
  result.bytes = plan.bytes();
  Progress shown(progress, result.bytes);
  for (const PlannedFile& file : plan.files) {
    write_planned(file, options, shown);
    result.files.push_back(file.path);
  }
  for (const PlannedText& text : plan.texts) {
    make_folder_of(text.path);
    write_file(text.path, text.content);
    result.files.push_back(text.path);
  }
  result.note = copy_tokenizer(options, plan, result);
  return result;
}

}  // namespace ferry::checkpoint
