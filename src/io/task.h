// Task<T>: a lazy coroutine. It starts when awaited, resumes its awaiter by symmetric transfer and
// is destroyed with its Task object. Run every task on the loop's thread.
//
// Lint rule of the house: a coroutine takes its arguments by value or by a reference that outlives
// it, and a lambda coroutine captures nothing (pass the state as parameters).
#pragma once

#include <array>
#include <coroutine>
#include <cstddef>
#include <exception>
#include <new>
#include <optional>
#include <utility>

namespace mayfly::io {

template <class T>
class Task;

namespace detail {

// Frames of tasks that have ended, for those that come: a call makes a dozen, and many are larger
// than what malloc keeps at hand. Of one thread.
class FramePool {
 public:
  static void* take(std::size_t size) {
    std::size_t slot = (size + step - 1) / step;
    if (slot >= slots) return ::operator new(size);
    auto& kept = lists()[slot];
    if (kept.first == nullptr) return ::operator new(slot * step);
    --kept.count;
    auto* out = kept.first;
    kept.first = out->next;
    return out;
  }
  static void give(void* frame, std::size_t size) {
    std::size_t slot = (size + step - 1) / step;
    auto* kept = slot < slots ? &lists()[slot] : nullptr;
    if (kept == nullptr || kept->count >= kept_max) return ::operator delete(frame);
    ++kept->count;
    kept->first = new (frame) Frame{kept->first};
  }

 private:
  static constexpr std::size_t step = 64;
  static constexpr std::size_t slots = 96;  // up to 6 KiB
  static constexpr std::size_t kept_max = 256;
  struct Frame {
    Frame* next;
  };
  struct List {
    Frame* first = nullptr;
    std::size_t count = 0;
    ~List() {
      while (first != nullptr) ::operator delete(std::exchange(first, first->next));
    }
  };
  static std::array<List, slots>& lists() {
    thread_local std::array<List, slots> out;
    return out;
  }
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MAYFLY_PLAIN_FRAMES  // so that these see every frame's life
#endif
#endif

struct FinalAwaiter {
  bool await_ready() const noexcept { return false; }
  template <class Promise>
  std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> done) const noexcept {
    return done.promise().awaiter ? done.promise().awaiter : std::noop_coroutine();
  }
  void await_resume() const noexcept {}
};

struct PromiseBase {
#ifndef MAYFLY_PLAIN_FRAMES
  static void* operator new(std::size_t size) { return FramePool::take(size); }
  static void operator delete(void* frame, std::size_t size) { FramePool::give(frame, size); }
#endif
  std::coroutine_handle<> awaiter;
  std::suspend_always initial_suspend() const noexcept { return {}; }
  FinalAwaiter final_suspend() const noexcept { return {}; }
  // Exceptions stop at third-party edges; one that reaches a task is a defect.
  void unhandled_exception() const noexcept { std::terminate(); }
};

template <class T>
struct Promise final : PromiseBase {
  std::optional<T> value;
  Task<T> get_return_object();
  template <class U>
  void return_value(U&& result) {
    value.emplace(std::forward<U>(result));
  }
};

template <>
struct Promise<void> final : PromiseBase {
  Task<void> get_return_object();
  void return_void() const noexcept {}
};

}  // namespace detail

template <class T = void>
class [[nodiscard]] Task {
 public:
  using promise_type = detail::Promise<T>;
  using Handle = std::coroutine_handle<promise_type>;

  Task() = default;
  explicit Task(Handle handle) : handle_(handle) {}
  Task(Task&& other) noexcept : handle_(std::exchange(other.handle_, {})) {}
  Task& operator=(Task&& other) noexcept {
    if (this != &other) {
      if (handle_) handle_.destroy();
      handle_ = std::exchange(other.handle_, {});
    }
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

  explicit operator bool() const { return static_cast<bool>(handle_); }

  auto operator co_await() && noexcept {
    struct Awaiter {
      Handle handle;
      bool await_ready() const noexcept { return false; }
      std::coroutine_handle<> await_suspend(std::coroutine_handle<> awaiter) const noexcept {
        handle.promise().awaiter = awaiter;
        return handle;
      }
      T await_resume() const {
        if constexpr (!std::is_void_v<T>) return std::move(*handle.promise().value);
      }
    };
    return Awaiter{handle_};
  }

 private:
  Handle handle_;
};

template <class T>
Task<T> detail::Promise<T>::get_return_object() {
  return Task<T>(std::coroutine_handle<Promise<T>>::from_promise(*this));
}
inline Task<void> detail::Promise<void>::get_return_object() {
  return Task<void>(std::coroutine_handle<Promise<void>>::from_promise(*this));
}

}  // namespace mayfly::io
