// The one program: a table of contents.
#include <cstdio>
#include <span>
#include <string_view>

#include "lab_command.h"

int main(int argc, char** argv) {
  const std::span<char*> arguments(argv, static_cast<std::size_t>(argc));
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "lab") return nines::lab_command(arguments.subspan(2));
  std::fprintf(stderr, "usage: nines lab ...\n");
  return 2;
}
