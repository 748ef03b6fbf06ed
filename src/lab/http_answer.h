// What a stand-in says to an HTTP request: the statuses and the shape of bodies that OpenStack's
// own services give, with headers that name who answered. Pure.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "lab/lab_plan.h"

namespace nines::lab {

// Who answered, in every answer: "X-Lab-Node: node02", "X-Lab-Service: keystone".
inline constexpr std::string_view kNodeField = "X-Lab-Node";
inline constexpr std::string_view kServiceField = "X-Lab-Service";

struct HttpAnswer {
  int status = 200;
  std::string fields;  // whole lines, each ending in CRLF, without framing
  std::string body;
};

// `target` in origin form; a query is not looked at.
HttpAnswer answer_request(const StandInPlan& service, std::string_view node, http::Method method,
                          std::string_view target);

// The answer as bytes. No body follows a HEAD or a 204, although its length is told for HEAD.
std::string answer_bytes(const HttpAnswer& answer, http::Method method, bool keep_alive);

std::string_view reason_of(int status);

}  // namespace nines::lab
