// Pipeline: from a head to an answer, as one ordered list of steps (pipeline.cc, run()). Every step
// is cheaper than, or needed by, the ones behind it; the first that refuses ends the request.
//
// Owned by the server; one for all connections. Loop thread.
#pragma once

#include "front/locate.h"

namespace mayfly::front {

// Hands out random bytes from a block, so that a request id costs no system call of its own. For
// ids alone: what was handed out stays in memory until the next block.
class PooledRandom final : public Random {
 public:
  explicit PooledRandom(Random& source) : source_(source) {}
  void fill(std::span<std::byte> out) override;

 private:
  Random& source_;
  std::array<std::byte, 1024> block_{};
  std::size_t used_ = block_.size();
};

class Pipeline final : public Handler {
 public:
  explicit Pipeline(Deps deps);

  void add_service(api::Service service) { directory_.add(std::move(service)); }
  void add_path(std::string prefix, RawHandler handler);
  void add_host_label(std::string label, RawHandler handler);

  io::Task<Response> serve(Exchange& exchange) override;
  Response refuse(int status, std::string_view text) override;

 private:
  struct Trip;
  using Step = std::expected<void, api::ApiError>;

  const RawHandler* raw_route(const Trip& trip) const;
  io::Task<Response> serve_raw(Trip& trip, const RawHandler& handler);
  io::Task<std::expected<Response, api::ApiError>> run(Trip& trip);
  Step expectation(Trip& trip);
  Step browser(Trip& trip);
  Step locate(Trip& trip);
  Step precheck(Trip& trip);
  static Step judge_upload(Trip& trip);
  static std::size_t body_limit(const Trip& trip);
  Step take_body(Trip& trip, Body body);
  io::Task<Step> body(Trip& trip);
  Step authenticate(Trip& trip);
  Step scope(Trip& trip);
  Step decode(Trip& trip);
  Step authorize(Trip& trip);
  io::Task<std::expected<Response, api::ApiError>> call(Trip& trip);
  void add_cors(const Trip& trip, Response& response) const;

  Deps deps_;
  PooledRandom ids_;
  Directory directory_;
  std::vector<std::pair<std::string, RawHandler>> paths_;
  std::vector<std::pair<std::string, RawHandler>> labels_;
};

}  // namespace mayfly::front
