// Batches of the small model, by one group of ranks and by several, on as many ranks as there are, on the
// device that the program was built for.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/run_failure.h"
#include "tests/support/demo_job.h"
#include "tests/support/engine_fixture.h"
#include "tests/support/temporary_folder.h"
#include "worker/batch/run_batch.h"
#include "worker/run.h"

namespace ferry::worker {
namespace {

using ::ferry::testing::EngineRanksTest;
using ::ferry::testing::TemporaryFolder;

// Ends with the ranks undivided, wherever they are.
class Divided {
 public:
  explicit Divided(parallel::Session& session) : session_(session) {}
  ~Divided() {
    session_.divide(1);
    session_.barrier();
  }
  Divided(const Divided&) = delete;
  Divided& operator=(const Divided&) = delete;

 private:
  parallel::Session& session_;
};

class Batches : public EngineRanksTest {
 protected:
  void SetUp() override {
    EngineRanksTest::SetUp();
    if (!has_device()) return;
    options.model.device = device_name();
    shared = session().broadcast(folder.path(), 0);
  }
  std::string file(const std::string& name) const { return shared + "/" + name; }

  BatchItem item(int line, const std::string& prompt, const std::string& name) const {
    BatchItem item;
    item.line = line;
    item.job = options.job;
    item.job.prompt = prompt;
    item.job.out = file(name + ".mp4");
    item.job.save = file(name + ".safetensors");
    item.echo = {{"job.prompt", prompt}};
    return item;
  }
  Batch batch_of(std::vector<BatchItem> items) const {
    return {.items = std::move(items), .failed_path = file("failed.jsonl")};
  }
  int run(const Batch& batch) {
    StopRequest stop;
    const Divided back(session());
    return run_batch(options, batch, session(), stop);
  }
  std::string read(const std::string& name) const {
    std::ifstream stream(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  // Files of a program that makes only this video.
  std::string tensors_alone(BatchItem item, const std::string& name = "alone") {
    Options alone = options;
    alone.job = item.job;
    alone.job.out = file(name + ".mp4");
    alone.job.save = file(name + ".safetensors");
    alone.job.overwrite = true;
    StopRequest stop;
    EXPECT_EQ(worker::run(alone, session(), stop), 0);
    session().barrier();
    return read(name + ".safetensors");
  }

  // Tensors saved by a batch of two groups, with rounds of at most so many bytes of encoded prompts, and by
  // runs of their own on as many ranks.
  void expect_groups_as_alone(std::size_t context_bytes) {
    std::vector<BatchItem> items = {item(1, "a red circle", "a"), item(2, "a green square", "b"),
                                    item(3, "a red circle", "c"), item(4, "a blue square", "d"),
                                    item(5, "a white square", "e")};
    items[2].job.width = 17;
    Batch batch = batch_of(items);
    batch.context_bytes = context_bytes;
    for (BatchItem& each : batch.items) each.job.overwrite = true;
    options.parallel.data = 2;
    EXPECT_THROW(run(batch), RunFailure);
    options.parallel.data = 1;
    session().divide(2);
    for (std::size_t i = 0; i < items.size(); ++i) {
      if (i % 2 != static_cast<std::size_t>(session().group()) || i == 2) continue;
      const std::string name(1, static_cast<char>('a' + i));
      EXPECT_TRUE(read(name + ".safetensors") == tensors_alone(items[i], name + "-alone")) << i;
      EXPECT_FALSE(read(name + ".safetensors").empty()) << i;
    }
    session().divide(1);
    session().barrier();
    const std::string failed = read("failed.jsonl");
    EXPECT_EQ(std::count(failed.begin(), failed.end(), '\n'), 1) << failed;
  }

  void TearDown() override {
    session().divide(1);
    EngineRanksTest::TearDown();
  }

  TemporaryFolder folder;
  std::string shared;
  Options options = ::ferry::testing::small_job("");
};

TEST_F(Batches, PromptsEncodedInOneVisitOrInManyGiveTheBitsOfRunsOfTheirOwn) {
  if (!has_device()) GTEST_SKIP() << "no device";
  const std::vector<BatchItem> items = {item(1, "a red circle", "a"), item(2, "a green square", "b"),
                                        item(3, "a red circle", "c"), item(4, "a blue square", "d")};
  std::vector<std::string> wanted;
  for (const BatchItem& each : items) wanted.push_back(tensors_alone(each));
  ASSERT_FALSE(wanted[0].empty());
  EXPECT_NE(wanted[0], wanted[1]);
  for (const std::size_t bytes : {std::size_t{0}, std::size_t{1}}) {
    Batch batch = batch_of(items);
    batch.context_bytes = bytes;
    for (BatchItem& each : batch.items) each.job.overwrite = true;
    EXPECT_EQ(run(batch), 0);
    for (std::size_t i = 0; i < items.size(); ++i) {
      EXPECT_TRUE(read(std::string(1, static_cast<char>('a' + i)) + ".safetensors") == wanted[i])
          << i << ", " << bytes;
    }
    session().barrier();
  }
}

TEST_F(Batches, GroupsGiveTheBitsOfRunsOfTheirOwn) {
  if (!has_device()) GTEST_SKIP() << "no device";
  if (size() == 1) GTEST_SKIP() << "one rank is one group";
  expect_groups_as_alone(0);
}

TEST_F(Batches, GroupsMeetWhereThePromptsOfMoreVideosHaveNoRoom) {
  if (!has_device()) GTEST_SKIP() << "no device";
  if (size() == 1) GTEST_SKIP() << "one rank is one group";
  expect_groups_as_alone(1);
}

TEST_F(Batches, ARequestInOneGroupStopsAll) {
  if (!has_device()) GTEST_SKIP() << "no device";
  if (size() == 1) GTEST_SKIP() << "one rank is one group";
  StopRequest stop;
  stop.enter(StopRequest::Phase::Stoppable);
  if (rank() == size() - 1) stop.ask();
  std::vector<BatchItem> items;
  for (int i = 0; i < 12; ++i) items.push_back(item(i + 1, "a red circle", std::to_string(i)));
  options.parallel.data = 2;
  {
    const Divided back(session());
    EXPECT_EQ(run_batch(options, batch_of(items), session(), stop), kRequeueExit);
  }
  int made = 0;
  for (int i = 0; i < 12; ++i)
    made += std::filesystem::exists(file(std::to_string(i) + ".safetensors")) ? 1 : 0;
  EXPECT_LE(made, 1) << "what the other group had taken before it heard";
}

TEST_F(Batches, AnItemThatFailsOnAllRanksLeavesTheOthersTheirTurn) {
  if (!has_device()) GTEST_SKIP() << "no device";
  std::vector<BatchItem> items = {item(1, "a red circle", "a"), item(2, "a green square", "b"),
                                  item(3, "a blue square", "c")};
  items[0].job.width = 17;
  items[1].job.noise = file("none.safetensors");
  EXPECT_THROW(run(batch_of(items)), RunFailure);
  session().barrier();
  EXPECT_FALSE(read("c.safetensors").empty());
  EXPECT_EQ(read("c.safetensors"), tensors_alone(items[2]));
  const std::string failed = read("failed.jsonl");
  EXPECT_EQ(std::count(failed.begin(), failed.end(), '\n'), 2);
}

TEST_F(Batches, ARequestBeforeAVideoBeginsStopsThere) {
  if (!has_device()) GTEST_SKIP() << "no device";
  StopRequest stop;
  stop.enter(StopRequest::Phase::Finishing);
  if (rank() == session().size() - 1) stop.ask();
  EXPECT_EQ(run_batch(options, batch_of({item(1, "a red circle", "a")}), session(), stop), kRequeueExit);
  session().barrier();
  EXPECT_FALSE(std::filesystem::exists(file("a.safetensors")));
}

}  // namespace
}  // namespace ferry::worker
