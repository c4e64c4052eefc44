#include "services/sns/web.h"

#include "services/sns/links.h"
#include "wire/text.h"

namespace mayfly::services::sns {

namespace {

constexpr std::string_view space = "http://sns.amazonaws.com/doc/2010-03-31/";

Web::Page refusal(const api::ApiError& error) {
  std::string text;
  for (char c : error.message) {
    if (c == '<') {
      text += "&lt;";
    } else if (c == '&') {
      text += "&amp;";
    } else {
      text += c;
    }
  }
  return {error.http_status, "text/xml",
          fmt::format("<ErrorResponse xmlns=\"{}\"><Error><Type>{}</Type><Code>{}</Code>"
                      "<Message>{}</Message></Error></ErrorResponse>\n",
                      space, error.sender_fault ? "Sender" : "Receiver", error.code, text)};
}

std::string parameter(const wire::Pairs& pairs, std::string_view name) {
  const auto* found = wire::find_pair(pairs, name);
  return found == nullptr ? std::string() : *found;
}

}  // namespace

io::Task<Web::Page> Web::answer(std::string method, std::string path, std::string query) {
  if (method != "GET" && method != "HEAD" && method != "POST") {
    co_return Page{405, "text/plain", "GET\n"};
  }
  if (path != own_path) co_return co_await certificate(std::move(path));
  auto pairs = wire::parse_query(query);
  if (!pairs) co_return Page{400, "text/plain", "the parameters are not understood\n"};
  auto action = parameter(*pairs, "Action");
  if (action == "Unsubscribe") co_return co_await end(parameter(*pairs, "SubscriptionArn"));
  if (action != "ConfirmSubscription") {
    co_return Page{404, "text/plain", "ConfirmSubscription and Unsubscribe are here\n"};
  }
  auto arn = co_await confirm(
      deps_, {.topic_arn = parameter(*pairs, "TopicArn"), .token = parameter(*pairs, "Token")});
  if (!arn) co_return refusal(arn.error());
  co_return Page{
      .body = fmt::format("<ConfirmSubscriptionResponse xmlns=\"{}\"><ConfirmSubscriptionResult>"
                          "<SubscriptionArn>{}</SubscriptionArn></ConfirmSubscriptionResult>"
                          "</ConfirmSubscriptionResponse>\n",
                          space, *arn)};
}

io::Task<Web::Page> Web::certificate(std::string path) {
  auto own = co_await signer_.certificate_path();
  if (!own || path != *own) co_return Page{404, "text/plain", "there is no such certificate\n"};
  auto text = co_await signer_.certificate();
  if (!text) co_return Page{503, "text/plain", "there is no certificate\n"};
  co_return Page{200, "application/x-pem-file", *std::move(text)};
}

io::Task<Web::Page> Web::end(std::string arn) {
  auto ref = parse_subscription(arn);
  auto found = ref ? deps_.topics.subscription(*ref) : nullptr;
  if (!found || !found->visible()) co_return refusal(no_subscription().error());
  if (found->guarded) {
    co_return refusal(not_allowed("this subscription is ended by its owner alone").error());
  }
  auto done = co_await end_subscription(deps_, std::move(found));
  if (!done) co_return refusal(done.error());
  co_return Page{.body = fmt::format("<UnsubscribeResponse xmlns=\"{}\"/>\n", space)};
}

}  // namespace mayfly::services::sns
