// EnvironmentLog: everything one execution environment says, as log lines of its stream: what its
// processes write (pipe of stdout and stderr, descriptor of framed records) and what the platform
// writes around it.
//
// Owns the read ends and the tasks that read them. Called by Environment; loop thread; close()
// before destruction.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/limits.h"
#include "base/observer.h"
#include "invoke/log_text.h"
#include "io/fd.h"

namespace mayfly::invoke {

class TelemetryFeed;

struct LogIdentity {
  Scope scope;
  InstanceId instance;
  std::string function;
  std::string version;
  std::string group;
  std::string stream;
};

// What all environments read into, one after the other: a read is digested before the next one.
using LogBuffer = std::vector<char>;
inline constexpr std::size_t log_buffer_bytes = 64 * limits::kib;

// What to read before a call ends.
enum class Drain {
  all,      // whatever has been written so far
  told,     // only what the loop has told of
  nothing,  // all has been read
};

class EnvironmentLog {
 public:
  EnvironmentLog(io::Loop& loop, Observer& observer, LogBuffer& buffer, LogIdentity identity);

  // Starts reading a new jail's output. Any descriptor may be empty.
  void attach(io::Fd output, io::Fd framed, io::Fd extensions = {});
  // Who hears of every line beside the Observer, until told otherwise; may be null.
  void tell(TelemetryFeed* feed) { feed_ = feed; }
  // Lines from now on belong to this request ("" for none).
  void begin(std::string_view request_id, bool want_tail);
  std::string end();  // answers the tail
  // The tail so far; lines go on belonging to the request.
  std::string take_tail();
  // So that nothing written before an answer comes after END.
  void drain(Drain what = Drain::all);
  // Since begin(): the function has written something.
  bool wrote() const { return wrote_; }
  // Several requests at one time, from now on: a line of the function belongs to the request whose
  // id it names (JSON records do, and text lines of the languages' own logging).
  void share() { shared_ = true; }
  void open(std::string_view request_id, bool want_tail);
  std::string close_request(std::string_view request_id);  // answers the tail
  // Whose the platform's next lines are; "": nobody's.
  void speak_of(std::string_view request_id) { request_id_ = request_id; }
  // A line of the platform itself, of now or of a platform time just read.
  void platform(std::string_view text);
  void platform(std::string_view text, WallTime now);
  void platform(const PackedLine& line, WallTime now);
  // From now on what the function writes goes there, up to `most` bytes, instead of into the log;
  // null: into the log again. Answers whether something was left out.
  bool capture(std::string* into, std::size_t most);
  // Ends reading; what is in the pipes is read first.
  io::Task<void> close();
  const LogIdentity& identity() const { return identity_; }

 private:
  struct Source {
    enum class Of { output, framed, extensions };
    Source(io::Loop& loop, io::Fd fd, Of what) : stream(loop, std::move(fd)), of(what) {}
    io::Stream stream;
    Of of;
    LineSplitter lines;
    FrameParser frames;
    // The bound on reading: a flood waits in its pipe and slows its writer, nobody else.
    MonoTime window_start{};
    std::size_t window_bytes = 0;
  };
  io::Task<void> pump(Source& source);
  void digest(Source& source, std::string_view bytes);
  enum class Author { function, extension, platform };
  static Author author_of(const Source& source);
  struct Open {
    std::string request_id;
    bool want_tail = false;
    LogTail tail{limits::invoke_log_tail_bytes};
  };
  Open* owner_of(std::string_view text, Author author);
  void line(std::string_view text, WallTime time, Author author);
  void tell(std::string_view text, bool packed, std::string_view request_id, WallTime time,
            Author author);

  io::Loop& loop_;
  Observer& observer_;
  LogBuffer& buffer_;
  LogIdentity identity_;
  TelemetryFeed* feed_ = nullptr;
  std::string request_id_;
  bool want_tail_ = false;
  bool wrote_ = false;
  bool shared_ = false;
  std::vector<Open> open_;  // where several requests are open
  std::string* captured_ = nullptr;
  std::size_t capture_most_ = 0;
  bool capture_cut_ = false;
  LogTail tail_{limits::invoke_log_tail_bytes};
  std::vector<std::unique_ptr<Source>> sources_;
  std::unique_ptr<io::TaskScope> readers_;
};

}  // namespace mayfly::invoke
