// umT5's tokenizer: a SentencePiece Unigram model with its own normaliser.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace ferry::model {

class Tokenizer {
 public:
  // Reads a spiece.model.  `text_len` is the maximum number of tokens of a prompt, end-of-sentence included.
  // Throws UserError naming the file if it is missing, damaged or has no end-of-sentence token;
  // std::invalid_argument unless text_len >= 1.
  Tokenizer(const std::string& spiece_path, std::int64_t text_len);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  // Token ids of a cleaned prompt: no prefix, end-of-sentence last, truncated to text_len with
  // end-of-sentence kept, not padded.  Characters without a piece become byte pieces if the model has them,
  // else <unk>.
  std::vector<std::int64_t> encode(const std::string& cleaned) const;

  // Number of tokens of a cleaned prompt before truncation, end-of-sentence included.
  std::int64_t count(const std::string& cleaned) const;

  // Upper bound (exclusive) of the ids.  The text encoder's vocabulary must be at least as large.
  std::int64_t vocab() const;

 private:
  std::unique_ptr<sentencepiece::SentencePieceProcessor> processor_;
  std::int64_t text_len_;
};

}  // namespace ferry::model
