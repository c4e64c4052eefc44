// What the Runtime API answers, and what it makes of a runtime's requests: for runtime_api.cc,
// which serves one event at a time, and api_calls.cc, which serves several.
#pragma once

#include <optional>
#include <string_view>

#include "guest/channel.h"
#include "guest/lambda/api_connection.h"

namespace mayfly::guest {

ApiAnswer error_answer(int status, std::string_view type, std::string_view message);
ApiAnswer accepted();
// The answer to GET …/next.
ApiAnswer event_answer(const InvokeRequest& event);

// What a request of the runtime comes to: for the caller of the function, and for the runtime.
struct Taken {
  Result<InvokeReply> reply;
  ApiAnswer answer;
};
// POST …/response with a mode that there is not: nothing where it is one.
std::optional<Taken> take_unknown_mode(const ApiRequest& request);
// POST …/response. `to`: where the parts of a streamed answer have gone, `streamed` bytes so far.
Taken take_response(ApiRequest request, AnswerStream* to, std::uint64_t streamed,
                    const AnswerBounds& bounds = {});
// POST …/error.
Taken take_error(ApiRequest request, const AnswerBounds& bounds = {});
// A piece of a streamed answer. Counts it to `streamed`.
void push_piece(AnswerStream& to, const ApiRequest& request, std::string_view bytes,
                std::uint64_t& streamed, const AnswerBounds& bounds = {});

}  // namespace mayfly::guest
