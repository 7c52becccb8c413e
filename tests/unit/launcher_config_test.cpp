// How .cfg files are written, and how those that are none are refused.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include <cstdlib>

#include "launcher/options/config_text.h"
#include "launcher/options/paths.h"
#include "launcher_support.h"

namespace ferry::launcher {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

// The value of the only key of a text.
std::string value_in(const std::string& text) {
  const std::vector<ConfigEntry> entries = parse_config_text(text);
  EXPECT_EQ(entries.size(), 1U) << text;
  return entries.empty() ? "" : entries[0].value;
}

std::string error_in(const std::string& text) {
  return user_error_of([&] { parse_config_text(text); });
}

TEST(ConfigText, ACommentBeginsTheLineOrFollowsWhiteSpace) {
  for (const char* text : {"k = a b", "k = a b # c", "k = a b ; c", "k=a b\t# it's", "  k  =  a b  ",
                           "# c\nk = a b", ";c\n ; c\n\t# c\nk = a b", "k = a b #\n", "k = a b # ; \"x\""}) {
    EXPECT_EQ(value_in(text), "a b") << text;
  }
  EXPECT_EQ(value_in("k = a#1; b"), "a#1; b");
  EXPECT_EQ(value_in("k = a #1 b"), "a");
  EXPECT_EQ(value_in("k =#a"), "#a");
  EXPECT_EQ(value_in("k = # nothing"), "");
  EXPECT_EQ(value_in("k ="), "");
  EXPECT_EQ(value_in("k = a = b"), "a = b");
}

TEST(ConfigText, AValueIsQuotedWhenItsFirstQuoteEndsIt) {
  EXPECT_EQ(value_in("k = \"a #1 ; b\""), "a #1 ; b");
  EXPECT_EQ(value_in("k = ' a \"b\" ' # c"), " a \"b\" ");
  EXPECT_EQ(value_in("k = \"it's\" ; \"c\""), "it's");
  EXPECT_EQ(value_in("k = \"\""), "");
  EXPECT_EQ(value_in("k = \"a\\\""), "a\\");
}

TEST(ConfigText, OtherQuotesAreText) {
  for (const char* text : {"it's 5 o'clock", "'twas late", "\"A\" and \"B\"", "\"a", "a\"", "'a' b",
                           "\"a\"b\"", "\"", "'a'#b", "5' tall", "\u201ca\u201d"}) {
    EXPECT_EQ(value_in(std::string("k = ") + text), text);
  }
  EXPECT_EQ(value_in("k = \"a # b"), "\"a");
  EXPECT_EQ(value_in("k = 'don't' # c"), "'don't'");
}

TEST(ConfigText, LinesEndInEveryWayAndAByteOrderMarkIsSkipped) {
  for (const char* end : {"\n", "\r\n", "\r"}) {
    const std::string text = std::string("\xef\xbb\xbf[g]") + end + end + "a = 1" + end + "b = 2";
    const std::vector<ConfigEntry> entries = parse_config_text(text);
    ASSERT_EQ(entries.size(), 3U) << text;
    EXPECT_EQ(entries[1].group + "." + entries[1].key + entries[1].value, "g.a1");
    EXPECT_EQ(entries[2].value, "2");
    EXPECT_EQ(entries[2].line, 4U);
  }
  EXPECT_THAT(error_in("a = 1\n\xef\xbb\xbf[g]\n"), HasSubstr("line 2"));
  EXPECT_TRUE(parse_config_text("").empty());
  EXPECT_TRUE(parse_config_text("\xef\xbb\xbf").empty());
}

TEST(ConfigText, ALineOfNoKnownFormIsRefusedWithItsNumber) {
  EXPECT_EQ(error_in("[job]\nsteps 2"), "line 2: 'steps 2' is neither [group] nor key = value");
  EXPECT_THAT(error_in("{\"job\": 1}"), HasSubstr("line 1"));
  EXPECT_THAT(error_in("= 2"), HasSubstr("line 1"));
  EXPECT_THAT(error_in("[job\n"), HasSubstr("does not end in ]"));
  EXPECT_THAT(error_in("[job] x\n"), HasSubstr("does not end in ]"));
  EXPECT_THAT(error_in("[ ]\n"), HasSubstr("names no group"));
  EXPECT_LT(error_in(std::string(5000, 'x')).size(), 200U);
  EXPECT_EQ(parse_config_text("[ job ] # c\n").at(0).group, "job");
}

TEST(ConfigText, WhatIsNoTextIsCalledWhatItIs) {
  EXPECT_THAT(error_in(std::string("\xff\xfe[\0j\0", 6)), HasSubstr("UTF-16"));
  EXPECT_THAT(error_in(std::string("\xfe\xff\0[", 4)), HasSubstr("UTF-16"));
  EXPECT_THAT(error_in(std::string("a = 1\n[\0j\0", 10)), AllOf(HasSubstr("line 2"), HasSubstr("NUL")));
}

class ConfigFile : public ::testing::Test {
 protected:
  std::string error(const std::string& name, const std::string& text) {
    return error_of({"--config", folder_.write(name, text)});
  }
  TemporaryFolder folder_;
};

TEST_F(ConfigFile, ThatIsNoRegularFileIsCalledWhatItIs) {
  const std::string folder = folder_.path().string();
  EXPECT_EQ(error_of({"--config", folder}),
            "--config: " + folder + ": is a folder; accepted: a regular file");
  EXPECT_THAT(error_of({"--config", folder + "/"}), HasSubstr("is a folder"));
  EXPECT_THAT(error_of({"--config", "/dev/null"}), HasSubstr("is a device"));
  EXPECT_EQ(error_of({"--config", ""}), "--config: the path is empty");
  EXPECT_EQ(error_of({"--config="}), "--config: the path is empty");
  EXPECT_EQ(error_of({"--config", "/nowhere.cfg"}), "--config: /nowhere.cfg: no such file");
  const std::string fifo = folder + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_THAT(error_of({"--config", fifo}), HasSubstr("is a FIFO"));
  EXPECT_THAT(error_of({"--config", folder + "/" + std::string(300, 'x')}), HasSubstr("name too long"));
  EXPECT_THAT(error("a.cfg", std::string("\x7f"
                                         "ELF\0\0",
                                         6)),
              HasSubstr("binary"));
}

TEST_F(ConfigFile, ThatSaysItHasNoBytesIsReadToItsEnd) {
  EXPECT_THAT(error_of({"--config", "/proc/self/cmdline"}), HasSubstr("NUL"));
  EXPECT_THAT(error_of({"--config", "/proc/self/limits"}), HasSubstr("neither [group] nor key = value"));
}

TEST_F(ConfigFile, OfMoreThanSixteenMegabytesIsRefused) {
  std::string lines;
  lines.resize(16'000'001, '\n');
  EXPECT_THAT(error("a.cfg", lines), HasSubstr("more than 16 MB"));
  lines.pop_back();
  EXPECT_THAT(error("a.cfg", lines), Not(HasSubstr("more than 16 MB")));
}

TEST_F(ConfigFile, AModelsOwnIsReadTheSameWay) {
  ASSERT_TRUE(std::filesystem::create_directory(folder_.path() / "ferry.cfg"));
  EXPECT_THAT(error_of({"--model", folder_.path().string()}), HasSubstr("ferry.cfg: is a folder"));
  std::filesystem::remove(folder_.path() / "ferry.cfg");
  std::filesystem::create_symlink("nowhere", folder_.path() / "ferry.cfg");
  EXPECT_THAT(error_of({"--model", folder_.path().string()}), HasSubstr("ferry.cfg: no such file"));
  std::filesystem::remove(folder_.path() / "ferry.cfg");
  folder_.write("ferry.cfg", "[job]\nguidance = 0\n");
  EXPECT_THAT(error_of({"--model", folder_.path().string()}), HasSubstr("1 turns guidance off"));
}

TEST_F(ConfigFile, QuotesAndCommentsReachTheOptions) {
  const std::string file =
      folder_.write("a.cfg",
                    "\xef\xbb\xbf[job]\r\nprompt = \"a #1 blue square\" ; the first\r\nsteps = 3 # few\r\n"
                    "negative_prompt = it's \"bad\"\r\n[job]\r\nframes = 5\r\n");
  const worker::Options o = read({"--config", file});
  EXPECT_EQ(o.job.prompt, "a #1 blue square");
  EXPECT_EQ(o.job.negative_prompt, "it's \"bad\"");
  EXPECT_EQ(o.job.steps, 3);
  EXPECT_EQ(o.job.frames, 5);
}

TEST_F(ConfigFile, AnUnknownGroupNamesTheNearestAndAKeyGivenTwiceIsRefused) {
  EXPECT_THAT(error("a.cfg", "[offlaod]\n"), HasSubstr("unknown group [offlaod]; did you mean [offload]?"));
  EXPECT_THAT(error("a.cfg", "[Job]\nsteps = 2\n"), HasSubstr("did you mean [job]?"));
  EXPECT_THAT(error("a.cfg", "[zzzzzzzzz]\n"), HasSubstr("accepted: attention, "));
  EXPECT_THAT(error("a.cfg", "[job]\nsteps = 2\n[job]\nsteps = 2\n"), HasSubstr("job.steps: given twice"));
  EXPECT_THAT(error("a.cfg", "steps = 2\n[job]\nsteps = 2\n"), HasSubstr("given twice"));
  EXPECT_EQ(error("a.cfg", "[dit.offload]\ntype = model\n"), "");
}

TEST_F(ConfigFile, APromptThatIsNotUtf8IsRefused) {
  EXPECT_THAT(error("a.cfg", "[job]\nprompt = caf\xe9\n"),
              HasSubstr("job.prompt: not UTF-8 text: byte 0xe9 at position 4"));
  EXPECT_EQ(error("a.cfg", "# caf\xe9\n[job]\nprompt = caf\xc3\xa9\n"), "");
  EXPECT_THAT(error_of({"--negative_prompt", "\xff"}), HasSubstr("--negative_prompt: not UTF-8"));
  EXPECT_THAT(error_of({"--out", "\xff.mp4"}), HasSubstr("--out: not UTF-8"));
}

TEST(Config, LorasOfTheCommandLineReplaceThoseOfFiles) {
  const TemporaryFolder folder;
  const std::string file =
      folder.write("a.cfg", "[lora]\npath = a\npath = b\nstrength = 0.5\nstrength = -1\n");
  using Choices = std::vector<worker::LoraChoice>;
  EXPECT_EQ(read({"--config", file}).job.loras, (Choices{{"a", 0.5}, {"b", -1}}));
  EXPECT_EQ(read({"--config", file, "--lora.path", "c", "--lora.path=d"}).job.loras,
            (Choices{{"c", 1}, {"d", 1}}));
  EXPECT_EQ(read({"--config", file, "--lora.strength", "2"}).job.loras, (Choices{{"a", 2}, {"b", 2}}));
  EXPECT_EQ(read({"--config", file, "--lora.path", "c"}).job.loras, (Choices{{"c", 1}}));
  EXPECT_THAT(error_of({"--lora.path", "c", "--lora.strength", "1", "--lora.strength", "2"}),
              AllOf(HasSubstr("lora.strength"), HasSubstr("2 values for 1 LoRA")));
  const worker::Options both = read({"--lora.path", "c", "--lora.path", "d"});
  EXPECT_EQ(both.job.loras, (Choices{{"c", 1}, {"d", 1}}));
  ASSERT_EQ(both.echo.size(), 1U);
  EXPECT_EQ(both.echo[0].second, "c, d");
}

class Home : public ::testing::Test {
 protected:
  Home() : home_(std::getenv("HOME") == nullptr ? "" : std::getenv("HOME")) { setenv("HOME", "/h/me", 1); }
  ~Home() override { setenv("HOME", home_.c_str(), 1); }
  std::string home_;
};

TEST_F(Home, TakesThePlaceOfATildeInPaths) {
  const TemporaryFolder folder;
  const std::string file = folder.write(
      "a.cfg", "[model]\npath = ~/m\n[job]\nout = \"~/a b.mp4\"\nnoise = ~\nsave = ./~x\nprompt = ~/p\n");
  const worker::Options o =
      read({"--config", file, "--trace.file=~/t.json", "--lora.path", "~/l", "--context=~root/c"});
  EXPECT_EQ(o.model.path, "/h/me/m");
  EXPECT_EQ(o.job.out, "/h/me/a b.mp4");
  EXPECT_EQ(o.job.noise, "/h/me");
  EXPECT_EQ(o.job.save, "./~x");
  EXPECT_EQ(o.job.prompt, "~/p");
  EXPECT_EQ(o.trace_file, "/h/me/t.json");
  EXPECT_EQ(o.lora.paths, std::vector<std::string>{"/h/me/l"});
  EXPECT_EQ(o.job.context, "/root/c");
  EXPECT_THAT(error_of({"--config=~/none.cfg"}), HasSubstr("/h/me/none.cfg"));
  EXPECT_EQ(expand_home("~no-such-user/x"), "~no-such-user/x");
  EXPECT_EQ(expand_home("a~/x"), "a~/x");
}

TEST_F(Home, IsWhereTheModelsOwnFileIsLookedFor) {
  const TemporaryFolder folder;
  folder.write("ferry.cfg", "[job]\nsteps = 7\n");
  setenv("HOME", folder.path().c_str(), 1);
  EXPECT_EQ(read({"--model=~"}).job.steps, 7);
}

}  // namespace
}  // namespace ferry::launcher
