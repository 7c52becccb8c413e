#include "model/text/tokenizer.h"

#include <fmt/format.h>
#include <sentencepiece_processor.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>

#include "base/error.h"
#include "base/files/file.h"
#include "base/files/other_kind.h"
#include "base/text/describe.h"
#include "model/text/spiece_check.h"

namespace ferry::model {

namespace {

// Why the model cannot be used, or an empty text.
std::string load(sentencepiece::SentencePieceProcessor& processor, std::string_view bytes) {
  try {
    const auto status = processor.LoadFromSerializedProto({bytes.data(), bytes.size()});
    return status.ok() ? "" : printable(status.ToString());
  } catch (
      const std::exception& error) {  // of the trie that it makes of the pieces: an empty one, for example
    return printable(error.what());
  }
}

}  // namespace

Tokenizer::Tokenizer(const std::string& spiece_path, std::int64_t text_len)
    : processor_(std::make_unique<sentencepiece::SentencePieceProcessor>()), text_len_(text_len) {
  if (text_len < 1) throw std::invalid_argument(fmt::format("Tokenizer: text_len {}", text_len));
  if (!std::filesystem::is_regular_file(spiece_path)) {
    const char* what = std::filesystem::is_directory(spiece_path) ? "is a folder" : "no such file";
    throw UserError(fmt::format("tokenizer {}: {}; a SentencePiece model is needed", spiece_path, what));
  }
  const MappedFile file(spiece_path);
  const std::string_view bytes(reinterpret_cast<const char*>(file.data()), file.bytes());
  std::string fault = damage_of_spiece(bytes);
  if (fault.empty()) {
    fault = load(*processor_, bytes);
  }
  if (!fault.empty()) {
    refuse_other_kind(file.span(), spiece_path, "a SentencePiece model");
    throw UserError(
        fmt::format("tokenizer {}: not a SentencePiece model that can be read ({})", spiece_path, fault));
  }
  if (processor_->eos_id() < 0) {
    throw UserError(fmt::format("tokenizer {}: the model has no end-of-sentence token </s>", spiece_path));
  }
}

Tokenizer::~Tokenizer() = default;
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;

std::vector<std::int64_t> Tokenizer::encode(const std::string& cleaned) const {
  const std::vector<int> pieces = processor_->EncodeAsIds(cleaned);
  const auto limit = static_cast<std::size_t>(text_len_ - 1);
  std::vector<std::int64_t> ids(pieces.begin(), pieces.begin() + std::min(pieces.size(), limit));
  ids.push_back(processor_->eos_id());
  return ids;
}

std::int64_t Tokenizer::count(const std::string& cleaned) const {
  return static_cast<std::int64_t>(processor_->EncodeAsIds(cleaned).size()) + 1;
}

std::int64_t Tokenizer::vocab() const { return processor_->GetPieceSize(); }

}  // namespace ferry::model
