#include "services/s3/target.h"

#include "guard/push.h"
#include "services/s3/intake.h"
#include "services/s3/limits.h"
#include "services/s3/names.h"
#include "wire/text.h"

namespace mayfly::services::s3 {

namespace {

std::unexpected<Error> gone(std::string_view arn) {
  return fail(ErrorKind::not_found, fmt::format("there is no bucket {}", arn));
}

// What is at hand, as an upload.
class Bytes final : public io::BodySource {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
  io::Task<Result<std::string>> next(std::stop_token) override {
    co_return std::exchange(bytes_, {});
  }

 private:
  std::string bytes_;
};

Result<> may_put(guard::Guard& guard, const events::Sender& sender, const Bucket& bucket,
                 std::string_view key) {
  auto caller = guard::caller_of(sender);
  auto resource = fmt::format("{}/{}", bucket_arn(bucket.name), key);
  auto decision = guard.authorize({.caller = caller,
                                   .action = "s3:PutObject",
                                   .resource = resource,
                                   .resource_account = bucket.owner,
                                   .source_arn = sender.source_arn,
                                   .function_url_auth_type = {}});
  if (decision.allowed) return {};
  return fail(ErrorKind::denied, std::move(decision.reason));
}

Error error_of(const api::ApiError& error) {
  auto kind = error.http_status >= 500   ? ErrorKind::unavailable
              : error.http_status == 404 ? ErrorKind::not_found
                                         : ErrorKind::invalid;
  return {kind, error.message, error.code};
}

}  // namespace

Result<> BucketTarget::check(std::string_view arn, const events::Sender& sender) {
  auto bucket = deps_.buckets.find(bucket_of_arn(arn));
  if (!bucket) return gone(arn);
  return may_put(deps_.guard, sender, *bucket, "*");
}

io::Task<Result<events::Outcome>> BucketTarget::push(events::Delivery delivery) {
  auto bucket = deps_.buckets.find(bucket_of_arn(delivery.arn));
  if (!bucket) co_return gone(delivery.arn);
  CO_TRY(may_put(deps_.guard, delivery.sender, *bucket, delivery.subject));
  if (delivery.subject.empty() || !check_key(delivery.subject)) {
    co_return fail(ErrorKind::invalid, "an object needs a key");
  }
  Bytes bytes(std::move(delivery.payload));
  auto received = co_await receive(deps_.pieces, bytes, {.most = limits::object_upload_bytes});
  if (!received) co_return std::unexpected(error_of(received.error()));
  auto now = now_ms(deps_);
  Objects::New what{.object = {.key = delivery.subject,
                               .size = received->piece.size,
                               .etag = wire::hex_encode(received->md5),
                               .modified_ms = now / 1000 * 1000,
                               .owner = bucket->owner,
                               .about = {.content_type = "application/json"},
                               .checksum = std::move(received->checksum),
                               .piece = received->piece},
                    .bytes = std::move(received->bytes)};
  Happening happening{.event = "ObjectCreated:Put",
                      .reason = "PutObject",
                      .request_id = deps_.pieces.new_id(),
                      .principal = guard::caller_of(delivery.sender).arn,
                      .requester = delivery.sender.account,
                      .source_ip = delivery.sender.service,
                      .trace_header = std::move(delivery.trace_header),
                      .at_ms = now};
  auto put = co_await deps_.objects.put(bucket->name, std::move(what), {}, std::move(happening));
  if (!put) co_return std::unexpected(error_of(put.error()));
  co_return events::Outcome{};
}

}  // namespace mayfly::services::s3
