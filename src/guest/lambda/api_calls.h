// ApiCalls: the events of a guest that takes several at one time through the Runtime API, as on
// Lambda Managed Instances: any number of GET …/next may wait, and each answer names its event
// (developer guide, "Lambda runtime API": concurrent /next and /response up to
// AWS_LAMBDA_MAX_CONCURRENCY). Unlike the other guests', there is no state of the runtime beyond
// which events it has.
//
// Owned by the channel, which owns the connections. Loop thread.
#pragma once

#include <deque>
#include <list>
#include <vector>

#include "guest/channel.h"
#include "guest/lambda/api_connection.h"

namespace mayfly::guest {

class ApiCalls {
 public:
  explicit ApiCalls(io::Loop& loop) : loop_(loop) {}
  ~ApiCalls();

  void next(ApiConnection& from);
  // Of …/response and …/error: refuses an id that the guest does not have, and a second answer.
  std::optional<ApiAnswer> on_answer_head(const ApiRequest& request, std::string_view id);
  bool on_piece(ApiConnection& from, const ApiRequest& request, std::string_view id,
                std::string_view bytes);
  void response(ApiConnection& from, ApiRequest request, std::string_view id);
  void error(ApiConnection& from, ApiRequest request, std::string_view id);
  void on_closed(ApiConnection& connection);

  io::Task<Result<InvokeReply>> invoke(const InvokeRequest& request);
  void cancel();

 private:
  struct Call {
    Call(io::Loop& loop, const InvokeRequest& of) : request(of), done(loop), stream(of.stream) {}
    const InvokeRequest& request;  // lives as long as its task waits
    io::Event done;
    std::shared_ptr<AnswerStream> stream;
    bool answering = false;              // the head of its answer was there
    ApiConnection* streaming = nullptr;  // brings a streamed answer
    std::uint64_t streamed = 0;
    std::optional<Result<InvokeReply>> reply;
  };
  Call* find(std::string_view id);
  void deliver();
  static void finish(Call& call, Result<InvokeReply> reply);
  static void let_go(Call& call);

  io::Loop& loop_;
  bool cancelled_ = false;
  std::list<Call> calls_;
  std::deque<Call*> undelivered_;
  std::vector<ApiConnection*> waiting_;  // asked for the next event
};

}  // namespace mayfly::guest
