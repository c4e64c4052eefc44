#include <doctest/doctest.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace {

// Blocks of every size up to beyond what is kept, each full of its own byte.
struct Block {
  std::unique_ptr<unsigned char[]> bytes;
  std::size_t size = 0;
  unsigned char mark = 0;

  explicit Block(std::size_t of)
      : bytes(new unsigned char[of]), size(of), mark(static_cast<unsigned char>(of * 7)) {
    for (std::size_t i = 0; i < size; ++i) bytes[i] = mark;
  }
  bool whole() const {
    for (std::size_t i = 0; i < size; ++i) {
      if (bytes[i] != mark) return false;
    }
    return true;
  }
};

std::vector<Block> blocks() {
  std::vector<Block> out;
  for (std::size_t size = 0; size <= 4096; size += 7) out.emplace_back(size);
  return out;
}

bool all_whole(const std::vector<Block>& some) {
  for (const auto& block : some) {
    if (!block.whole()) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("what is given back and taken again belongs to one owner at a time") {
  for (int round = 0; round < 5; ++round) {
    auto first = blocks();
    auto second = blocks();
    for (std::size_t i = 0; i < first.size(); i += 2) first[i] = Block(first[i].size);
    CHECK(all_whole(first));
    CHECK(all_whole(second));
    for (const auto& block : first) {
      CHECK(reinterpret_cast<std::uintptr_t>(block.bytes.get()) % alignof(std::max_align_t) == 0);
    }
  }
}

TEST_CASE("memory goes from thread to thread, and what a thread has kept ends with it") {
  for (int round = 0; round < 20; ++round) {
    std::vector<Block> made;
    std::thread maker([&made] { made = blocks(); });
    maker.join();
    CHECK(all_whole(made));
    std::thread taker([mine = std::move(made)]() mutable { mine.clear(); });
    taker.join();
  }
}
