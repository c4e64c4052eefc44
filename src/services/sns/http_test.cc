// Http endpoints: confirmed, told, tried again, ended.
#include "io/http1.h"
#include "services/sns/fixture_test.h"
#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::services::sns;
using namespace mayfly::services::sns::test;

namespace {

// Notes what it is sent and answers as it is told, when it is let.
class Endpoint {
 public:
  explicit Endpoint(io::Loop& loop)
      : loop_(loop), listener_(loop, *io::listen_tcp("127.0.0.1", 0)), gate_(loop), scope_(loop) {
    gate_.set();
    scope_.spawn(serve());
  }
  ~Endpoint() {
    scope_.request_stop();
    loop_.run_until(scope_.close());
  }
  std::string url() const { return fmt::format("http://{}/hook", listener_.address()); }

  struct Got {
    std::string head;
    std::string body;
    std::string header(std::string_view name) const {
      for (auto line : wire::split(head, '\n')) {
        auto colon = line.find(':');
        if (colon != line.npos && wire::iequals(line.substr(0, colon), name)) {
          return std::string(wire::trim(line.substr(colon + 1)));
        }
      }
      return {};
    }
    std::string member(std::string_view name) const {
      auto json = wire::parse_json(body);
      return json ? std::string(json->string_or(name)) : std::string();
    }
  };
  int status = 200;
  std::vector<Got> got;
  void hold() { gate_.reset(); }
  void let_go() { gate_.set(); }

 private:
  io::Task<void> serve() {
    while (auto fd = co_await listener_.accept(scope_.stop_token())) {
      scope_.spawn(exchange(std::move(*fd)));
    }
  }

  io::Task<void> exchange(io::Fd fd) {
    io::Stream stream(loop_, std::move(fd));
    auto stop = scope_.stop_token();
    std::string text;
    std::array<char, 4096> chunk{};
    std::size_t whole = std::string::npos;
    std::size_t head = std::string::npos;
    while (text.size() < whole) {
      auto read = co_await stream.read(chunk, no_deadline, stop);
      if (!read || *read == 0) co_return;
      text.append(chunk.data(), *read);
      head = text.find("\r\n\r\n");
      if (head == text.npos) continue;
      auto length = Got{text.substr(0, head), {}}.header("content-length");
      whole = head + 4 + static_cast<std::size_t>(*wire::parse_int(length));
    }
    got.push_back({text.substr(0, head), text.substr(head + 4)});
    (void)co_await gate_.wait(no_deadline, stop);
    (void)co_await stream.write_all(
        fmt::format("HTTP/1.1 {} X\r\nContent-Length: 0\r\n\r\n", status), no_deadline, stop);
  }

  io::Loop& loop_;
  io::Listener listener_;
  io::Event gate_;
  io::TaskScope scope_;
};

std::string query_of(const std::string& url) { return url.substr(url.find('?') + 1); }

struct Hooked : Bench {
  Hooked() : endpoint(loop) {}
  Web::Page visit(const std::string& url) {
    auto page = loop.run_until(house->web().answer("GET", "/_mayfly/sns/", query_of(url)));
    settle();
    return page;
  }
  // Subscribed and confirmed, as an endpoint does it.
  std::string hook(const std::string& topic,
                   const std::map<std::string, std::string>& attributes = {}) {
    auto arn = subscribe(topic, "http", endpoint.url(), attributes);
    settle();
    REQUIRE(endpoint.got.size() == 1);
    CHECK(visit(endpoint.got[0].member("SubscribeURL")).status == 200);
    endpoint.got.clear();
    return arn;
  }
  Endpoint endpoint;
};

}  // namespace

TEST_CASE("http: an endpoint is asked first, then told, and told of its end") {
  Hooked bench;
  auto topic = bench.create("t");
  auto in = Bench::subscription(topic, "http", bench.endpoint.url());
  CHECK(*bench.ok<model::SubscribeResponse>("Subscribe", in.set_return_subscription_arn(false))
             .subscription_arn() == "pending confirmation");
  bench.settle();
  REQUIRE(bench.endpoint.got.size() == 1);
  const auto asked = bench.endpoint.got[0];
  CHECK(asked.head.starts_with("POST /hook HTTP/1.1"));
  CHECK(asked.header("x-amz-sns-message-type") == "SubscriptionConfirmation");
  CHECK(asked.header("x-amz-sns-topic-arn") == topic);
  CHECK(asked.header("content-type") == "text/plain; charset=UTF-8");
  CHECK(asked.header("user-agent") == "Amazon Simple Notification Service Agent");
  CHECK(asked.member("Type") == "SubscriptionConfirmation");
  auto arn = bench.ok<model::ListSubscriptionsResponse>("ListSubscriptions",
                                                        model::ListSubscriptionsInput());
  REQUIRE(arn.subscriptions().size() == 1);
  CHECK(*arn.subscriptions()[0].subscription_arn() == "PendingConfirmation");
  CHECK(bench.visit(asked.member("SubscribeURL") + "x").status == 400);
  auto page = bench.visit(asked.member("SubscribeURL"));
  CHECK(page.status == 200);
  CHECK(page.body.find("<SubscriptionArn>" + topic) != std::string::npos);
  CHECK(bench.visit(asked.member("SubscribeURL")).status == 200);
  auto sent = bench.publish(topic, "hello");
  REQUIRE(bench.endpoint.got.size() == 2);
  const auto told = bench.endpoint.got[1];
  CHECK(told.header("x-amz-sns-message-type") == "Notification");
  CHECK(told.header("x-amz-sns-message-id") == *sent.message_id());
  CHECK(told.header("x-amz-sns-subscription-arn").starts_with(topic + ":"));
  CHECK(told.member("Message") == "hello");
  CHECK(bench.visit(told.member("UnsubscribeURL")).status == 200);
  REQUIRE(bench.endpoint.got.size() == 3);
  const auto ended = bench.endpoint.got[2];
  CHECK(ended.member("Type") == "UnsubscribeConfirmation");
  bench.publish(topic, "not any more");
  CHECK(bench.endpoint.got.size() == 3);
  CHECK(bench.attribute(topic, "SubscriptionsConfirmed") == "0");
  // It has changed its mind.
  CHECK(bench.visit(ended.member("SubscribeURL")).status == 200);
  bench.publish(topic, "back");
  CHECK(bench.endpoint.got.size() == 4);
}

TEST_CASE("http: AuthenticateOnUnsubscribe keeps the URL from ending it") {
  Hooked bench;
  auto topic = bench.create("t");
  auto arn = bench.subscribe(topic, "http", bench.endpoint.url());
  bench.settle();
  bench.done("ConfirmSubscription", model::ConfirmSubscriptionInput()
                                        .set_topic_arn(topic)
                                        .set_token(bench.endpoint.got[0].member("Token"))
                                        .set_authenticate_on_unsubscribe("true"));
  bench.publish(topic, "hello");
  CHECK(bench.visit(bench.endpoint.got[1].member("UnsubscribeURL")).status == 403);
  CHECK(bench.subscription_attribute(arn, "ConfirmationWasAuthenticated") == "true");
}

TEST_CASE("http: raw bodies; the content type of the policy") {
  Hooked bench;
  auto topic = bench.create("t");
  bench.hook(topic,
             {{"RawMessageDelivery", "true"},
              {"DeliveryPolicy", R"({"requestPolicy":{"headerContentType":"application/json"}})"}});
  bench.publish(topic, R"({"a":1})");
  REQUIRE(bench.endpoint.got.size() == 1);
  CHECK(bench.endpoint.got[0].body == R"({"a":1})");
  CHECK(bench.endpoint.got[0].header("x-amz-sns-rawdelivery") == "true");
  CHECK(bench.endpoint.got[0].header("content-type") == "application/json");
}

TEST_CASE("http: tried again as the policy says, then a dead letter") {
  Hooked bench;
  auto topic = bench.create("t");
  bench.hook(
      topic,
      {{"DeliveryPolicy", R"({"healthyRetryPolicy":{"numRetries":3,"numNoDelayRetries":1,)"
                          R"("minDelayTarget":10,"maxDelayTarget":30}})"},
       {"RedrivePolicy", fmt::format(R"({{"deadLetterTargetArn":"{}"}})", Bench::queue("dead"))}});
  bench.endpoint.status = 503;
  bench.publish(topic, "hello");
  CHECK(bench.endpoint.got.size() == 2);
  bench.pass(9s);
  CHECK(bench.endpoint.got.size() == 2);
  bench.pass(1s);
  CHECK(bench.endpoint.got.size() == 3);
  bench.pass(29s);
  CHECK(bench.endpoint.got.size() == 3);
  CHECK(bench.queues.taken.empty());
  bench.pass(1s);
  CHECK(bench.endpoint.got.size() == 4);
  CHECK(bench.endpoint.got[3].header("x-amz-sns-message-id") ==
        bench.endpoint.got[0].header("x-amz-sns-message-id"));
  REQUIRE(bench.queues.taken.size() == 1);
  CHECK(bench.queues.taken[0].arn == Bench::queue("dead"));
  // What the endpoint refuses is not tried again.
  bench.endpoint.status = 404;
  bench.publish(topic, "again");
  CHECK(bench.endpoint.got.size() == 5);
  CHECK(bench.queues.taken.size() == 2);
  bench.endpoint.status = 429;
  bench.publish(topic, "later");
  CHECK(bench.house->waiting() == 1);
}

TEST_CASE("http: no more than so many a second") {
  Hooked bench;
  auto topic = bench.create("t");
  bench.hook(topic, {{"DeliveryPolicy", R"({"throttlePolicy":{"maxReceivesPerSecond":2}})"}});
  bench.pass(1s);
  for (const auto* body : {"1", "2", "3", "4"}) bench.publish(topic, body);
  CHECK(bench.endpoint.got.size() == 1);
  bench.pass(500ms);
  CHECK(bench.endpoint.got.size() == 2);
  bench.pass(400ms);
  CHECK(bench.endpoint.got.size() == 2);
  bench.pass(100ms);
  CHECK(bench.endpoint.got.size() == 3);
  bench.pass(500ms);
  CHECK(bench.endpoint.got.size() == 4);
}

TEST_CASE("http: so many exchanges at a time, of all subscriptions") {
  Hooked bench;
  bench.http_at_once = 2;
  bench.restart();
  auto topic = bench.create("t");
  bench.hook(topic);
  bench.endpoint.hold();
  for (const auto* body : {"1", "2", "3"}) bench.publish(topic, body);
  CHECK(bench.endpoint.got.size() == 2);
  CHECK(bench.house->waiting() == 3);
  bench.endpoint.let_go();
  bench.settle();
  CHECK(bench.endpoint.got.size() == 3);
  CHECK(bench.house->waiting() == 0);
}

TEST_CASE("http: the topic's policy, and its word over the subscriptions'") {
  Hooked bench;
  auto topic = bench.create(
      "t", {{"DeliveryPolicy", R"({"http":{"defaultHealthyRetryPolicy":{"numRetries":0}}})"}});
  auto arn = bench.hook(topic);
  CHECK(bench.subscription_attribute(arn, "EffectiveDeliveryPolicy").find("\"numRetries\":0") !=
        std::string::npos);
  bench.endpoint.status = 500;
  bench.publish(topic, "once");
  CHECK(bench.endpoint.got.size() == 1);
  CHECK(bench.house->waiting() == 0);
  bench.set(arn, "DeliveryPolicy", R"({"healthyRetryPolicy":{"numRetries":2}})");
  CHECK(bench.subscription_attribute(arn, "EffectiveDeliveryPolicy").find("\"numRetries\":2") !=
        std::string::npos);
  bench.done("SetTopicAttributes",
             model::SetTopicAttributesInput()
                 .set_topic_arn(topic)
                 .set_attribute_name("DeliveryPolicy")
                 .set_attribute_value(R"({"http":{"defaultHealthyRetryPolicy":{"numRetries":1},)"
                                      R"("disableSubscriptionOverrides":true}})"));
  CHECK(bench.subscription_attribute(arn, "EffectiveDeliveryPolicy").find("\"numRetries\":1") !=
        std::string::npos);
}

TEST_CASE("http: passwords of URLs are sent, not shown") {
  Hooked bench;
  auto topic = bench.create("t");
  auto url = bench.endpoint.url();
  auto arn = bench.subscribe(topic, "http", "http://me:secret@" + url.substr(7));
  bench.settle();
  REQUIRE(bench.endpoint.got.size() == 1);
  CHECK(bench.endpoint.got[0].header("authorization") == "Basic bWU6c2VjcmV0");
  CHECK(bench.subscription_attribute(arn, "Endpoint") == "http://me:****@" + url.substr(7));
}

namespace {

constexpr std::string_view patient =
    R"({"healthyRetryPolicy":{"numRetries":1,"numNoDelayRetries":0,"minDelayTarget":5,)"
    R"("maxDelayTarget":5}})";

struct Guarded : Hooked {
  explicit Guarded(const std::string& breaker) {
    topic = create("t");
    tag(breaker);
    hook(topic, {{"DeliveryPolicy", std::string(patient)},
                 {"RedrivePolicy",
                  fmt::format(R"({{"deadLetterTargetArn":"{}"}})", Bench::queue("dead"))}});
    endpoint.status = 503;
  }
  model::TagResourceRequest tags(const std::string& value) {
    std::vector<model::Tag> out;
    out.emplace_back().set_key("mayfly:breaker").set_value(value);
    return model::TagResourceRequest().set_resource_arn(topic).set_tags(std::move(out));
  }
  void tag(const std::string& value) { done("TagResource", tags(value)); }
  std::size_t tries() const { return endpoint.got.size(); }
  std::string topic;
};

}  // namespace

TEST_CASE("http: an open circuit breaker makes messages wait, without using up their retries") {
  Guarded bench("2/60s open=30s");
  bench.publish(bench.topic, "1");
  bench.publish(bench.topic, "2");
  CHECK(bench.tries() == 2);
  CHECK(bench.house->open_breakers() == 1);
  bench.publish(bench.topic, "3");
  bench.pass(29s);
  CHECK(bench.tries() == 2);
  bench.pass(1s);
  CHECK(bench.tries() == 3);
  CHECK(bench.house->open_breakers() == 1);
  bench.endpoint.status = 200;
  bench.pass(30s);
  // The probe of before waits for its retry.
  bench.pass(5s);
  CHECK(bench.house->open_breakers() == 0);
  CHECK(bench.house->waiting() == 0);
  CHECK(bench.queues.taken.empty());
  CHECK(bench.tries() == 6);
}

TEST_CASE("http: what waits for an hour has a dead letter; a restart closes breakers") {
  Guarded bench("1/60s open=24h");
  bench.publish(bench.topic, "1");
  bench.pass(30min);
  bench.publish(bench.topic, "2");
  CHECK(bench.tries() == 1);
  bench.pass(30min);
  CHECK(bench.queues.taken.size() == 1);
  CHECK(bench.tries() == 1);
  CHECK(bench.house->waiting() == 1);
}

TEST_CASE("http: while it is open the fallback gets the messages") {
  Guarded bench("1/60s open=30s fallback=" + Bench::queue("instead"));
  bench.publish(bench.topic, "1");
  CHECK(bench.queues.taken.empty());
  bench.publish(bench.topic, "2");
  CHECK(bench.queues.taken.size() == 1);
  bench.pass(5s);  // the retry of the first one
  REQUIRE(bench.queues.taken.size() == 2);
  for (const auto& one : bench.queues.taken) CHECK(one.arn == Bench::queue("instead"));
  CHECK(bench.tries() == 1);
  CHECK(bench.house->waiting() == 0);
}

TEST_CASE("http: breakers that are none are refused") {
  Guarded bench("1/60s");
  CHECK(bench.error("TagResource", bench.tags("often")).find("is 'often'") != std::string::npos);
  CHECK(bench.error("TagResource", bench.tags("1/1s fallback=arn:aws:kinesis:r:1:s"))
            .find("is nothing that this server could push to") != std::string::npos);
}
