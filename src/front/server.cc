// The Front: listeners and the connections they bring.
#include <list>

#include "base/log.h"
#include "front/connection.h"
#include "front/pipeline.h"
#include "front/render.h"

namespace mayfly::front {

namespace {

// After the cut: time for connections to notice.
constexpr auto cut_time = std::chrono::milliseconds(100);

struct Door {
  std::uint64_t id;
  InstanceId instance;
  io::Listener listener;
  std::list<Connection*> open;
};

// What a running request touches. Outlives the server where a handler does.
struct Yard {
  explicit Yard(const Deps& deps) : loop(deps.loop), pipeline(deps), connections(loop) {
    gauges.max_body_bytes = deps.settings.max_body_bytes_total;
  }
  io::Task<void> serve(std::shared_ptr<Door> door, io::Fd fd);

  io::Loop& loop;
  Pipeline pipeline;
  Gauges gauges;
  io::TaskScope connections;
};

class Server final : public Front {
 public:
  explicit Server(const Deps& deps)
      : loop_(deps.loop),
        max_connections_(deps.settings.max_connections),
        yard_(std::make_unique<Yard>(deps)),
        acceptors_(loop_) {}
  ~Server() override {
    if (yard_->connections.running() == 0) return;
    // Handlers that outlasted close() still hold what they were given: leaving it to the end of the
    // process is the one safe choice.
    log::warn("front", "{} requests were still running at the end", yard_->connections.running());
    (void)yard_.release();
  }

  void add_service(api::Service service) override {
    yard_->pipeline.add_service(std::move(service));
  }
  void add_path(std::string path_prefix, RawHandler handler) override {
    yard_->pipeline.add_path(std::move(path_prefix), std::move(handler));
  }
  void add_host_label(std::string label, RawHandler handler) override {
    yard_->pipeline.add_host_label(std::move(label), std::move(handler));
  }
  std::uint64_t add_listener(io::Fd listening, InstanceId instance) override;
  void remove_listener(std::uint64_t id) override;
  io::Task<void> close(Deadline deadline) override;

 private:
  io::Task<void> accept(std::shared_ptr<Door> door);
  io::Task<void> turn_away(io::Fd fd);

  io::Loop& loop_;
  std::size_t max_connections_;
  std::unique_ptr<Yard> yard_;
  std::map<std::uint64_t, std::shared_ptr<Door>> doors_;
  std::uint64_t next_door_ = 1;
  io::TaskScope acceptors_;
};

std::uint64_t Server::add_listener(io::Fd listening, InstanceId instance) {
  std::uint64_t id = next_door_++;
  auto door = std::shared_ptr<Door>(
      new Door{id, std::move(instance), io::Listener(loop_, std::move(listening)), {}});
  doors_.emplace(id, door);
  acceptors_.spawn(accept(std::move(door)));
  return id;
}

void Server::remove_listener(std::uint64_t id) {
  auto found = doors_.find(id);
  if (found == doors_.end()) return;
  found->second->listener.cancel();
  // The jail behind this door is gone; nobody reads what its connections would still be told.
  for (Connection* connection : found->second->open) connection->cut();
  doors_.erase(found);
}

io::Task<void> Server::accept(std::shared_ptr<Door> door) {
  while (true) {
    auto fd = co_await door->listener.accept(acceptors_.stop_token());
    if (!fd) {
      if (fd.error().kind != ErrorKind::cancelled) {
        log::error("front", "a listener ended: {}", fd.error().message);
      }
      co_return;
    }
    if (yard_->gauges.connections >= max_connections_) {
      co_await turn_away(*std::move(fd));
      continue;
    }
    yard_->connections.spawn(yard_->serve(door, *std::move(fd)));
  }
}

// One write without waiting: the answer fits the empty buffer of a fresh socket or is lost.
io::Task<void> Server::turn_away(io::Fd fd) {
  Response response = yard_->pipeline.refuse(503, "too many connections");
  std::string out;
  io::http1::Writer writer(out);
  writer.status_line(response.status);
  writer.field("Content-Type", "application/json");
  writer.field("Retry-After", "1");
  writer.field("Content-Length", response.body.size());
  writer.field("Connection", "close");
  writer.end_head();
  out += response.body;
  io::Stream stream(loop_, std::move(fd));
  (void)co_await stream.write_all(out, loop_.now());
  stream.shutdown_write();
}

io::Task<void> Yard::serve(std::shared_ptr<Door> door, io::Fd fd) {
  auto [ip, port] = io::peer_address(fd);
  Peer peer{std::move(ip), port, door->instance};
  Connection connection(loop, std::move(fd), std::move(peer), pipeline, gauges);
  auto here = door->open.insert(door->open.end(), &connection);
  co_await connection.run(connections.stop_token());
  door->open.erase(here);
}

io::Task<void> Server::close(Deadline deadline) {
  yard_->gauges.draining = true;
  for (auto& [id, door] : doors_) door->listener.cancel();
  co_await acceptors_.close();
  for (auto& [id, door] : doors_) {
    for (Connection* connection : door->open) connection->drain();
  }
  if (co_await yard_->connections.drain(deadline) != io::Wake::notified) {
    yard_->connections.request_stop();
    // Only handlers are left now. They end with the rooms below, which close after this one.
    (void)co_await yard_->connections.drain(loop_.now() + cut_time);
  }
  doors_.clear();
}

}  // namespace

std::unique_ptr<Front> make_front(Deps deps) { return std::make_unique<Server>(std::move(deps)); }

}  // namespace mayfly::front
