// Ids against Python's SentencePiece and transformers are in tests/parity/text_parity.py.
#include "model/text/tokenizer.h"

#include <gmock/gmock.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>
#include <vector>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace ferry::model {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class DemoTokenizer : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* source = std::getenv("FERRY_SOURCE_DIR");
    ASSERT_NE(source, nullptr) << "run through ctest, which names the source directory";
    path_ = std::string(source) + "/models/demo/tokenizer/spiece.model";
  }

  std::string bytes() const {
    std::ifstream file(path_, std::ios::binary);
    std::stringstream all;
    all << file.rdbuf();
    return all.str();
  }

  std::string write(const std::string& content) const {
    const std::string file = folder_.file("spiece.model");
    std::ofstream(file, std::ios::binary) << content;
    return file;
  }

  // The message of the UserError, empty when none is thrown.
  static std::string refusal(const std::string& file) {
    try {
      const Tokenizer tokenizer(file, 512);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }

  std::string path_;
  testing::TemporaryFolder folder_;
};

TEST_F(DemoTokenizer, AppendsEndOfSentenceOnly) {
  const Tokenizer tokenizer(path_, 512);
  EXPECT_EQ(tokenizer.vocab(), 129);
  EXPECT_THAT(tokenizer.encode(""), ElementsAre(1));
  EXPECT_THAT(tokenizer.encode("a red square moving left"), ElementsAre(16, 5, 24, 20, 4, 1));
}

TEST_F(DemoTokenizer, FoldsLettersToLowerCaseAsTheFileAsks) {
  EXPECT_THAT(Tokenizer(path_, 512).encode("A Red SQUARE"), ElementsAre(16, 5, 24, 1));
}

TEST_F(DemoTokenizer, CutsLongPromptsAndKeepsEndOfSentence) {
  const Tokenizer tokenizer(path_, 4);
  EXPECT_THAT(tokenizer.encode("a red square"), ElementsAre(16, 5, 24, 1));
  EXPECT_THAT(tokenizer.encode("a red square moving left"), ElementsAre(16, 5, 24, 1));
  EXPECT_THAT(Tokenizer(path_, 1).encode("a red square"), ElementsAre(1));
  EXPECT_THROW(Tokenizer(path_, 0), std::invalid_argument);
}

TEST_F(DemoTokenizer, CountsWhatIsCutAsWell) {
  const Tokenizer tokenizer(path_, 4);
  EXPECT_EQ(tokenizer.count("a red square moving left"), 6);
  EXPECT_EQ(tokenizer.count("a red square"), 4);
  EXPECT_EQ(tokenizer.count(""), 1);
}

TEST_F(DemoTokenizer, CharactersWithoutPieceAreUnknown) {
  // This model has no byte pieces; a run of unknown characters is one token.
  EXPECT_THAT(Tokenizer(path_, 512).encode("\u732b\u732b red"), ElementsAre(37, 2, 5, 1));
}

TEST_F(DemoTokenizer, RefusesDamagedFilesByName) {
  const std::string whole = bytes();
  EXPECT_EQ(refusal(write(whole)), "");
  // The short cut is inside a piece: a file that ends between two is a shorter vocabulary to SentencePiece.
  for (const std::string& content :
       {std::string(), std::string("not a model at all"), whole.substr(0, whole.size() / 2),
        whole.substr(0, 99), std::string(1000, '\xff')}) {
    EXPECT_THAT(refusal(write(content)), HasSubstr(folder_.file("spiece.model")))
        << content.size() << " bytes";
  }
  EXPECT_THAT(refusal(folder_.file("absent.model")), HasSubstr("absent.model"));
  EXPECT_THAT(refusal(folder_.path()), HasSubstr(folder_.path()));
}

// What SentencePiece would read memory at: places in its table of replacements that are not there.
TEST_F(DemoTokenizer, RefusesATableThatPointsOutOfItself) {
  const std::string whole = bytes();
  const std::size_t table = whole.find("nmt_nfkc_cf") + 11 + 4 + 4;  // behind field, length, bytes of units
  using Unit = std::pair<std::size_t, std::uint32_t>;
  const auto with = [&](const std::vector<Unit>& units) {
    std::string changed = whole;
    for (const auto& [place, unit] : units)
      std::memcpy(changed.data() + table + 4 * place, &unit, sizeof unit);
    return refusal(write(changed));
  };
  EXPECT_EQ(with({}), "");
  EXPECT_THAT(with({{0, 0x7ffffe00U}}), HasSubstr("points out of itself"));
  EXPECT_THAT(with({{1000, 0x7ffffe00U}}), HasSubstr("points out of itself"));
  EXPECT_THAT(with({{0, 0x80000000U}}), HasSubstr("no root"));
  // Unit 1000 has a value, at 1000 ^ 1.
  EXPECT_THAT(with({{1000, 0x500U}, {1001, 0xffffffffU}}), HasSubstr("points behind them"));
  std::string endless = whole;
  endless.back() = 'x';
  EXPECT_THAT(refusal(write(endless)), HasSubstr("has no end"));
}

TEST_F(DemoTokenizer, RefusesWhatItCannotMakeATrieOf) {
  // Two empty pieces of type 4 (given by the user): {piece: "", score: 0, type: 4}.
  const std::string piece("\x0a\x09\x0a\x00\x15\x00\x00\x00\x00\x18\x04", 11);
  EXPECT_THAT(refusal(write(piece + bytes())), HasSubstr(folder_.file("spiece.model")));
  // A group, which SentencePiece's reader would skip with all that is in it.
  EXPECT_THAT(refusal(write(bytes() + "\x2b\x2c")), HasSubstr("not made of protocol buffer fields"));
}

}  // namespace
}  // namespace ferry::model
