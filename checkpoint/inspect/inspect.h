// The report of `ferry inspect` on a model folder.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace ferry::checkpoint {

struct WrongShape {
  std::string key;
  std::vector<std::int64_t> expected;
  std::vector<std::int64_t> found;
};

struct ListedTensor {
  std::string key;         // official name, or empty
  std::string source_key;  // name in the file
  std::string file;
  DType dtype = DType::F32;
  std::vector<std::int64_t> shape;
};

struct PartReport {
  Part part = Part::Dit;
  std::string error;   // why the part is unusable, or empty. Earlier findings are kept.
  std::string layout;  // "official" or "diffusers"
  std::string format;  // "safetensors" or "pth"
  std::vector<std::string> files;
  std::int64_t parameters = 0;
  std::int64_t bytes = 0;                           // of tensor data
  std::map<std::string, std::int64_t> dtype_bytes;  // name_of(dtype) -> bytes
  std::map<std::string, std::int64_t> dtype_tensors;
  Quantization quantization;  // dequantised on reading
  std::vector<ListedTensor> tensors;
  std::vector<std::pair<std::string, std::string>> config;  // detected dimensions, name and value
  std::vector<std::string> missing_optional;  // of the VAE's encoder, which decoding does not read
  std::vector<std::string> missing;           // official names
  std::vector<std::string> unexpected;        // names in the file of tensors that would be ignored
  std::vector<std::string> unknown_settings;  // from config.json, "name = value", that would be ignored
  std::vector<std::string> notes;             // harmless choices and omissions, one line each
  std::vector<WrongShape> wrong_shapes;

  bool usable() const {
    return error.empty() && missing.empty() && wrong_shapes.empty() && unexpected.empty() &&
           unknown_settings.empty();
  }
};

struct InspectReport {
  std::string path;               // the folder that holds the files
  std::vector<PartReport> parts;  // DiT, VAE, text encoder
  std::string tokenizer;          // path, or empty
  std::string tokenizer_error;    // why there is none
  std::string scheduler_error;    // why scheduler_config.json is unsupported
  bool usable() const;            // every part, the tokenizer and the scheduler
};

// Inspects every part; a fault of one part is in its report and does not hide the others. `keys` are
// Checkpoint::open's, by part.
// Throws UserError if the folder itself does not exist.
InspectReport inspect(const std::string& model_dir, const std::map<Part, std::string>& keys = {});

// Human-readable text; `list_tensors` adds a line per tensor.
std::string to_text(const InspectReport& report, bool list_tensors);

// The same content as JSON, one object.
std::string to_json(const InspectReport& report);

}  // namespace ferry::checkpoint
