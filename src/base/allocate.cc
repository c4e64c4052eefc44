// operator new and delete of the whole program: what malloc hands out, kept for the next of its
// size. A call makes some hundred small objects and sixteen calls are under way in a turn of the
// loop, more than the C library keeps at hand (seven of a size): the rest would go through its slow
// path at each call. Per thread, without locks; what one thread makes and another deletes is kept
// there.
//
// Sizes up to 2 KiB, up to 16 KiB of each. Not where a sanitizer watches the heap.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MAYFLY_PLAIN_HEAP
#endif
#endif

#ifndef MAYFLY_PLAIN_HEAP
#include <malloc.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>

namespace {

constexpr std::size_t step = 16;
constexpr std::size_t largest = 2048;
constexpr std::size_t kept_bytes = std::size_t{16} * 1024;
constexpr std::size_t kept_most = 256;

struct Node {
  Node* next;
};
struct Kept {
  Node* first;
  std::size_t room;  // for so many more
};
// Trivial, so that reaching it costs nothing; Reaper empties it. There is no room before the thread
// has a Reaper, nor after it.
struct Cache {
  std::array<Kept, largest / step + 1> sizes;
  bool watched;
};
constinit thread_local Cache cache{};

struct Reaper {
  ~Reaper() {
    for (auto& kept : cache.sizes) {
      kept.room = 0;
      while (kept.first != nullptr) {
        Node* node = kept.first;
        kept.first = node->next;
        std::free(node);
      }
    }
  }
};

[[gnu::noinline]] void watch() {
  cache.watched = true;
  thread_local Reaper reaper;
  static_cast<void>(&reaper);
  for (std::size_t at = 1; at < cache.sizes.size(); ++at) {
    cache.sizes[at].room = std::min(kept_most, kept_bytes / (at * step));
  }
}

[[gnu::noinline]] void* take_new(std::size_t size) {
  while (true) {
    if (void* fresh = std::malloc(size); fresh != nullptr) return fresh;
    auto* handler = std::get_new_handler();
    if (handler == nullptr) throw std::bad_alloc();
    handler();
  }
}

void* take(std::size_t size) {
  std::size_t at = (size + step - 1) / step;
  if (at > largest / step) return take_new(size);
  auto& kept = cache.sizes[at];
  if (kept.first == nullptr) return take_new(at == 0 ? step : at * step);
  Node* node = kept.first;
  kept.first = node->next;
  ++kept.room;
  return node;
}

[[gnu::noinline]] void give_up(void* gone) noexcept {
  std::free(gone);
  if (!cache.watched) watch();
}

// `at` counts what surely fits into it, in steps.
void keep(void* gone, std::size_t at) noexcept {
  if (at > largest / step) return std::free(gone);
  auto& kept = cache.sizes[at];
  if (kept.room == 0) return give_up(gone);
  kept.first = new (gone) Node{kept.first};
  --kept.room;
}

void give(void* gone) noexcept {
  if (gone != nullptr) keep(gone, ::malloc_usable_size(gone) / step);
}

void give(void* gone, std::size_t size) noexcept {
  if (gone != nullptr) keep(gone, std::max<std::size_t>(1, (size + step - 1) / step));
}

}  // namespace

void* operator new(std::size_t size) { return take(size); }
void* operator new[](std::size_t size) { return take(size); }
void operator delete(void* gone) noexcept { give(gone); }
void operator delete[](void* gone) noexcept { give(gone); }
void operator delete(void* gone, std::size_t size) noexcept { give(gone, size); }
void operator delete[](void* gone, std::size_t size) noexcept { give(gone, size); }
#endif
