// The command line. run_cli() is all that main() calls; every verb but `server` speaks the public
// API of a server as any client does, one blocking request after the other.
#pragma once

namespace mayfly {

// Answers the exit status: 0 done, 1 failed, 2 wrong usage. Starts no thread before run_server().
int run_cli(int argc, char** argv);

}  // namespace mayfly
