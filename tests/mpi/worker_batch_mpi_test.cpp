// Batches of the small model, on as many ranks as there are, on the device that the program was built for.
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
    const int code = run_batch(options, batch, session(), stop);
    session().barrier();
    return code;
  }
  std::string read(const std::string& name) const {
    std::ifstream stream(file(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  // Files of a program that makes only this video.
  std::string tensors_alone(BatchItem item) {
    Options alone = options;
    alone.job = item.job;
    alone.job.out = file("alone.mp4");
    alone.job.save = file("alone.safetensors");
    alone.job.overwrite = true;
    StopRequest stop;
    EXPECT_EQ(worker::run(alone, session(), stop), 0);
    session().barrier();
    return read("alone.safetensors");
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
