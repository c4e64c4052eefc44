// Function URLs with InvokeMode RESPONSE_STREAM: a call's answer as an HTTP response while it is
// made.
#pragma once

#include <memory>

#include "invoke/invoker.h"
#include "services/lambda/raw.h"

namespace mayfly::lambda {

// Waits until status and headers are known: of a function that writes a prelude, its own; else 200
// and the content type it set. What fails before that is a status; what fails later breaks the body
// off, as the cloud's client sees a connection that ends in the middle.
io::Task<RawResponse> url_stream(std::shared_ptr<invoke::StreamedCall> call);

}  // namespace mayfly::lambda
