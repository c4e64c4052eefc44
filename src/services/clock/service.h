// The clock of a server in dev mode, offered to its users: GET shows platform time, POST moves it
// forward, freezes it and lets it go on. The README of this folder says what goes by it.
//
// Called by front/ through a path that mayfly/ wires. Loop thread. Keeps the setting as a record of
// the store, so that what was acknowledged is still so after the next start.
#pragma once

#include <string>

#include "base/movable_clock.h"
#include "store/store.h"

namespace mayfly::services::clock {

struct Answer {
  int status = 200;
  std::string json;
};

// "90s", "5m", "6h", "7d": whole numbers above 0. Errors: invalid, with what is wrong.
Result<Duration> parse_duration(std::string_view text);

class Service {
 public:
  Service(MovableClock& clock, store::Store& store) : clock_(clock), store_(store) {}

  // Takes up what a former process was told; before anything reads the clock.
  Result<> load();
  // Timers that fell due by the move have been started when the answer comes.
  io::Task<Answer> answer(std::string method, std::string body);

 private:
  std::string describe() const;
  io::Task<Result<>> keep();

  MovableClock& clock_;
  store::Store& store_;
};

}  // namespace mayfly::services::clock
