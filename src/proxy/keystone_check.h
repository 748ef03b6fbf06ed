// "option keystone-check": a token is asked for as a client would, by name and password. What
// answers 201 has read its database; a root page that answers 300 has read nothing.
#pragma once

#include <string>
#include <string_view>

#include "http/message.h"
#include "proxy/check.h"
#include "proxy/check_credentials.h"

namespace nines::proxy {

// POST /v3/auth/tokens, whole: head and body.
std::string encode_token_request(const CheckCredentials& credentials);

// `head` is that of the answer, `bytes` what it was parsed from. L7OK only for 201 with a token in
// it; else L7STS with the status and its reason. The token itself is not kept.
CheckOutcome judge_token_answer(const http::ResponseHead& head, std::string_view bytes);

// Whether a request asks for a token: it changes nothing, so that a second one does no more than
// the first, though its method does not say so (RFC 9110, section 9.2.2).
bool asks_for_token(http::Method method, std::string_view target);

}  // namespace nines::proxy
