#include "launcher/options/manifest.h"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// Items of a manifest, with the words of a command line as defaults.
std::vector<worker::BatchItem> items_of(const std::string& text, const std::vector<std::string>& words = {}) {
  worker::Options options;
  const std::vector<FlagGroup> groups = run_keys(options);
  return parse_manifest(text, "m.jsonl", gather_settings(groups, parse_command_line(groups, words)));
}

std::string error_of_text(const std::string& text) {
  try {
    items_of(text);
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

std::string value_of(const worker::BatchItem& item, const std::string& key) {
  for (const auto& [name, value] : item.echo) {
    if (name == key) return value;
  }
  return "none";
}

TEST(Manifest, AnItemsKeysOverrideTheCommandLine) {
  const auto items = items_of(
      "\xEF\xBB\xBF{\"prompt\": \"a\", \"seed\": 9223372036854775807, \"guidance\": 2.5, \"overwrite\": "
      "true}\r\n"
      "\n"
      "  {\"job.size\": \"64x32\", \"id\": \"x\", \"negative_prompt\": \"\"}",
      {"--prompt", "b", "--steps", "7", "--guidance", "4", "--jobs", "m.jsonl", "--offload.type", "async"});
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].error + items[1].error, "");
  EXPECT_EQ(items[0].line, 1);
  EXPECT_EQ(items[0].job.prompt, "a");
  EXPECT_EQ(items[0].job.seed, INT64_MAX);
  EXPECT_EQ(items[0].job.guidance, 2.5);
  EXPECT_EQ(items[0].job.steps, 7);
  EXPECT_TRUE(items[0].job.overwrite);
  EXPECT_EQ(items[0].job.name, "line-0001");
  EXPECT_EQ(items[1].line, 3);
  EXPECT_EQ(items[1].id, "\"x\"");
  EXPECT_EQ(items[1].job.prompt, "b");
  EXPECT_EQ(items[1].job.negative_prompt, "");
  EXPECT_EQ(items[1].job.width, 64);
  EXPECT_EQ(items[1].job.guidance, 4);
  EXPECT_EQ(items[1].job.name, "x");
}

TEST(Manifest, AnItemsRecordHasItsOwnOptions) {
  const auto items =
      items_of(R"({"prompt": "a", "seed": 3})", {"--prompt", "b", "--jobs", "m.jsonl", "--steps", "7"});
  EXPECT_EQ(value_of(items[0], "job.prompt"), "a");
  EXPECT_EQ(value_of(items[0], "job.seed"), "3");
  EXPECT_EQ(value_of(items[0], "job.steps"), "7");
  EXPECT_EQ(value_of(items[0], "run.jobs"), "none");
}

TEST(Manifest, AnItemHasNothingOfThoseBefore) {
  const std::string last = R"({"prompt": "c"})";
  const std::vector<std::string> words = {"--prompt", "b", "--steps", "7"};
  // The second fails when frames and guidance are read already.
  const auto items = items_of(
      R"({"prompt": "a", "negative_prompt": "n", "size": "64x32", "frames": 5, "steps": 3, "sampler": "euler", )"
      R"("guidance": 2.5, "shift": 3, "seed": 1, "noise": "n.st", "noise_device": "cpu", "context": "c.st", )"
      R"("latents": "l.st", "fps": 8, "out": "o.mp4", "out_scale": 2, "save": "s.st", "overwrite": true})"
      "\n"
      R"({"frames": 41, "guidance": 9, "seed": "x"})"
      "\n" +
          last,
      words);
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(items[0].error, "");
  EXPECT_THAT(items[1].error, StartsWith("seed: 'x'"));
  const worker::BatchItem alone = items_of("\n\n" + last, words).at(0);
  EXPECT_EQ(items[2].echo, alone.echo);
  EXPECT_EQ(items[2].error, "");
  const worker::JobOptions& job = items[2].job;
  EXPECT_EQ(job.prompt, "c");
  EXPECT_EQ(job.steps, 7);
  EXPECT_FALSE(job.negative_prompt || job.width || job.height || job.frames || job.sampler || job.guidance ||
               job.shift || job.fps || job.overwrite);
  EXPECT_EQ(job.seed, -1);
  EXPECT_EQ(job.out_scale, 1);
  EXPECT_EQ(job.noise_device, "auto");
  EXPECT_EQ(job.noise + job.context + job.latents + job.out + job.save, "");
  EXPECT_EQ(job.name, "line-0003");
}

TEST(Manifest, AnItemsLorasReplaceTheCommandLines) {
  const auto items = items_of(R"({"prompt": "a", "lora": [{"path": "x", "strength": 0.5}, {"path": "y"}]})"
                              "\n"
                              R"({"prompt": "a", "lora": []})"
                              "\n"
                              R"({"prompt": "a"})",
                              {"--lora.path", "l", "--lora.strength", "2"});
  using Choices = std::vector<worker::LoraChoice>;
  EXPECT_EQ(items[0].job.loras, (Choices{{"x", 0.5}, {"y", 1}}));
  EXPECT_EQ(items[1].job.loras, Choices());
  EXPECT_EQ(items[2].job.loras, (Choices{{"l", 2}}));
  EXPECT_EQ(value_of(items[0], "lora"), R"([{"path":"x","strength":0.5},{"path":"y"}])");
  EXPECT_EQ(value_of(items[0], "lora.path"), "none");
  EXPECT_EQ(value_of(items[2], "lora.path"), "l");
  EXPECT_EQ(value_of(items[2], "lora"), "none");
  for (const auto& [list, error] : std::vector<std::pair<std::string, std::string>>{
           {"\"x\"", "is no list of LoRAs"},
           {"[\"x\"]", "is no list of LoRAs"},
           {"null", "is no list of LoRAs"},
           {"[{}]", "has no path"},
           {"[{\"path\": 1}]", "path: 1 is no path"},
           {"[{\"path\": \"\"}]", "path: the value is empty"},
           {R"([{"path": "a\u0000b"}])", "is no path"},
           {"[{\"path\": \"x\", \"strength\": \"a\"}]", "strength: 'a' is not a number"},
           {"[{\"path\": \"x\", \"strength\": 1001}]", "strength: 1001 is out of range"},
           {"[{\"path\": \"x\", \"expert\": \"high\"}]", "unknown key 'expert'; accepted: path, strength"}}) {
    const auto item = items_of("{\"lora\": " + list + "}").at(0);
    EXPECT_THAT(item.error, StartsWith("lora: "));
    EXPECT_THAT(item.error, HasSubstr(error));
  }
}

TEST(Manifest, ANumberTooLargeIsTheItemsError) {
  const auto items = items_of(R"({"prompt": "a \"1e999\" b", "seed": 3})"
                              "\n"
                              R"({"id": "x", "guidance": 1e999, "seed": 1})"
                              "\n"
                              R"({"id": -1E+999, "size": [2, 1.5e400]})"
                              "\n"
                              R"({"prompt": "c", "shift": 1e-999})");
  ASSERT_EQ(items.size(), 4U);
  EXPECT_EQ(items[0].error, "");
  EXPECT_EQ(items[0].job.prompt, "a \"1e999\" b");
  EXPECT_EQ(items[1].error, "1e999: the number is too large");
  EXPECT_EQ(items[1].id, "\"x\"");
  EXPECT_EQ(items[2].error, "-1E+999: the number is too large");
  EXPECT_THAT(items[3].error, StartsWith("shift: 0.0 is out of range"));
  const std::string digits(400, '9');
  EXPECT_THAT(items_of("{\"seed\": " + digits + "}")[0].error, HasSubstr("999...: the number is too large"));
  // Rounded they would be other prompts and names.
  for (const char* number : {"18446744073709551616", "-9223372036854775809"}) {
    for (const char* key : {"prompt", "id", "seed"}) {
      const auto item = items_of(fmt::format(R"({{"{}": {}}})", key, number)).at(0);
      EXPECT_EQ(item.error, fmt::format("{}: the number is too large", number));
    }
  }
  EXPECT_EQ(items_of(R"({"prompt": 18446744073709551615})")[0].job.prompt, "18446744073709551615");
  EXPECT_EQ(items_of(R"({"prompt": -9223372036854775808})")[0].job.prompt, "-9223372036854775808");
  EXPECT_EQ(items_of(R"({"guidance": 2.50000000000000000000})")[0].job.guidance, 2.5);
  for (const char* wrong : {"{1e999: 1}", R"({"a": 1e999x})", R"({"a": 1e999e1})", R"({"a": 1e999)", "1e999",
                            R"({"a": 01e999})", R"({"a": +1e999})"}) {
    EXPECT_THAT(error_of_text(wrong), StartsWith("m.jsonl: line 1: ")) << wrong;
  }
}

TEST(Manifest, WrongValuesAreTheItemsError) {
  const auto error = [](const std::string& text) {
    const auto items = items_of(text + "\n{\"prompt\": \"good\"}");
    EXPECT_EQ(items.at(1).error, "");
    return items[0].error;
  };
  EXPECT_EQ(error(R"({"promt": "x"})"), "unknown key 'promt'; did you mean prompt?");
  EXPECT_EQ(error(R"({"num_frames": 5})"), "unknown key 'num_frames'; did you mean frames?");
  EXPECT_THAT(error(R"({"device": "cpu"})"), HasSubstr("device: it is the same for all videos"));
  EXPECT_THAT(error(R"({"size": "big"})"), StartsWith("size: 'big' is not"));
  EXPECT_THAT(error(R"({"size": [64, 32]})"), HasSubstr("size: [64,32] is no text"));
  EXPECT_THAT(error(R"({"seed": null})"), HasSubstr("seed: null is no text"));
  EXPECT_THAT(error(R"({"seed": 1.5})"), StartsWith("seed: '1.5' is not"));
  EXPECT_THAT(error(R"({"out": "a\u0000b"})"), HasSubstr("out: it contains a zero byte"));
  EXPECT_THAT(error(R"({"prompt": "x", "job.prompt": "y"})"), HasSubstr("twice"));
  for (const char* id : {R"("../x")", R"("a/b")", R"(".x")", R"("")", "[1]", "{}"}) {
    EXPECT_THAT(error(fmt::format(R"({{"prompt": "x", "id": {}}})", id)), StartsWith("id")) << id;
  }
  // The name is not the id's.
  EXPECT_EQ(items_of(R"({"prompt": "x", "id": "../x", "out": "y.mp4"})")[0].error, "");
}

TEST(Manifest, LongNamesAreCutInTheItemsError) {
  const auto error = [](const std::string& key) {
    return items_of(fmt::format(R"({{"prompt": "x", "{}": "{}"}})", key, std::string(100'000, 'x')))[0].error;
  };
  for (const std::string key : {"out", "save", "noise", "context", "latents"}) {
    EXPECT_THAT(error(key), StartsWith(key + ": xxx"));
    EXPECT_THAT(error(key), EndsWith("x... has 100000 bytes; paths have at most 4095"));
  }
  EXPECT_THAT(error("id"),
              HasSubstr("x...: the video is named after it: it has 100000 bytes, file names at most 255"));
}

TEST(Manifest, AWrongManifestNamesTheLine) {
  const std::string good = R"({"prompt": "x"})"
                           "\n";
  EXPECT_THAT(error_of_text(good + "{'a': 1}"),
              StartsWith("m.jsonl: line 2: no valid JSON at column 2: syntax"));
  EXPECT_THAT(error_of_text(good + "\n[]"), HasSubstr("line 3: it is no JSON object"));
  EXPECT_THAT(error_of_text(good + "{\"a\": \"\xff\"}"), StartsWith("m.jsonl: line 2"));
  EXPECT_THAT(error_of_text(R"({"a": 1, "a": 2})"), StartsWith("m.jsonl: line 1"));
  EXPECT_EQ(error_of_text(" \n\n"), "m.jsonl: line 1: there is no item");
  EXPECT_EQ(error_of_text("{\"out\": \"a.mp4\"}\n{\"out\": \"./a.y4m\"}"),
            "m.jsonl: line 2: out ./a.y4m: line 1 writes the same file; accepted: another name");
  EXPECT_THAT(error_of_text("{\"id\": \"line-0002\"}\n{}"), HasSubstr("line 2: the name line-0002"));
  EXPECT_THAT(error_of_text("{\"save\": \"a\"}\n{\"save\": \"a\"}"), HasSubstr("line 2: save a"));
  EXPECT_THAT(error_of_text("{\"id\": 1, \"save\": \"2.json\"}\n{\"id\": 2}"),
              HasSubstr("line 2: the name 2"));
}

TEST(Manifest, ItsFailedItemsAreListedBesideIt) {
  EXPECT_EQ(failed_path_of("a/b.jsonl"), "a/b.jsonl.failed.jsonl");
  EXPECT_EQ(failed_path_of("-"), "stdin.failed.jsonl");
}

}  // namespace
}  // namespace ferry::launcher
