#include "stacks.h"

#include <errno.h>
#include <signal.h>

#include "host.h"

namespace mayfly::fork {
namespace {

constexpr int stacks_signal = 50;

using Interrupt = void (*)(void* isolate, void* data);

void* isolate = nullptr;
void (*request_interrupt)(void* isolate, Interrupt, void* data) = nullptr;
// v8::Message::PrintCurrentStackTrace(Isolate*, std::ostream&) and std::cerr.
void (*print_stack)(void* isolate, void* stream) = nullptr;
void* stream = nullptr;

void tell(void*, void*) { print_stack(isolate, stream); }

// Not what a handler may do in general: the request takes memory. If it was memory that the thread
// was busy with, it stands still from here on; the process is about to be killed anyway.
void on_signal(int) {
  int kept = errno;
  request_interrupt(isolate, tell, nullptr);
  errno = kept;
}

}  // namespace

void tell_stacks() {
  auto current = host_symbol<void* (*)()>("_ZN2v87Isolate10GetCurrentEv");
  request_interrupt =
      host_symbol<decltype(request_interrupt)>("_ZN2v87Isolate16RequestInterruptEPFvPS0_PvES2_");
  print_stack =
      host_symbol<decltype(print_stack)>("_ZN2v87Message22PrintCurrentStackTraceEPNS_7IsolateERSo");
  stream = ::dlsym(RTLD_DEFAULT, "_ZSt4cerr");
  if (current == nullptr || request_interrupt == nullptr || print_stack == nullptr ||
      stream == nullptr) {
    return;
  }
  isolate = current();
  struct sigaction action{};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  ::sigaction(stacks_signal, &action, nullptr);
}

}  // namespace mayfly::fork
