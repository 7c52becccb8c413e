// Weights of one network on disk, under the official names (wan21.md sections 3, 4.6, 5.9).
//
// A model folder has the official layout
//     config.json  diffusion_pytorch_model*.safetensors[.index.json]
//     Wan2.1_VAE.pth  models_t5_umt5-xxl-enc-bf16.pth  google/umt5-xxl/spiece.model
// or the diffusers layout
//     transformer/  vae/  text_encoder/  tokenizer/spiece.model  scheduler/
// Files are safetensors (one, or shards with an index) or .pth archives.  They are memory-mapped: opening
// reads headers only, and a tensor is read when read_tensor() touches it.  Nothing in a file is executed.
//
// Every fault in a file or folder is a UserError that names the file, the tensor and the reason.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "base/words.h"
#include "checkpoint/part.h"
#include "checkpoint/quantization/quantization.h"
#include "model/dit/config.h"
#include "model/text/config.h"
#include "model/vae/config.h"
#include "model/weights.h"

namespace ferry::checkpoint {

enum class KeyLayout : std::uint8_t { Official, Diffusers };
constexpr auto words_of(KeyLayout) { return std::to_array<std::string_view>({"official", "diffusers"}); }
// open_part() decides by the ending of the first file's name.
enum class FileFormat : std::uint8_t { Safetensors, Pth };
constexpr auto words_of(FileFormat) { return std::to_array<std::string_view>({"safetensors", "pth"}); }

struct WeightScale;  // checkpoint/quantization/weight_scale.h

// One tensor of a file.  `data` points into the mapping, may be unaligned, and lives as long as the
// Checkpoint or SafetensorsFile it came from.
struct TensorEntry {
  std::string key;         // official name; empty if the file's name has no official counterpart
  std::string source_key;  // the name in the file
  std::string file;        // path
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;  // in elements
  const std::byte* data = nullptr;
  std::shared_ptr<const WeightScale> scale{};  // of a quantised tensor; applied by read_tensor
  std::int64_t first_row = 0;                  // row offset in the tensor that this is a part of
  bool companion = false;                      // a scale or mark of a quantised tensor; has no key

  std::int64_t numel() const;
  bool contiguous() const;  // row-major without gaps
  // Rows [begin, end) of dimension 0 as a separate tensor.
  TensorEntry rows(std::int64_t begin, std::int64_t end) const;
};

struct PartFiles;
using HeaderMarks = std::vector<std::pair<std::string, std::string>>;  // file, text of _quantization_metadata

class Checkpoint {
 public:
  // Finds and maps the files of one network in `model_dir`.
  // Throws UserError: folder or file missing, damaged or hostile file, unknown names, two tensors for one
  // official name, a folder of Wan2.2, an unsupported quantisation (checkpoint/quantization/quantization.h).
  // `key` selects the dict of a .pth file that holds several (pth.h).
  static Checkpoint open(const std::string& model_dir, Part part, const std::string& key = {});
  // As above, except that the reason for refusing a quantisation is stored in quantization().fault: for
  // inspection, not for loading.
  static Checkpoint look(const std::string& model_dir, Part part, const std::string& key = {});
  // As open(), from given files, for checkpoints outside a model folder.
  static Checkpoint open_files(const std::vector<std::string>& paths, Part part);

  // The tensor of an official name, or nullptr.
  const TensorEntry* find(std::string_view key) const;
  // In the order of the files.
  const std::vector<TensorEntry>& entries() const { return entries_; }
  // Names in the shards that their index omits; not in entries().
  const std::vector<std::string>& unindexed() const { return unindexed_; }
  // Choices made among several possibilities, one line each, for the log and the record.
  const std::vector<std::string>& notes() const { return notes_; }
  Part part() const { return part_; }
  KeyLayout layout() const { return layout_; }
  FileFormat format() const { return format_; }
  const std::vector<std::string>& files() const { return files_; }
  const Quantization& quantization() const { return quantization_; }
  // The network's config.json; empty for the official VAE and text encoder, which have none.
  const std::string& config_file() const { return config_file_; }
  // The config.json of the DiT beside this network (it holds text_len), or empty.
  const std::string& dit_config_file() const { return dit_config_file_; }

 private:
  static Checkpoint open_part(const PartFiles& files, Part part, const std::string& key);
  Checkpoint without_fault() &&;
  void take_pth(const std::string& path, const std::string& key);
  void take_quantization(const std::vector<std::string>& names, const HeaderMarks& marks);
  void name_entries(const std::vector<std::string>& names);
  void name_entry(std::size_t i);

  Part part_ = Part::Dit;
  KeyLayout layout_ = KeyLayout::Official;
  FileFormat format_ = FileFormat::Safetensors;
  std::vector<std::string> files_;
  std::string config_file_;
  std::string dit_config_file_;
  std::vector<std::string> unindexed_;
  std::vector<std::string> notes_;
  Quantization quantization_;
  std::vector<TensorEntry> entries_;
  std::unordered_map<std::string, std::size_t> index_;
  std::vector<std::shared_ptr<const void>> mappings_;
};

// Dimensions, from the tensors' shapes.  Those not in shapes (heads, text_len, eps, latents_mean and _std)
// come from config.json, else from Wan's constants (head size 128, text_len 512, eps 1e-6).
// Throws UserError: config.json contradicts the shapes, a required tensor is missing or has the wrong rank,
// or the network is not supported yet (image-to-video, the Wan2.2 VAE).
model::DitConfig dit_config(const Checkpoint& checkpoint);
model::VaeConfig vae_config(const Checkpoint& checkpoint);
model::Umt5Config umt5_config(const Checkpoint& checkpoint);

// Checks that every tensor of `spec` is present with its shape and a floating-point dtype or a scale.
// Throws UserError naming the first that is not, with the expected and found values.
void validate(const Checkpoint& checkpoint, const model::NetworkSpec& spec);

// Converts a tensor to spec.dtype (nearest even) and writes it to `dst` in spec.layout: memory_format(spec)
// describes and sizes dst.  Any source strides; temporaries of a few KiB at most.  A tensor with a scale is
// multiplied in fp32 and rounded once; its temporaries are a few rows.  Runs on the calling thread.
// Throws UserError if the entry's shape is not the spec's or its dtype is not a floating-point one (int8 with
// a scale is accepted).
void read_tensor(const TensorEntry& entry, const model::TensorSpec& spec, std::byte* dst);

// As above for rows [row_begin, row_end) of dimension 0 only; `dst` is the start of the whole tensor.  Each
// layout keeps a row contiguous, so disjoint ranges may be read by different threads or processes.
// Throws std::invalid_argument if the range is not inside the tensor, else as read_tensor.
void read_tensor_rows(const TensorEntry& entry, const model::TensorSpec& spec, std::byte* dst,
                      std::int64_t row_begin, std::int64_t row_end);

}  // namespace ferry::checkpoint
