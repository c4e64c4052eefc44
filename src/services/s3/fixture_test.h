// All of S3 on a store in memory and files in a folder, under a clock moved by hand, with targets
// that note what is pushed to them. Included by tests of this room.
#pragma once

#include <doctest/doctest.h>
#include <stdlib.h>

#include "services/s3/house.h"
#include "services/s3/limits.h"
#include "sim/manual_clock.h"
#include "sim/memory_store.h"
#include "sim/service_calls.h"
#include "sim/settle.h"

namespace mayfly::services::s3::test {

// A payload in blocks, with what comes behind it; it may break off.
class FakeUpload final : public api::Upload {
 public:
  explicit FakeUpload(std::string bytes, wire::Pairs trailers = {}, std::size_t block = 60'000)
      : bytes_(std::move(bytes)), trailers_(std::move(trailers)), block_(block) {}
  std::optional<std::uint64_t> size() const override { return bytes_.size(); }
  const wire::Pairs& trailers() const override { return trailers_; }
  io::Task<Result<std::string>> next(std::stop_token) override {
    if (breaks_at && at_ >= *breaks_at) {
      co_return fail(ErrorKind::invalid, "cut off", "IncompleteBody");
    }
    auto out = bytes_.substr(std::min(at_, bytes_.size()), block_);
    at_ += out.size();
    co_return out;
  }
  std::optional<std::size_t> breaks_at;

 private:
  std::string bytes_;
  wire::Pairs trailers_;
  std::size_t block_;
  std::size_t at_ = 0;
};

class FakeTarget final : public events::Target {
 public:
  Result<> check(std::string_view arn, const events::Sender&) override {
    if (arn.find("missing") != arn.npos) return fail(ErrorKind::not_found, "there is none");
    return {};
  }
  io::Task<Result<events::Outcome>> push(events::Delivery delivery) override {
    ++attempts;
    if (error) co_return std::unexpected(*error);
    taken.push_back(std::move(delivery));
    co_return events::Outcome{};
  }
  int attempts = 0;
  std::optional<Error> error;
  std::vector<events::Delivery> taken;
};

struct Bench : sim::TypedCalls<Bench> {
  Bench() : loop(clock), workers(loop, 2), disk(loop) {
    std::string name = (std::filesystem::temp_directory_path() / "s3-test-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    dir = name;
    for (const auto* service : {"sqs", "sns", "lambda", "events"}) {
      switchboard.add_target(service, target);
    }
    auto opened = loop.run_until(guard::open_guard(disk, clock, random, {.dev = true}, &root));
    REQUIRE(opened);
    guard = std::move(*opened);
    open();
  }
  ~Bench() {
    close();
    std::filesystem::remove_all(dir);
  }

  void open() {
    auto opened = House::open({loop, random, workers, disk, dir / "objects", switchboard, *guard});
    REQUIRE_MESSAGE(opened, opened.error().message);
    house = std::move(*opened);
    guard->set_resource_policies(house->policies());
    service = house->operations();
    house->start();
  }
  void close() {
    stream.reset();
    loop.run_until(house->stop());
    loop.run_until(house->close());
    house.reset();
  }
  void restart() {
    close();
    open();
    settle();
  }

  api::ApiResult<wire::Record> call(std::string_view name, wire::Record input) {
    auto row = std::ranges::find(service.model->operations, name, &api::Operation::name);
    REQUIRE(row != service.model->operations.end());
    api::Caller caller;
    caller.kind = api::Caller::Kind::root;
    caller.account = account;
    caller.arn = "arn:aws:iam::" + account.str() + ":root";
    caller.user_id = "AIDATEST";
    caller.source_ip = "10.0.0.1";
    api::Call call{.operation = *row,
                   .caller = caller,
                   .scope = {account, region},
                   .request_id = RequestId("r"),
                   .host = "localhost:4566",
                   .upload = std::move(upload),
                   .trace_header = "Root=1-x;Lineage=a:1"};
    auto out = loop.run_until(service.handlers.at(name)(call, std::move(input)));
    stream = std::move(call.stream);
    stream_bytes = call.stream_bytes;
    return out;
  }

  void make(const std::string& bucket) {
    done("CreateBucket", model::CreateBucketRequest().set_bucket(bucket));
  }
  static model::PutObjectRequest object(const std::string& key) {
    return model::PutObjectRequest().set_bucket("home").set_key(key);
  }
  model::PutObjectOutput put(const std::string& key, std::string bytes) {
    upload = std::make_unique<FakeUpload>(std::move(bytes));
    return ok<model::PutObjectOutput>("PutObject", object(key));
  }
  // The body of the answer under way.
  std::string body() {
    std::string out;
    while (stream) {
      auto bytes = loop.run_until(stream->next({}));
      REQUIRE_MESSAGE(bytes, bytes.error().message);
      if (bytes->empty()) break;
      out += *bytes;
    }
    return out;
  }
  static model::GetObjectRequest getting(const std::string& key) {
    return model::GetObjectRequest().set_bucket("home").set_key(key);
  }
  std::string get(const std::string& key) {
    ok<model::GetObjectOutput>("GetObject", getting(key));
    return body();
  }
  // The bucket's notifications go to the bus from now on.
  void tell_bus() {
    done("PutBucketNotificationConfiguration",
         model::PutBucketNotificationConfigurationRequest()
             .set_bucket("home")
             .set_notification_configuration(
                 model::NotificationConfiguration().set_event_bridge_configuration(
                     model::EventBridgeConfiguration())));
  }
  void settle() { sim::settle(loop, workers); }
  void pass(Duration time) {
    clock.advance(time);
    loop.run_ready();
    settle();
  }
  std::size_t rows(std::string_view prefix) { return disk.scan(prefix, "", SIZE_MAX)->size(); }
  std::size_t files() const {
    std::size_t out = 0;
    for (const auto& one : std::filesystem::recursive_directory_iterator(dir)) {
      out += one.is_regular_file() ? 1 : 0;
    }
    return out;
  }

  AccountId account{"123456789012"};
  Region region{"us-east-1"};
  std::unique_ptr<FakeUpload> upload;
  std::unique_ptr<io::BodySource> stream;
  std::optional<std::uint64_t> stream_bytes;
  std::filesystem::path dir;
  sim::ManualClock clock;
  SystemRandom random;
  io::Loop loop;
  io::Workers workers;
  sim::MemoryStore disk;
  FakeTarget target;
  events::Switchboard switchboard;
  std::optional<guard::Credentials> root;
  std::unique_ptr<guard::Guard> guard;
  std::unique_ptr<House> house;
  api::Service service;
};

}  // namespace mayfly::services::s3::test
