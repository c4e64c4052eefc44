// House: all of S3, put together: what mayfly/ opens, registers and closes.
//
// Loop thread; as long as the server. Its address stays (it is handed out by reference).
#pragma once

#include <filesystem>
#include <memory>

#include "services/s3/target.h"

namespace mayfly::services::s3 {

// The policies of buckets, for guard/.
class BucketPolicies final : public guard::ResourcePolicies {
 public:
  explicit BucketPolicies(const Buckets& buckets) : buckets_(buckets) {}
  std::vector<guard::PolicyStatement> statements(std::string_view resource_arn) override;
  bool may_deny(std::string_view resource_arn) override;

 private:
  const Buckets& buckets_;
};

class House {
 public:
  struct Deps {
    io::Loop& loop;
    Random& random;
    io::Workers& workers;
    store::Store& store;          // a database of its own
    std::filesystem::path files;  // a folder of its own
    const events::Switchboard& switchboard;
    guard::Guard& guard;
  };
  explicit House(Deps deps);
  static Result<std::unique_ptr<House>> open(Deps deps);

  api::Service operations() { return make_s3_service(service_deps()); }
  events::Target& target() { return target_; }
  guard::ResourcePolicies& policies() { return policies_; }
  std::size_t waiting() const { return outbox_.waiting(); }

  // Delivers what is left from before, when all targets are registered.
  void start() { outbox_.start(); }
  // Before the targets end; what is not delivered then is delivered after the next start.
  io::Task<void> stop() { return outbox_.close(); }
  // When no answer is read and nothing is pushed any more.
  io::Task<void> close() { return pieces_.close(); }

 private:
  s3::Deps service_deps() {
    return {deps_.loop, deps_.store, buckets_, pieces_, objects_, deps_.guard, deps_.switchboard};
  }

  Deps deps_;
  Buckets buckets_;
  Pieces pieces_;
  Outbox outbox_;
  Objects objects_;
  BucketTarget target_;
  BucketPolicies policies_{buckets_};
};

}  // namespace mayfly::services::s3
