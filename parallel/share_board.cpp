#include "parallel/share_board.h"

#include <sys/mman.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/log.h"
#include "parallel/agree.h"
#include "parallel/node/shared_memfd.h"

namespace ferry::parallel {

namespace {

std::shared_ptr<void> mapped(int memory, std::size_t bytes) {
  void* const data = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
  if (data == MAP_FAILED) throw_errno("mmap of the board");
  return {data, [bytes](void* own) { ::munmap(own, bytes); }};
}

Board shared_board(const Peers& node, int rank) {
  std::vector<int> ranks;
  for (const std::string& word : all_gather_text(node, std::to_string(rank)))
    ranks.push_back(std::stoi(word));
  const std::size_t bytes = Board::bytes(node.size);
  const std::vector<OwnedDescriptor> memory = share_memfds("ferry-board", {bytes}, node);
  std::shared_ptr<void> data;
  fail_together(node, [&] { data = mapped(memory[0].get(), bytes); });
  return {std::move(data), std::move(ranks)};
}

}  // namespace

Board share_board(const Peers& node, int rank) {
  Board board = Board::alone(rank);
  try {
    if (node.size > 1) board = shared_board(node, rank);
  } catch (const SystemError& failed) {
    spdlog::warn("the ranks of this node cannot watch each other: {}", failed.what());
  }
  board.enter(index_on(board, rank));
  barrier(node);
  board.look_around();
  return board;
}

int index_on(const Board& board, int rank) {
  for (int i = 0; i < board.size(); ++i) {
    if (board.rank(i) == rank) return i;
  }
  return -1;
}

}  // namespace ferry::parallel
