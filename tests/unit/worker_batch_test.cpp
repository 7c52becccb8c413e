#include <ATen/ops/zeros.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "../support/temporary_folder.h"
#include "worker/batch/failed_list.h"
#include "worker/batch/survey.h"
#include "worker/batch/text_visits.h"

namespace ferry::worker {
namespace {

using ferry::testing::TemporaryFolder;

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Job job_of(const std::string& prompt, double guidance = 5) {
  Job job;
  job.prompt = prompt;
  job.negative_prompt = "no";
  job.guidance = guidance;
  return job;
}

std::vector<const Job*> pointers(const std::vector<Job>& jobs) {
  std::vector<const Job*> all;
  for (const Job& job : jobs) all.push_back(&job);
  return all;
}

TextVisit plan_visit(const std::vector<Job>& jobs, const ContextStore& store, std::size_t each,
                     std::size_t limit) {
  return plan_visit(pointers(jobs), store, each, limit);
}

TextRound plan_round(const std::vector<Job>& jobs, std::size_t each, std::size_t limit) {
  return plan_round(pointers(jobs), each, limit);
}

TEST(TextVisits, AllPromptsAreEncodedInOneVisitThatHasRoom) {
  const TextVisit visit =
      plan_visit({job_of("a"), job_of("b"), job_of("a"), job_of("c", 1), job_of("b")}, {}, 10, 1000);
  EXPECT_FALSE(visit.known);
  EXPECT_THAT(visit.ahead, ElementsAre("b", "c"));  // "no" is the first video's own
  EXPECT_FALSE(visit.more_later);
}

TEST(TextVisits, WhatHasNoRoomIsLeftToALaterVisit) {
  const TextVisit visit = plan_visit({job_of("a"), job_of("b"), job_of("c")}, {}, 10, 30);
  EXPECT_THAT(visit.ahead, ElementsAre("b"));
  EXPECT_TRUE(visit.more_later);
  const TextVisit none = plan_visit({job_of("a"), job_of("b")}, {}, 10, 1);
  EXPECT_THAT(none.ahead, IsEmpty());
  EXPECT_TRUE(none.more_later);
}

TEST(TextVisits, AVideoWhosePromptsAreKnownEncodesNothing) {
  ContextStore store;
  store.put("a", at::zeros({1, 2}));
  store.put("no", at::zeros({1, 2}));
  EXPECT_EQ(store.bytes(), 16U);
  const TextVisit visit = plan_visit({job_of("a"), job_of("no"), job_of("b")}, store, 8, 1000);
  EXPECT_TRUE(visit.known);
  EXPECT_THAT(visit.ahead, IsEmpty());
  EXPECT_TRUE(visit.more_later);
  EXPECT_FALSE(plan_visit({job_of("a"), job_of("no")}, store, 8, 1000).more_later);
  // What is in the store takes room too.
  EXPECT_THAT(plan_visit({job_of("c", 1), job_of("d", 1)}, store, 8, 24).ahead, IsEmpty());
  store.drop("a");
  EXPECT_FALSE(store.has("a"));
  EXPECT_TRUE(store.has("no"));
  store.put_cause("b", "it begins in block 3");
  EXPECT_TRUE(store.has("b"));
  EXPECT_EQ(store.cause("b"), "it begins in block 3");
  EXPECT_EQ(store.cause("no"), "");
  EXPECT_FALSE(plan_visit({job_of("a")}, store, 8, 1000).known);
}

TEST(TextVisits, JobsWithContextsOrLatentsEncodeNothing) {
  Job given = job_of("a");
  given.context = "c.safetensors";
  Job decoded = job_of("b");
  decoded.latents = "l.safetensors";
  EXPECT_THAT(prompts_to_encode(given), IsEmpty());
  EXPECT_THAT(prompts_to_encode(decoded), IsEmpty());
  EXPECT_THAT(plan_visit({job_of("x"), given, decoded, job_of("y")}, {}, 1, 100).ahead, ElementsAre("y"));
  EXPECT_FALSE(plan_visit({given, decoded}, {}, 1, 100).more_later);
}

TEST(TextRounds, HaveAsManyVideosAsHaveRoom) {
  const std::vector<Job> jobs = {job_of("a"), job_of("b"), job_of("a"), job_of("c", 1)};
  const TextRound all = plan_round(jobs, 10, 40);
  EXPECT_EQ(all.videos, 4U);
  EXPECT_THAT(all.prompts, ElementsAre("a", "no", "b", "c"));
  EXPECT_FALSE(all.more_later);
  const TextRound some = plan_round(jobs, 10, 39);
  EXPECT_EQ(some.videos, 3U) << "the third needs no more than the first";
  EXPECT_TRUE(some.more_later);
  const TextRound one = plan_round(jobs, 10, 1);
  EXPECT_EQ(one.videos, 1U) << "else there would be no end";
  EXPECT_THAT(one.prompts, ElementsAre("a", "no"));
  EXPECT_TRUE(one.more_later);
}

TEST(TextRounds, VideosWithoutPromptsHaveRoom) {
  Job decoded = job_of("b");
  decoded.latents = "l.safetensors";
  const TextRound round = plan_round({job_of("a"), decoded, decoded}, 10, 1);
  EXPECT_EQ(round.videos, 3U);
  EXPECT_FALSE(round.more_later);
  EXPECT_THAT(plan_round({job_of("no")}, 10, 1).prompts, ElementsAre("no"));
}

TEST(TextRounds, HaveOnlyVideosWithTheSameLoras) {
  Job with = job_of("a");
  with.loras = {{"l.safetensors", 0.5}};
  const TextRound round = plan_round({with, with, job_of("b"), with}, 10, 1000);
  EXPECT_EQ(round.videos, 2U);
  EXPECT_THAT(round.prompts, ElementsAre("a", "no"));
  EXPECT_TRUE(round.more_later);
  Job decoded = job_of("b");
  decoded.latents = "l.safetensors";
  EXPECT_FALSE(plan_round({with, decoded}, 10, 1000).more_later);
}

std::string written(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

TEST(FailedItems, AreListedInOrderAndOnce) {
  const TemporaryFolder folder;
  const std::string path = folder.file("m.failed.jsonl");
  FailedList list(path);
  list.add({.line = 12, .id = "\"x\"", .job = {}, .echo = {}, .error = {}}, "later", 1);
  list.add({.line = 3, .id = "null", .job = {}, .echo = {}, .error = {}}, "first\n", 2);
  list.add({.line = 12, .id = "\"x\"", .job = {}, .echo = {}, .error = {}}, "again", 1);
  list.write();
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  EXPECT_EQ(line, R"({"line":3,"id":null,"error":"first\n","exit_code":2})");
  std::getline(file, line);
  EXPECT_EQ(line, R"({"line":12,"id":"x","error":"again","exit_code":1})");
  EXPECT_FALSE(std::getline(file, line));
  FailedList(path).write();
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Records, DifferencesAreNamed) {
  const TemporaryFolder folder;
  Job job = job_of("a");
  job.seed = 4;
  job.width = 64;
  BatchItem item;
  item.echo = {{"model.dtype", "x"}};
  nlohmann::json record = {{"job", nlohmann::json::parse(to_json(job))},
                           {"options", {{"model.dtype", "x"}}},
                           {"model", {{"folder", "m"}}}};
  const std::string path = written(folder.file("r.json"), record.dump());
  EXPECT_EQ(differences_from_record(path, item, job, "m"), "");
  job.width = 96;
  job.seed = 5;
  EXPECT_EQ(differences_from_record(path, item, job, "m"), "width is 96, there 64; seed is 5, there 4");
  job.width = 64;
  job.seed_drawn = true;
  EXPECT_EQ(differences_from_record(path, item, job, "m"), "");
  item.echo.clear();
  EXPECT_EQ(differences_from_record(path, item, job, "n"),
            "model.dtype is not given, there x; model is n, there m");
  item.echo = {{"model.dtype", "x"}};
  job.loras = {{"l", 0.5}};
  EXPECT_EQ(differences_from_record(path, item, job, "m"),
            R"(loras is [{"path":"l","strength":0.5}], there [])");
  for (const char* text : {"{}", "[", "{\"job\": 1}", "{\"job\": {\"seed\": [1]}, \"options\": 3}"}) {
    EXPECT_NE(differences_from_record(written(folder.file("x.json"), text), item, job, "m"), "") << text;
  }
}

}  // namespace
}  // namespace ferry::worker
