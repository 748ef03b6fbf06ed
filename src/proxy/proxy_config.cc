// Looking things up in a configuration.
#include "proxy/proxy_config.h"

namespace nines::proxy {

const ProxyConfig* Config::find_proxy(std::string_view name) const {
  for (const ProxyConfig& proxy : proxies) {
    if (proxy.name == name) return &proxy;
  }
  return nullptr;
}

const ProxyConfig* Config::find_backend(std::string_view name) const {
  for (const ProxyConfig& proxy : proxies) {
    if (proxy.backend && proxy.name == name) return &proxy;
  }
  return nullptr;
}

}  // namespace nines::proxy
