// Which functions are HTTP servers, and how such a one is run (guest/web.h).
//
// A function is one when it is made for the AWS Lambda Web Adapter and does not bring that itself
// (as the extension lambda-adapter): it names the adapter's layer, or starts by
// AWS_LAMBDA_EXEC_WRAPPER = /opt/bootstrap, which no layer of it has, or sets any variable
// AWS_LWA_…; and what is to be started is a program: a custom runtime's bootstrap, an image's own,
// or the file that Handler names.
#pragma once

#include <optional>

#include "guest/web.h"
#include "invoke/invoker.h"

namespace mayfly::invoke {

// Nothing: it is none.
std::optional<Result<guest::WebServer>> web_server(const Runnable& runnable);

// What a web function of a managed runtime starts, in the place of the runtime: a path in the jail.
std::string web_program(const Runnable& runnable);

// The function's own program speaks for it over HTTP, in whichever direction: it is a web server,
// or an adapter that it brings asks for the events. The runtime's bootstrap does not run then.
bool runs_own_program(const Runnable& runnable);

}  // namespace mayfly::invoke
