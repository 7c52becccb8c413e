#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "base/error.h"
#include "base/host/pages.h"
#include "offload/arena/arena.h"
#include "offload/arena/host_check.h"
#include "tests/unit/offload_toy.h"

namespace ferry::offload {
namespace {

using ::testing::HasSubstr;
using testing::run_ranks;
using testing::toy_arena;
using testing::toy_source;
using testing::toy_spec;

ArenaPlan toy_plan(MemoryKind first = MemoryKind::Memfd) {
  ArenaPlan plan = arena_plan(toy_spec(), 1);
  plan.first = first;
  return plan;
}

// The value of every element of every tensor, as a network reads it.
void expect_toy_values(const NodeArena& arena) {
  std::vector<std::byte> expected;
  for (const model::ModuleId id : all_modules(arena.spec())) {
    const model::ModuleSpec& module = model::module_of(arena.spec(), id);
    for (std::size_t t = 0; t < module.tensors.size(); ++t) {
      const TensorPlace& place = place_of(arena.layout(), id).tensors[t];
      expected.assign(place.format.bytes, std::byte{0});
      toy_source()(module.tensors[t], expected.data(), 0, module.tensors[t].shape[0]);
      const std::byte* found = arena.at(blob_of(arena.layout(), id)) + place.offset;
      EXPECT_EQ(std::memcmp(found, expected.data(), expected.size()), 0) << module.tensors[t].key;
    }
  }
}

// The descriptors of this process that are memory for weights.
std::vector<int> weights_files() {
  std::vector<int> files;
  for (int fd = 3; fd < 1024; ++fd) {
    char target[64] = {};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    if (::readlink(link.c_str(), target, sizeof(target) - 1) > 0 &&
        std::strstr(target, "ferry-weights") != nullptr) {
      files.push_back(fd);
    }
  }
  return files;
}

TEST(NodeArena, RanksLoadTheirSharesIntoOneMemory) {
  run_ranks(3, [](const parallel::Peers& peers) {
    NodeArena arena(toy_plan(), {.peers = peers, .make_window = {}});
    EXPECT_EQ(arena.kind(), MemoryKind::Memfd);
    std::size_t mine = 0;
    arena.load(toy_source(), 2, [&](const LoadProgress& progress) { mine = progress.bytes_done; });
    EXPECT_LT(mine, arena.bytes() / 2);
    expect_toy_values(arena);
  });
}

const std::size_t kPage = page_bytes();

TEST(NodeArena, RanksSeeTheSamePagesInOneFileAndInSeveral) {
  using Borders = std::vector<std::size_t>;
  for (const Borders& files : {Borders{}, Borders{kPage}, Borders{3 * kPage, 4 * kPage, 9 * kPage}}) {
    run_ranks(2, [&](const parallel::Peers& peers) {
      const auto memory = make_memfd_memory({.bytes = 16 * kPage, .files = files}, peers);
      EXPECT_EQ(memory->bytes(), 16 * kPage);
      // No two pages alike.
      const auto value = [](std::size_t i) { return static_cast<std::byte>(i * 7 + i / kPage); };
      for (std::size_t i = 0; i < memory->bytes(); ++i) {
        if (peers.rank == static_cast<int>(i / 1000 % 2)) memory->data()[i] = value(i);
      }
      barrier(peers);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < memory->bytes(); ++i) wrong += memory->data()[i] != value(i) ? 1U : 0U;
      EXPECT_EQ(wrong, 0U) << files.size();
    });
  }
}

// What pages of 2 MiB want.
TEST(NodeArena, FilesAndAddressesAreAlikeWithin2MiB) {
  const std::vector<std::size_t> files = {kPage, kHugePage + 5 * kPage, 3 * kHugePage};
  const auto memory = make_memfd_memory({.bytes = 4 * kHugePage, .files = files}, {});
  std::ifstream maps("/proc/self/maps");
  std::size_t mapped = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find("ferry-weights") == std::string::npos) continue;
    std::size_t begin = 0, end = 0, offset = 0;
    ASSERT_EQ(std::sscanf(line.c_str(), "%zx-%zx %*s %zx", &begin, &end, &offset), 3) << line;
    EXPECT_EQ((begin - offset) % kHugePage, 0U) << line;
    mapped += end - begin;
  }
  EXPECT_EQ(mapped, memory->bytes());
}

TEST(NodeArena, ItsFilesAreFilledAndGivenBack) {
  const std::size_t before = weights_files().size();
  run_ranks(3, [&](const parallel::Peers& peers) {
    ArenaPlan plan = toy_plan();
    plan.file_bytes = kPage;
    auto arena = std::make_unique<NodeArena>(plan, NodeRanks{.peers = peers, .make_window = {}});
    arena->load(toy_source(), 4, {});
    expect_toy_values(*arena);
    barrier(peers);
    // Threads of this process are the ranks.
    EXPECT_GE(weights_files().size(), before + 3 * 8);
    barrier(peers);
    arena.reset();
    barrier(peers);
    EXPECT_EQ(weights_files().size(), before);
    barrier(peers);
  });
}

TEST(NodeArena, PrivateMemoryIsLoadedWholeByEveryRank) {
  run_ranks(2, [](const parallel::Peers& peers) {
    NodeArena arena(toy_plan(MemoryKind::Private), {.peers = peers, .make_window = {}});
    EXPECT_EQ(arena.kind(), MemoryKind::Private);
    arena.load(toy_source(), 1, {});
    expect_toy_values(arena);
  });
}

TEST(NodeArena, ARankThatCannotReadFailsEveryRankWithItsWords) {
  int failed = 0;
  std::mutex mutex;
  run_ranks(2, [&](const parallel::Peers& peers) {
    NodeArena arena(toy_plan(), {.peers = peers, .make_window = {}});
    const TensorSource source = [&](const model::TensorSpec& spec, std::byte*, std::int64_t, std::int64_t) {
      if (peers.rank == 1) throw UserError("shard.safetensors: " + spec.key + " is damaged");
    };
    try {
      arena.load(source, 1, {});
    } catch (const UserError& error) {
      EXPECT_THAT(error.what(), HasSubstr("shard.safetensors: "));
      const std::lock_guard lock(mutex);
      ++failed;
    }
  });
  EXPECT_EQ(failed, 2);
}

TEST(NodeArena, NobodyCanMapASealedArenaForWriting) {
  const auto memory = make_memfd_memory({.bytes = 4 * kPage, .files = {kPage, 2 * kPage}}, {});
  const std::vector<int> files = weights_files();
  ASSERT_EQ(files.size(), 3U);
  for (const int file : files) {
    void* before = ::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    EXPECT_NE(before, MAP_FAILED);
    ::munmap(before, kPage);
  }
  memory->seal();
  for (const int file : files) {
    EXPECT_EQ(::mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), MAP_FAILED);
    EXPECT_NE(::ftruncate(file, 0), 0);
  }
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t files_in(const std::string& folder) {
  const std::filesystem::directory_iterator entries(folder);
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

// Waits until the process has said over a pipe that its arena is loaded, then kills it.
TEST(NodeArena, NothingIsLeftBehindWhenARankIsKilled) {
  const std::size_t shared_files = files_in("/dev/shm");
  int pipe_ends[2] = {};
  ASSERT_EQ(::pipe(pipe_ends), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const auto arena = toy_arena({});
    static_cast<void>(::write(pipe_ends[1], "x", 1));
    ::pause();
  }
  char ready = 0;
  ASSERT_EQ(::read(pipe_ends[0], &ready, 1), 1);
  const std::string maps = "/proc/" + std::to_string(child) + "/maps";
  EXPECT_THAT(text_of(maps), HasSubstr("memfd:ferry-weights"));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  EXPECT_EQ(files_in("/dev/shm"), shared_files);
  EXPECT_EQ(text_of("/proc/net/unix").find("ferry-" + std::to_string(child)), std::string::npos);
  ::close(pipe_ends[0]);
  ::close(pipe_ends[1]);
}

TEST(HostCheck, RefusesWhatDoesNotFitWithBothNumbersAndTheSettingThatWould) {
  const ArenaPlan plan = make_plan(toy_spec({.layers = 7, .dim = 512}), {}, 1).arena;
  const std::size_t bytes = plan.layout.bytes;
  const HostMemory room{.total_bytes = 2 * bytes, .available_bytes = bytes, .limited_by_cgroup = false};
  EXPECT_NO_THROW(check_host_memory(plan, 1, room, place_of(room)));
  const HostMemory less{
      .total_bytes = 2 * bytes, .available_bytes = bytes * 2 / 3, .limited_by_cgroup = true};
  try {
    check_host_memory(plan, 1, less, place_of(less));
    FAIL();
  } catch (const UserError& error) {
    EXPECT_THAT(error.what(), HasSubstr("toy: the weights take"));
    EXPECT_THAT(error.what(), HasSubstr("limit of the cgroup"));
    EXPECT_THAT(error.what(), HasSubstr("offload_dtype = fp8"));
  }
}

TEST(HostCheck, SaysThatNothingFits) {
  const ArenaPlan plan = make_plan(toy_spec(), {}, 1).arena;
  const HostMemory none{.total_bytes = 1 << 20, .available_bytes = 1000, .limited_by_cgroup = false};
  EXPECT_THAT([&] { check_host_memory(plan, 1, none, place_of(none)); },
              ::testing::ThrowsMessage<UserError>(HasSubstr("no setting fits")));
}

TEST(HostCheck, PrivateCopiesCountOncePerRank) {
  const ArenaPlan plan = make_plan(toy_spec(), {}, 1).arena;
  const std::size_t bytes = plan.layout.bytes;
  const HostMemory room{.total_bytes = 4 * bytes, .available_bytes = 3 * bytes, .limited_by_cgroup = false};
  EXPECT_NO_THROW(check_host_memory(plan, 3, room, place_of(room)));
  EXPECT_THROW(check_host_memory(plan, 4, room, place_of(room)), UserError);
}

}  // namespace
}  // namespace ferry::offload
