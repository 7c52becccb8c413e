#include "launcher/commands/demo_words.h"

#include <gmock/gmock.h>

#include <fstream>

#include "base/error.h"
#include "tests/support/temporary_folder.h"

namespace ferry::launcher {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;

DemoWords words_of(const std::string& text) {
  const testing::TemporaryFolder folder;
  std::ofstream(folder.path() + "/words.txt") << text;
  return read_demo_words(folder.path());
}

const std::string kFile = "colours: red, green\nshapes: circle\nother: a, on\nexample: a red circle\n";

TEST(DemoWords, AreDescribedByKindWithAnExample) {
  const std::string text = describe(words_of(kFile));
  EXPECT_THAT(text, HasSubstr("colours      red, green\n"));
  EXPECT_THAT(text, HasSubstr("in sentences like \"a red circle\"."));
  EXPECT_THAT(text, Not(HasSubstr("other")));
}

TEST(DemoWords, OfAPromptThatWereNotTaughtAreListedOnce) {
  const DemoWords words = words_of(kFile);
  EXPECT_THAT(unknown_words(words, "A Red circle, on a sofa: Sofa, café!"), ElementsAre("sofa", "café"));
  EXPECT_THAT(unknown_words(words, "a green circle"), IsEmpty());
}

TEST(DemoWords, OfAFolderWithoutTheFileAreNotKnown) {
  const testing::TemporaryFolder folder;
  const DemoWords words = read_demo_words(folder.path());
  EXPECT_EQ(describe(words), "");
  EXPECT_THAT(unknown_words(words, "a cat"), IsEmpty());
}

TEST(DemoWords, ALineWithoutAColonIsRefused) { EXPECT_THROW(words_of("red, green\n"), UserError); }

}  // namespace
}  // namespace ferry::launcher
