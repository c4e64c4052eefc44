#include "random.h"

#include <sys/random.h>

#include <cstring>

namespace mayfly::fork {
namespace {

// V8 without pointer compression, as every build of Node.js is: a word of the heap is either a
// small integer, in its upper half, or the address of an object plus one. A context and an array
// begin with a map and a length.
using Word = std::uint64_t;
constexpr Word cached_numbers = 64;

Word word_at(Word address) {
  Word out = 0;
  std::memcpy(&out, pointer_to(address), sizeof out);
  return out;
}
bool is_small(Word word) { return (word & 0xffffffff) == 0; }
Word small_value(Word word) { return word >> 32; }
bool is_object(Word word) { return (word & 3) == 1 && word > 0x10000; }
Word address_of(Word word) { return word - 1; }

// Three neighbours in the native context: how many numbers of the cache are left, the state of the
// generator (16 bytes), the cache. Numbers are taken from the cache's end.
Word slot_offset = 0;

// Its address now: the collector moves objects. 0: this build does not export what it takes.
Word native_context() {
  auto isolate = host_symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  auto context = host_symbol<Word (*)(void*)>("_ZN2v87Isolate17GetCurrentContextEv");
  if (isolate == nullptr || context == nullptr) return 0;
  return address_of(word_at(context(isolate())));  // a handle: the address of a word
}

bool looks_right(Word slot) {
  Word left = word_at(slot);
  Word state = word_at(slot + 8);
  Word cache = word_at(slot + 16);
  if (!is_small(left) || small_value(left) >= cached_numbers) return false;
  if (!is_object(state) || !is_object(cache)) return false;
  Word state_length = word_at(address_of(state) + 8);
  Word cache_length = word_at(address_of(cache) + 8);
  return is_small(state_length) && small_value(state_length) == 16 && is_small(cache_length) &&
         small_value(cache_length) == cached_numbers;
}

bool math_random(napi_env env, double& out) {
  napi_value global = nullptr;
  napi_value math = nullptr;
  napi_value function = nullptr;
  napi_value result = nullptr;
  return napi_get_global(env, &global) == 0 &&
         napi_get_named_property(env, global, "Math", &math) == 0 &&
         napi_get_named_property(env, math, "random", &function) == 0 &&
         napi_call_function(env, math, function, 0, nullptr, &result) == 0 &&
         napi_get_value_double(env, result, &out) == 0;
}

// After a call, does the slot's cache hold the number just given where its counter says?
bool gave(Word slot, double number) {
  Word left = small_value(word_at(slot));
  Word cache = address_of(word_at(slot + 16));
  return left < cached_numbers && word_at(cache + 16 + 8 * left) == [&] {
    Word bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    return bits;
  }();
}

bool fill_random(void* into, std::size_t size) {
  return ::getrandom(into, size, 0) == static_cast<ssize_t>(size);
}

// The public interface of OpenSSL's RAND_METHOD.
struct RandomMethod {
  int (*seed)(const void*, int);
  int (*bytes)(unsigned char*, int);
  void (*cleanup)();
  int (*add)(const void*, int, double);
  int (*pseudorand)(unsigned char*, int);
  int (*status)();
};
int calls = 0;
int counted_bytes(unsigned char* into, int size) {
  ++calls;
  return fill_random(into, static_cast<std::size_t>(size)) ? 1 : 0;
}
int always_ready() { return 1; }
const RandomMethod counting{nullptr, counted_bytes, nullptr, nullptr, counted_bytes, always_ready};

// The generator that seeds Math.random() of contexts yet to be made (node:vm): a seed and a state
// of 16 bytes. Node.js 24 does not export it, and such contexts begin alike in all children there.
bool renew_seeds_of_contexts() {
  auto isolate = host_symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  auto generator =
      host_symbol<void* (*)(void*)>("_ZN2v88internal7Isolate23random_number_generatorEv");
  return generator == nullptr || fill_random(generator(isolate()), 3 * sizeof(Word));
}

}  // namespace

const char* find_math_random(napi_env env) {
  constexpr const char* unknown = "the state of Math.random() cannot be found";
  double number = 0;
  Word start = native_context();
  if (start == 0 || !math_random(env, number)) return unknown;
  constexpr Word slots_max = 2048;
  Word length = word_at(start + 8);
  if (!is_small(length) || small_value(length) > slots_max) return unknown;
  for (Word at = 16; at + 16 < 16 + 8 * small_value(length); at += 8) {
    if (!looks_right(start + at)) continue;
    slot_offset = at;
    // Twice, as the first number may have been the last of its cache.
    for (int round = 0; round < 2; ++round) {
      if (!math_random(env, number) || !gave(native_context() + at, number)) return unknown;
    }
    return nullptr;
  }
  return unknown;
}

bool renew_random() {
  Word slot = native_context() + slot_offset;
  if (!looks_right(slot)) return false;
  // No number left: the next call fills the cache from the state, which must not be zero.
  Word seed[2] = {};
  if (!fill_random(seed, sizeof seed)) return false;
  seed[0] |= 1;
  Word none = 0;
  std::memcpy(pointer_to(slot), &none, sizeof none);
  std::memcpy(pointer_to(address_of(word_at(slot + 8)) + 16), seed, sizeof seed);
  return renew_seeds_of_contexts() && reseed_openssl();
}

// OpenSSL notices a fork by a new process id, and in a namespace of its own the child may have its
// template's.
bool reseed_openssl() {
  static auto poll = host_symbol<int (*)()>("RAND_poll");
  return poll != nullptr && poll() == 1;
}

bool count_random(bool on) {
  auto set = host_symbol<int (*)(const RandomMethod*)>("RAND_set_rand_method");
  auto usual = host_symbol<const RandomMethod* (*)()>("RAND_OpenSSL");
  if (set == nullptr || usual == nullptr) return false;
  return set(on ? &counting : usual()) == 1;
}

int random_calls() { return calls; }

}  // namespace mayfly::fork
