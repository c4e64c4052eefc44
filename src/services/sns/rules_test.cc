// Pure parts: filters, delivery policies, envelopes, signatures.
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "services/sns/envelope.h"
#include "services/sns/fixture_test.h"
#include "wire/text.h"

using namespace mayfly;
using namespace mayfly::services::sns;
using namespace mayfly::services::sns::test;

namespace {

using Of = FilterPolicy::Scope;

Message with(std::vector<events::Attribute> attributes, std::string body = "x") {
  Message out;
  out.body = std::move(body);
  out.attributes = std::move(attributes);
  return out;
}

bool matches(std::string_view policy, const Message& message, Of scope = Of::attributes) {
  auto filter = FilterPolicy::parse(policy, scope);
  REQUIRE_MESSAGE(filter, filter.error().message);
  Filterable filterable(message);
  return filter->matches(filterable);
}

std::vector<std::int64_t> delays(const RetryPolicy& policy) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 1; i <= 1000; ++i) {
    auto delay = policy.delay_ms(i);
    if (!delay) break;
    out.push_back(*delay);
  }
  return out;
}

bool verifies(const std::string& certificate, const EVP_MD* digest, std::string_view text,
              std::string_view signature) {
  auto* bio = BIO_new_mem_buf(certificate.data(), static_cast<int>(certificate.size()));
  auto* x509 = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  REQUIRE(x509 != nullptr);
  auto bytes = wire::base64_decode(signature);
  REQUIRE(bytes);
  auto* context = EVP_MD_CTX_new();
  bool good =
      EVP_DigestVerifyInit(context, nullptr, digest, nullptr, X509_get0_pubkey(x509)) == 1 &&
      EVP_DigestVerify(context, reinterpret_cast<const unsigned char*>(bytes->data()),
                       bytes->size(), reinterpret_cast<const unsigned char*>(text.data()),
                       text.size()) == 1;
  EVP_MD_CTX_free(context);
  X509_free(x509);
  return good;
}

}  // namespace

TEST_CASE("filters: by attributes") {
  auto message = with({{"store", "String", "example"},
                       {"price", "Number", "100.12"},
                       {"tags", "String.Array", R"(["red","blue",5,true])"},
                       {"blob", "Binary", "x"},
                       {"ip", "String", "10.0.0.7"}});
  CHECK(matches(R"({"store":["example"]})", message));
  CHECK(matches(R"({"store":["a",{"prefix":"ex"}],"price":[{"numeric":[">",100]}]})", message));
  CHECK_FALSE(matches(R"({"store":["example"],"nothing":["x"]})", message));
  CHECK(matches(R"({"price":[100.12]})", message));
  CHECK(matches(R"({"tags":["blue"]})", message));
  CHECK(matches(R"({"tags":[5]})", message));
  CHECK_FALSE(matches(R"({"tags":["green"]})", message));
  CHECK(matches(R"({"store":[{"anything-but":["a","b"]}]})", message));
  CHECK(matches(R"({"store":[{"anything-but":{"prefix":"b"}}]})", message));
  CHECK(matches(R"({"store":[{"suffix":"ple"}]})", message));
  CHECK(matches(R"({"store":[{"equals-ignore-case":"EXAMPLE"}]})", message));
  CHECK(matches(R"({"store":[{"exists":true}],"other":[{"exists":false}]})", message));
  CHECK(matches(R"({"ip":[{"cidr":"10.0.0.0/24"}]})", message));
  CHECK(matches(R"({"$or":[{"store":["x"]},{"price":[{"numeric":["<",101]}]}]})", message));
  CHECK_FALSE(matches(R"({"blob":["x"]})", message));
}

TEST_CASE("filters: by body") {
  auto message = with({{"a", "String", "no"}}, R"({"a":{"b":["x","y"]},"n":7})");
  CHECK(matches(R"({"a":{"b":["y"]}})", message, Of::body));
  CHECK(matches(R"({"n":[7]})", message, Of::body));
  CHECK_FALSE(matches(R"({"a":["no"]})", message, Of::body));
  CHECK_FALSE(matches(R"({"n":[7]})", with({}, "text"), Of::body));
  CHECK_FALSE(matches(R"({"n":[{"exists":false}]})", with({}, "[1]"), Of::body));
}

TEST_CASE("filters: their limits") {
  auto good = [](std::string_view text, Of scope = Of::attributes) {
    return FilterPolicy::parse(text, scope).has_value();
  };
  CHECK(good(R"({"a":[1],"b":[1],"c":[1],"d":[1],"e":[1]})"));
  CHECK_FALSE(good(R"({"a":[1],"b":[1],"c":[1],"d":[1],"e":[1],"f":[1]})"));
  CHECK_FALSE(good(R"({"a":{"b":[1]}})"));
  CHECK(good(R"({"a":{"b":[1]}})", Of::body));
  auto list = [](int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += fmt::format("{}{}", i == 0 ? "" : ",", i);
    return "[" + out + "]";
  };
  CHECK(good(fmt::format(R"({{"a":{},"b":{}}})", list(15), list(10))));
  CHECK_FALSE(good(fmt::format(R"({{"a":{},"b":{}}})", list(16), list(10))));
  // A value two levels down counts twice.
  CHECK(good(fmt::format(R"({{"a":{{"b":{}}}}})", list(75)), Of::body));
  CHECK_FALSE(good(fmt::format(R"({{"a":{{"b":{}}}}})", list(76)), Of::body));
  CHECK(good(R"({"a":[1000000000]})"));
  CHECK_FALSE(good(R"({"a":[1000000001]})"));
  CHECK_FALSE(good(R"({"a":[{"numeric":["<",-2e9]}]})"));
  CHECK_FALSE(good("[]"));
  CHECK_FALSE(good(R"({"a":"b"})"));
  std::string fat(limits::sns_filter_bytes, 'x');
  CHECK_FALSE(good(fmt::format(R"({{"a":["{}"]}})", fat)));
}

TEST_CASE("delivery policies: phases and functions") {
  using Times = std::vector<std::int64_t>;
  CHECK(delays(RetryPolicy()) == Times{20'000, 20'000, 20'000});
  RetryPolicy policy{.min_delay_s = 1,
                     .max_delay_s = 9,
                     .retries = 9,
                     .no_delay_retries = 1,
                     .min_delay_retries = 2,
                     .max_delay_retries = 1,
                     .backoff = Backoff::linear};
  CHECK(delays(policy) == Times{0, 1000, 1000, 1000, 3000, 5000, 7000, 9000, 9000});
  policy.backoff = Backoff::geometric;
  CHECK(delays(policy) == Times{0, 1000, 1000, 1000, 1732, 3000, 5196, 9000, 9000});
  policy.backoff = Backoff::exponential;
  CHECK(delays(policy) == Times{0, 1000, 1000, 1000, 2000, 4000, 8000, 9000, 9000});
  policy.backoff = Backoff::arithmetic;
  CHECK(delays(policy) == Times{0, 1000, 1000, 1000, 1800, 3400, 5800, 9000, 9000});
  auto managed = managed_policy();
  CHECK(managed.delay_ms(3) == 0);
  CHECK(managed.delay_ms(4) == 1000);
  CHECK(managed.delay_ms(6) == 1000);
  CHECK(managed.delay_ms(15) == 20'000);
  CHECK(managed.delay_ms(100'015) == 20'000);
  CHECK_FALSE(managed.delay_ms(100'016));
}

TEST_CASE("delivery policies: read, bounded and shown") {
  auto read = parse_subscription_policy(
      R"({"healthyRetryPolicy":{"numRetries":5,"minDelayTarget":2,"maxDelayTarget":8,)"
      R"("numNoDelayRetries":1,"backoffFunction":"geometric"},)"
      R"("throttlePolicy":{"maxReceivesPerSecond":7},)"
      R"("requestPolicy":{"headerContentType":"application/json"}})");
  REQUIRE(read);
  CHECK(read->retry.retries == 5);
  CHECK(read->retry.backoff == Backoff::geometric);
  CHECK(read->receives_per_second == 7);
  CHECK(read->content_type == "application/json");
  CHECK(parse_subscription_policy(subscription_policy_text(*read))->retry.min_delay_s == 2);
  auto topic = parse_topic_policy(R"({"http":{"defaultHealthyRetryPolicy":{"numRetries":1},)"
                                  R"("disableSubscriptionOverrides":true}})");
  REQUIRE(topic);
  CHECK(topic->fixed);
  CHECK(topic->retry.retries == 1);
  CHECK(parse_topic_policy(topic_policy_text(*topic))->fixed);
  auto retry = [](std::string_view members) {
    return parse_subscription_policy(fmt::format(R"({{"healthyRetryPolicy":{{{}}}}})", members))
        .has_value();
  };
  CHECK(retry(R"("numRetries":100)"));
  CHECK_FALSE(retry(R"("numRetries":101)"));
  CHECK_FALSE(retry(R"("minDelayTarget":0)"));
  CHECK_FALSE(retry(R"("minDelayTarget":21)"));
  CHECK(retry(R"("maxDelayTarget":1200,"minDelayTarget":1200)"));
  CHECK_FALSE(retry(R"("maxDelayTarget":1201,"minDelayTarget":1201)"));
  CHECK_FALSE(retry(R"("numNoDelayRetries":2,"numMinDelayRetries":2)"));
  CHECK_FALSE(retry(R"("backoffFunction":"random")"));
  CHECK_FALSE(parse_subscription_policy(R"({"throttlePolicy":{"maxReceivesPerSecond":0}})"));
  CHECK_FALSE(parse_subscription_policy(R"({"requestPolicy":{"headerContentType":"x/y"}})"));
  CHECK_FALSE(parse_topic_policy("{}"));
}

TEST_CASE("messages: as they are kept") {
  Message message = with({{"a", "String", "b"}, {"c", "Binary", std::string("\0\xff", 2)}}, "x\ny");
  message.type = Message::Type::confirmation;
  message.bodies["http"] = "h";
  message.token = "t";
  message.published_ms = 5;
  message.group = "g";
  auto back = decode_message(encode(message), 9);
  REQUIRE(back);
  CHECK(back->seq == 9);
  CHECK(back->attributes == message.attributes);
  CHECK(back->body_for("http") == "h");
  CHECK(back->body_for("sqs") == "x\ny");
  CHECK(back->type == message.type);
  CHECK_FALSE(decode_message("{", 1));
}

TEST_CASE("envelopes: a document as the guide shows it") {
  Message message = with({{"n", "Number", "1"}}, "Hello \"you\"");
  message.id = "id";
  message.topic_arn = "arn:aws:sns:us-east-1:123456789012:t";
  message.subject = "S";
  message.published_ms = 1'577'934'245'006;
  Addressee to{.protocol = "sqs",
               .subscription_arn = message.topic_arn + ":u",
               .host = "h:1",
               .certificate = "http://h:1/c.pem",
               .signature = "c2ln"};
  CHECK(document(message, to) == R"({
  "Type" : "Notification",
  "MessageId" : "id",
  "TopicArn" : "arn:aws:sns:us-east-1:123456789012:t",
  "Subject" : "S",
  "Message" : "Hello \"you\"",
  "Timestamp" : "2020-01-02T03:04:05.006Z",
  "SignatureVersion" : "1",
  "Signature" : "c2ln",
  "SigningCertURL" : "http://h:1/c.pem",
  "UnsubscribeURL" : "http://h:1/_mayfly/sns/?Action=Unsubscribe&SubscriptionArn=)"
                                 R"(arn:aws:sns:us-east-1:123456789012:t:u",
  "MessageAttributes" : {
    "n" : {"Type":"Number","Value":"1"}
  }
})");
  CHECK(text_to_sign(message, "sqs", "h:1") ==
        "Message\nHello \"you\"\nMessageId\nid\nSubject\nS\nTimestamp\n2020-01-02T03:04:05.006Z\n"
        "TopicArn\narn:aws:sns:us-east-1:123456789012:t\nType\nNotification\n");
  auto event = wire::parse_json(lambda_event(message, to));
  REQUIRE(event);
  const auto* sns = (*event->find("Records")->as<wire::JsonArray>())[0].find("Sns");
  CHECK(sns->string_or("SigningCertUrl") == "http://h:1/c.pem");
  CHECK(sns->at({"MessageAttributes", "n"})->string_or("Type") == "Number");
  message.type = Message::Type::confirmation;
  message.token = "tok";
  CHECK(text_to_sign(message, "http", "h:1").find("\nToken\ntok\nTopicArn\n") != std::string::npos);
}

TEST_CASE("signatures: by the key of the served certificate, kept over a restart") {
  Bench bench;
  auto topic = bench.create("t", {{"SignatureVersion", "2"}});
  bench.subscribe(topic, "sqs", Bench::queue("q"));
  bench.publish(topic, "hello");
  bench.wait_for(bench.queues, 1);
  auto document = wire::parse_json(bench.queues.taken[0].payload);
  REQUIRE(document);
  CHECK(document->string_or("SignatureVersion") == "2");
  std::string url(document->string_or("SigningCertURL"));
  REQUIRE(url.starts_with("http://localhost:4566/_mayfly/sns/"));
  auto path = url.substr(url.find("/_mayfly"));
  auto page = bench.loop.run_until(bench.house->web().answer("GET", path, ""));
  REQUIRE(page.status == 200);
  auto text = fmt::format(
      "Message\nhello\nMessageId\n{}\nTimestamp\n{}\nTopicArn\n{}\nType\nNotification\n",
      document->string_or("MessageId"), document->string_or("Timestamp"), topic);
  auto signature = document->string_or("Signature");
  CHECK(verifies(page.body, EVP_sha256(), text, signature));
  CHECK_FALSE(verifies(page.body, EVP_sha1(), text, signature));
  CHECK_FALSE(verifies(page.body, EVP_sha256(), text + "x", signature));
  bench.restart();
  CHECK(bench.loop.run_until(bench.house->web().answer("GET", path, "")).body == page.body);
  CHECK(bench.loop.run_until(bench.house->web().answer("GET", path + "x", "")).status == 404);
}
