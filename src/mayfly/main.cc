#include "mayfly/cli.h"

int main(int argc, char** argv) { return mayfly::run_cli(argc, argv); }
