// TelemetryFeed: what one execution environment tells its extensions: the platform's events and the
// lines that the function and the extensions write, to each subscription in its own form.
//
// Until the end of the Init phase all events are kept as well, so that who subscribes in it gets
// them from the start. Owned by EnvironmentExtensions; loop thread; close() before destruction.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "invoke/telemetry_sender.h"

namespace mayfly::invoke {

// In which forms there is an event: of the Telemetry API, of the Logs API, of both.
enum class EventForm { both, telemetry, logs, logs_runtime_done };

class TelemetryFeed {
 public:
  TelemetryFeed(io::Loop& loop, bool json_logs) : loop_(loop), json_logs_(json_logs) {}

  // Of the jail's network; a subscription takes one.
  void add_sockets(std::vector<io::Fd> sockets);
  guest::SubscribeAnswer subscribe(const guest::Extension& extension, guest::TelemetryForm form,
                                   std::string_view body);
  // A new subscription was accepted: its text for the log.
  std::function<void(guest::TelemetryForm, const std::string& name,
                     const std::vector<std::string>& types)>
      on_subscribed;
  // Somebody hears of it, or may do so later.
  bool hears() const { return in_init_ || !senders_.empty(); }
  // A whole event, see telemetry_text.h.
  void platform(std::string event, EventForm form = EventForm::both);
  // A line of the function, or of an extension.
  void line(TelemetryKind kind, std::string_view text, WallTime time);

  void end_init();
  void flush();
  io::Task<void> close();

 private:
  struct Event {
    TelemetryKind kind = TelemetryKind::platform;
    EventForm form = EventForm::both;
    std::string text;         // the whole event
    std::string object_text;  // the same with an object for a record, where the line is one
  };
  void tell(Event event);
  static void offer(TelemetrySender& sender, const Event& event);

  io::Loop& loop_;
  bool json_logs_;
  bool in_init_ = true;
  std::deque<Event> past_;  // until the end of Init
  std::size_t past_bytes_ = 0;
  std::vector<io::Fd> sockets_;
  std::map<std::string, std::unique_ptr<TelemetrySender>> senders_;  // by extension
};

}  // namespace mayfly::invoke
