// Which contract an environment's guest speaks, and the channel for it.
#include "invoke/environment.h"
#include "invoke/environment_spec.h"
#include "invoke/web_function.h"

namespace mayfly::invoke {

// Its settings were read before there was a jail.
std::unique_ptr<guest::GuestChannel> Environment::open_channel(std::vector<io::Fd>& listeners) {
  GuestEnds ends;
  bool lean = !web_ && speaks_lean(*runnable_, *runtime_.pack);
  if (lean) ends.socket = instance_->take_channel();
  // What a wrapper script starts in the bootstrap's place asks at the port.
  bool asks = !lean || is_wrapped(*runnable_);
  if (asks && listeners.size() > 1) ends.port = std::move(listeners[1]);
  if (!web_) return deps_.open_channel(std::move(ends));
  std::vector<io::Fd> sockets;
  while (sockets.size() < guest::web_sockets(shares()) && !listeners.empty()) {
    sockets.push_back(std::move(listeners.back()));
    listeners.pop_back();
  }
  return deps_.open_web_channel(*web_, std::move(ends.port), std::move(sockets));
}

// A web server's settings, or what is wrong with them.
std::optional<Failure> Environment::read_web() {
  auto server = web_server(*runnable_);
  web_.reset();
  if (!server) return std::nullopt;
  if (!*server) {
    Failure failure = platform_failed(std::move(server->error().message));
    failure.outcome = InvocationOutcome::init_error;
    failure.error_type = "Web.InvalidSetting";
    return failure;
  }
  web_ = std::make_unique<guest::WebServer>(**std::move(server));
  for (const auto& name : web_->ignored) {
    log_.platform(fmt::format("WARNING {} has no effect on this server", name));
  }
  return std::nullopt;
}

}  // namespace mayfly::invoke
