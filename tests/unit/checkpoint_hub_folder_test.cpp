// The Hugging Face cache's folders, and names of the Hub in place of folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "checkpoint/checkpoint.h"
#include "checkpoint/folder/folder.h"
#include "checkpoint/folder/hub_folder.h"
#include "tests/unit/checkpoint_support.h"

namespace ferry::checkpoint {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using testing::refusal;
using testing::TempFolder;

// A cache of one model with these snapshots.
class Cache {
 public:
  explicit Cache(const std::vector<std::string>& snapshots) {
    fs::create_directories(top() + "/blobs");
    for (const std::string& commit : snapshots) fs::create_directories(top() + "/snapshots/" + commit);
  }
  std::string top() const { return folder_ / "models--Wan-AI--Wan2.1-T2V-1.3B"; }
  void set_main(const std::string& commit) const { testing::write_bytes(top() + "/refs/main", commit); }
  std::string folder() const { return folder_.path(); }

 private:
  TempFolder folder_;
};

TEST(HubFolder, RefsMainNamesTheSnapshot) {
  const Cache cache({"aaaa", "bbbb"});
  cache.set_main("bbbb\n");
  EXPECT_THAT(model_folder(cache.top()), EndsWith("/snapshots/bbbb"));
  EXPECT_THAT(model_folder(cache.top() + "/"), EndsWith("/snapshots/bbbb"));
  EXPECT_THAT(model_folder(cache.top() + "/snapshots"), EndsWith("/snapshots/bbbb"));
  EXPECT_EQ(model_folder(cache.top() + "/snapshots/aaaa"), cache.top() + "/snapshots/aaaa");
}

TEST(HubFolder, OnlySnapshotWithoutRefsMain) {
  const Cache cache({"aaaa"});
  EXPECT_THAT(model_folder(cache.top()), EndsWith("/snapshots/aaaa"));
  cache.set_main("gone");
  EXPECT_THAT(model_folder(cache.top()), EndsWith("/snapshots/aaaa"));
}

TEST(HubFolder, SeveralSnapshotsAreRefusedByName) {
  const Cache cache({"aaaa", "bbbb"});
  EXPECT_THAT(refusal([&] { model_folder(cache.top()); }),
              AllOf(HasSubstr("aaaa, bbbb"), HasSubstr("refs/main")));
  const Cache none({});
  fs::create_directories(none.top() + "/snapshots");
  EXPECT_THAT(refusal([&] { model_folder(none.top()); }), HasSubstr("without a snapshot"));
}

TEST(HubFolder, CheckpointsAreFoundThroughTheLinksOfASnapshot) {
  const Cache cache({"aaaa"});
  const std::string snapshot = cache.top() + "/snapshots/aaaa";
  fs::create_directory_symlink(fs::path(testing::demo_model()) / "transformer", snapshot + "/transformer");
  EXPECT_NE(Checkpoint::open(cache.top(), Part::Dit).find("head.head.weight"), nullptr);
}

TEST(HubFolder, OrdinaryFoldersStayAsTheyAre) {
  EXPECT_EQ(model_folder(testing::demo_model()), testing::demo_model());
  EXPECT_EQ(model_folder("/no/such"), "/no/such");
  EXPECT_EQ(model_folder(""), "");
}

TEST(HubFolder, NamesOfTheHubAreAnsweredWithHowToDownload) {
  const Cache cache({"aaaa"});
  ::setenv("HF_HUB_CACHE", "/nowhere", 1);
  for (const char* name : {"Wan-AI/Wan2.1-T2V-1.3B", "https://huggingface.co/Wan-AI/Wan2.1-T2V-1.3B/"}) {
    EXPECT_THAT(refusal([&] { existing_model_folder(name); }),
                AllOf(HasSubstr("does not exist"),
                      HasSubstr("hf download Wan-AI/Wan2.1-T2V-1.3B --local-dir Wan2.1-T2V-1.3B")));
  }
  EXPECT_THAT(refusal([] { existing_model_folder("/no/such/folder"); }), Not(HasSubstr("hf download")));
  EXPECT_THAT(refusal([] { existing_model_folder("folder"); }), Not(HasSubstr("hf download")));
  ::setenv("HF_HUB_CACHE", cache.folder().c_str(), 1);
  EXPECT_THAT(refusal([] { existing_model_folder("Wan-AI/Wan2.1-T2V-1.3B"); }),
              HasSubstr("downloaded to " + cache.top()));
  ::unsetenv("HF_HUB_CACHE");
}

}  // namespace
}  // namespace ferry::checkpoint
