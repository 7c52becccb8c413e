// The target of SentencePiece models.  Ferry reads no tokenizer.json: the small model's is among the words.
#include <cstdlib>
#include <stdexcept>

#include "base/files/file.h"
#include "model/text/tokenizer.h"
#include "tests/fuzz/scratch.h"
#include "tests/fuzz/target.h"

namespace ferry::fuzz {
namespace {

void read_tokenizer(std::string_view input) {
  constexpr std::int64_t kMostTokens = 64;
  const model::Tokenizer tokenizer(put("spiece.model", input), kMostTokens);
  for (const char* prompt :
       {"", "a red square moving left", "\u732b \u00c5ngstr\u00f6m \ufb01 \u2460", "\xff\xfe\x80"}) {
    const std::vector<std::int64_t> ids = tokenizer.encode(prompt);
    if (ids.empty() || static_cast<std::int64_t>(ids.size()) > kMostTokens)
      throw std::logic_error("a wrong number of tokens");
    for (const std::int64_t id : ids) {
      if (id < 0 || id >= tokenizer.vocab()) throw std::logic_error("a token outside of the vocabulary");
    }
    if (tokenizer.count(prompt) < 1) throw std::logic_error("no tokens");
  }
}

std::string source_file(const std::string& name) {
  const char* source = std::getenv("FERRY_SOURCE_DIR");
  return read_file((source == nullptr ? "." : source) + ("/" + name));
}

// The small model's, and the same without its table of replacements, which is nearly all of it.
std::vector<std::string> tokenizer_corpus() {
  const std::string whole = source_file("models/demo/tokenizer/spiece.model");
  const std::size_t normalizer = whole.find("\x0a\x0bnmt_nfkc_cf") - 4;
  return {whole, whole.substr(0, normalizer)};
}

}  // namespace

Target tokenizer_target() {
  using std::string_view_literals::operator""sv;
  return {
      "tokenizer",
      read_tokenizer,
      tokenizer_corpus,
      {"\x0a\x0e\x0a\x05"sv, "\x15\x00\x00\xc0\x7f"sv, "\x15\x00\x00\x80\x7f"sv, "\x18\x02"sv, "\x18\x03"sv,
       "\x18\x04"sv, "\x18\x06"sv, "\x0b"sv, "\x0c"sv, "\x1a\x02\x12\x00"sv, "\x12\x04\x18\x02\x20\x00"sv,
       "\xe2\x96\x81"sv, "</s>"sv, "<unk>"sv, "<0x41>"sv, "{\"version\": \"1.0\"}"sv}};
}

}  // namespace ferry::fuzz
