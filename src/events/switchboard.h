// Switchboard: from the ARN of a resource to what it offers the others. Services meet here alone;
// mayfly/ registers them before serving.
//
// Loop thread; as long as the server.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "events/feed.h"
#include "events/target.h"

namespace mayfly::events {

// The third part of an ARN: "sqs"; empty where it has none.
std::string_view service_of_arn(std::string_view arn);
// Its fourth and fifth part, as far as they are there.
Scope scope_of_arn(std::string_view arn);

// What whoever reads a queue must know of it beside its items.
struct Source {
  std::shared_ptr<Feed> feed;
  bool there = false;               // else the feed is empty until it is
  bool ordered = false;             // by group; at most 10 items at a time
  std::int64_t hidden_seconds = 0;  // how long what is taken stays away from others
};

class Switchboard {
 public:
  // `find` answers a Source without feed for what is no ARN of a source.
  using Find = std::function<Source(std::string_view arn)>;
  void add_source(std::string service, Find find) {
    sources_[std::move(service)] = std::move(find);
  }
  bool has_sources(std::string_view service) const { return sources_.contains(service); }
  Source source(std::string_view service, std::string_view arn) const {
    auto found = sources_.find(service);
    return found == sources_.end() ? Source{} : found->second(arn);
  }

  // `target` outlives the Switchboard's last push.
  void add_target(std::string service, Target& target) { targets_[std::move(service)] = &target; }
  // nullptr: this server has no service that takes what is pushed to that ARN.
  Target* target(std::string_view arn) const;
  // As Target's; unimplemented where there is no such service.
  Result<> check(std::string_view arn, const Sender& sender) const;
  io::Task<Result<Outcome>> push(Delivery delivery) const;

 private:
  std::map<std::string, Find, std::less<>> sources_;
  std::map<std::string, Target*, std::less<>> targets_;
};

}  // namespace mayfly::events
